import subprocess
import sys

BASE = (
    "import importlib, sys\n"
    "modules = 'measurement training.__main__ training._worker plots record.file'\n"
    "for name in modules.split():\n"
    "    importlib.import_module('dspctl.benchmarks.' + name)\n"
    "print(*sorted({name.split('.')[0] for name in sys.modules}))\n"
)
EXTRAS = {"torch", "gymnasium", "onnx", "onnxruntime", "matplotlib", "envpool", "stable_baselines3"}


def test_the_base_installation_is_enough_to_import() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", BASE], capture_output=True, text=True, check=True
    )
    assert "numpy" in loaded.stdout.split()
    assert EXTRAS.isdisjoint(loaded.stdout.split())


def test_public_names_do_not_turn_into_modules() -> None:
    code = (
        "import dspctl.benchmarks.measurement\n"
        "from dspctl.benchmarks import BenchResult, load_result, measure\n"
        "from dspctl import measure as again\n"
        "assert callable(measure) and measure is again, measure\n"
        "print(BenchResult.__name__, load_result.__name__, measure.__name__)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["BenchResult", "load_result", "measure"]
