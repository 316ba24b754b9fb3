import subprocess
import sys

FOREIGN = ("torch", "gymnasium", "onnx", "onnxruntime", "envpool", "matplotlib", "rich", "typer")


def modules_after(code: str) -> set[str]:
    """The modules of a fresh interpreter that ran *code*."""
    listing = f"import sys; {code}; print(*sys.modules, sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", listing], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_the_runtime_needs_no_training_stack() -> None:
    loaded = modules_after("import dspctl.runtime")
    assert "numpy" in loaded
    assert loaded.isdisjoint((*FOREIGN, "safetensors"))


def test_public_names_are_there_whatever_was_imported_first() -> None:
    """Names are loaded on first use; a module must not take the place of a function."""
    names = "[getattr(r, name) for name in r.__all__]"
    modules_after(f"import dspctl.runtime as r; {names}")
    modules_after(
        f"import dspctl.runtime.load, dspctl.runtime.policy.file, dspctl.runtime as r; {names}; "
        "assert callable(r.load)"
    )
    for package in ("", ".bundle", ".backends.runner", ".policy.file", ".reference.golden"):
        whole = f"dspctl.runtime{package}"
        modules_after(f"import {whole} as m; [getattr(m, name) for name in m.__all__]")
        modules_after(f"import {whole} as m; assert not hasattr(m, 'nothing_of_this_name')")


def test_loading_and_running_with_numpy_needs_no_more(tmp_path: object) -> None:
    from pathlib import Path

    from dspctl.runtime import save_policy
    from tests.runtime.policies import make_policy

    path = save_policy(make_policy(), Path(str(tmp_path)) / "p.safetensors")
    code = (
        "import numpy as np; from dspctl.runtime import load; "
        f"load({str(path)!r})(np.zeros(5, 'f4'))"
    )
    assert modules_after(code).isdisjoint(FOREIGN)


def test_listing_the_export_targets_needs_no_onnx() -> None:
    assert modules_after("from dspctl.exporter import TARGETS").isdisjoint(FOREIGN)
