"""What a run records of where it was made, and that the same settings give the same run."""

import hashlib
import json
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dspctl
from dspctl.errors import ConfigProblem
from dspctl.runtime.machine import this_machine
from dspctl.trainer import METHODS, load_run, train
from dspctl.trainer.runs import provenance
from dspctl.trainer.runs.checkpoint import RunFolder
from dspctl.trainer.runs.provenance import describe_here, differences, facts
from dspctl.trainer.settings.config import TrainConfig
from tests.trainer.outcomes import assert_same
from tests.trainer.tiny import tiny

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("backend", ["gymnasium", "auto"])
def test_the_same_seed_gives_the_same_run(tmp_path: Path, method: str, backend: str) -> None:
    settings: dict[str, Any] = {"vector_backend": backend, "environments": 4, "trials": 2}
    if METHODS[method].teacher:
        teacher = train(tiny(method="ppo", steps=2_048), tmp_path / "teacher").run
        settings["teacher"] = str(teacher)
    steps = 10 * 4 * 128 if method == "pops" else 4_096
    config = tiny(method=method, steps=steps, **settings)
    one, other = (train(config, tmp_path / name).run for name in ("one", "other"))
    assert_same(one, other)
    if method != "pops":
        different = train(
            tiny(method=method, steps=steps, **{**settings, "seed": 1}), tmp_path / "d"
        )
        digests = {
            hashlib.sha256((run / "policy.safetensors").read_bytes()).hexdigest()
            for run in (one, different.run)
        }
        assert len(digests) == 2


def test_a_run_records_where_it_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Prescott")
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/dspctl", "train", "CartPole-v1", "-o", "a b"])
    record = load_run(train(tiny(steps=1_024), tmp_path / "run").run).info["provenance"]
    assert record["command"] == "dspctl train CartPole-v1 -o 'a b'"
    versions = record["versions"]
    assert versions["python"] == platform.python_version()
    assert versions["dspctl"] == dspctl.__version__
    assert versions["numpy"] == np.__version__
    for name in ("torch", "gymnasium", "envpool"):
        assert versions.get(name) == next(
            (each.version for each in metadata.distributions(name=name)), None
        )
    assert this_machine().model in record["processor"]
    assert record["cores"] == len(os.sched_getaffinity(0))
    assert record["blas"], "NumPy multiplies with some library"
    assert all({"library", "kernel", "threads"} <= set(entry) for entry in record["blas"])
    assert record["variables"]["OPENBLAS_CORETYPE"] == "Prescott"
    assert record["variables"]["MKL_CBWR"] == "COMPATIBLE"


@pytest.mark.parametrize("word", ["one\ntwo", "x" * 5_000, "right\u200fto left", "latin\udce4"])
def test_whatever_the_shell_gave_the_run_can_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["dspctl", "train", "-o", word])
    monkeypatch.setenv("MKL_WORD", word)
    monkeypatch.setenv(f"MKL_{word}", "1")
    config = tiny(steps=2_048)
    run = train(config, tmp_path / "run", should_stop=lambda: True).run
    monkeypatch.setenv("MKL_WORD", f"again {word}")
    assert train(config, run, resume=True).finished
    info = load_run(run).info
    assert info["provenance"]["command"].startswith("dspctl train -o ")
    assert "MKL_WORD" in info["provenance"]["variables"]
    assert info["resumptions"][0]["differs"]["variables"]


def test_a_teacher_in_a_folder_of_any_name(tmp_path: Path) -> None:
    """One that is named could not be read from the settings; one that is trained first is noted."""
    odd = tmp_path / "right\u200fto left"
    teacher = train(tiny(method="ppo", steps=1_024), odd).run
    for name in ("teacher", "start"):
        with pytest.raises(ConfigProblem, match=f"{name} is no path .* rename"):
            tiny(method="kd", **{name: str(teacher)})
    folder = RunFolder.create(tmp_path / "run", tiny(method="kd"), {}, force=False)
    folder.write_teacher(load_run(teacher).policy(), source=str(teacher), sha256="0")
    assert load_run(folder.path).info["teacher"]["source"].endswith("right\ufffdto left")


def test_the_kernel_is_the_one_that_was_chosen() -> None:
    """OpenBLAS reads its variable when it is loaded, so in a process of its own."""
    program = (
        "import json; from dspctl.trainer.runs.provenance import describe_here; "
        "print(json.dumps(describe_here()['blas']))"
    )
    if "avx" not in this_machine().features:
        pytest.skip("the second kernel needs AVX")
    found = []
    for kernel in ("Nehalem", "Sandybridge"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_CORETYPE": kernel},
        )
        (entry,) = json.loads(done.stdout)
        if entry["library"] != "openblas" or platform.machine() != "x86_64":
            pytest.skip("the variable is OpenBLAS's own")
        found.append(entry["kernel"])
    assert found == ["Nehalem", "Sandybridge"]


def test_git_state_of_the_checkout(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        identity = ["-c", "user.name=N", "-c", "user.email=n@example.org"]
        done = subprocess.run(
            ["git", *identity, "-C", str(tmp_path), *words], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    ask: Any = provenance._git.__wrapped__  # without what it remembers
    assert ask(tmp_path) is None
    git("init")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-m", "One")
    assert ask(tmp_path) == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    (tmp_path / "untracked").write_text("of no matter")
    assert ask(tmp_path)["dirty"] is False
    (tmp_path / "file").write_text("2")
    assert ask(tmp_path)["dirty"] is True


def test_differences_name_both_sides() -> None:
    here = describe_here()
    assert differences(here, here) == {}
    there = json.loads(json.dumps(here))
    there["versions"]["numpy"] = "1.0"
    there["versions"]["gone"] = "3"
    there["blas"] = [{"library": "mkl", "version": "9", "kernel": "Haswell", "threads": 4}]
    there["variables"] = {"OMP_NUM_THREADS": "7"}
    there["git"] = {"commit": "abc", "dirty": True}
    found = differences(there, here)
    assert set(found) == {"numpy", "gone", "BLAS", "variables", "git"}
    assert found["numpy"] == ("1.0", np.__version__)
    assert found["gone"] == ("3", "absent")
    assert found["BLAS"][0] == "mkl 9 Haswell, 4 threads"
    assert found["git"][0] == "abc, changed"
    # A run of an earlier version recorded less; what it did not say is no difference.
    assert differences({"versions": {"numpy": np.__version__}}, here) == {}
    assert list(facts({"versions": {"numpy": "1"}})) == ["numpy"]


def test_the_default_configuration_is_the_one_that_stored_studies_have() -> None:
    """Keys of cells are made of it: a new setting must not change what old ones are called."""
    text = json.dumps(TrainConfig("CartPole-v1").to_json(), sort_keys=True)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "374c39bbb3256198"
