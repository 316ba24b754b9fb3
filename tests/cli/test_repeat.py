"""`dspctl train --like`, what `--resume` says, and what `inspect` shows of a run's making."""

import itertools
import json
import shutil
from pathlib import Path

import pytest

from dspctl import trainer
from tests.cli.conftest import Call

FEW = ["--episodes", "2"]


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of a finished run, for tests that change it or write beside it."""
    shutil.copytree(trained, tmp_path / "run")
    return tmp_path / "run"


def change(run: Path, **entries: object) -> None:
    info = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**info, **entries}))


def test_a_repeated_run_is_the_same(call: Call, run: Path, tmp_path: Path) -> None:
    done = call("train", "--like", run, *FEW)
    assert done.code == 0, done.stderr
    again = tmp_path / "run-again"
    assert f"the policy is, byte for byte, that of {run}" in done.stderr
    assert "not as in" not in done.stderr
    one, other = ((each / "policy.safetensors").read_bytes() for each in (run, again))
    assert one == other
    assert trainer.load_run(again).config == trainer.load_run(run).config


def test_settings_after_it_replace_some(call: Call, run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    done = call("train", "--like", run, "-o", other, "--seed", "7", *FEW, "--json")
    answer = done.json()["like"]
    assert answer == {"run": str(run), "same_policy": False, "differences": {}}
    recorded, repeated = (trainer.load_run(each).config.to_json() for each in (run, other))
    assert {name for name in recorded if recorded[name] != repeated[name]} == {"seed"}


def test_what_differs_is_said(call: Call, run: Path, tmp_path: Path) -> None:
    record = trainer.load_run(run).info["provenance"]
    record["versions"]["numpy"] = "1.0"
    record["blas"] = [{"library": "mkl", "version": "9", "kernel": "Haswell", "threads": 4}]
    record["blas"][0]["threading"] = None
    gone = {"steps": 2048, "environments": "anew", "settings": {"entropy": [0.0, 0.1]}}
    change(run, provenance=record, resumptions=[gone])
    done = call("train", "--like", run, "-o", tmp_path / "new", *FEW)
    assert f"not as in {run}: numpy was 1.0, here it is" in done.stderr
    assert f"not as in {run}: BLAS was mkl 9 Haswell, 4 threads, here it is" in done.stderr
    assert "gone on with at step 2,048, with environments that started anew" in done.stderr
    assert "with entropy 0.1 after 0.0" in done.stderr


def test_a_run_of_an_earlier_version_says_less(call: Call, run: Path, tmp_path: Path) -> None:
    info = json.loads((run / "run.json").read_text())
    del info["provenance"]
    (run / "run.json").write_text(json.dumps({**info, "numpy": "1.0"}))
    done = call("train", "--like", run, "-o", tmp_path / "new", *FEW)
    assert done.code == 0
    assert "numpy was 1.0" in done.stderr
    assert "does not record its processor and libraries" in done.stderr
    assert "numpy" in call("inspect", run).stdout


def test_refusals(call: Call, run: Path, tmp_path: Path) -> None:
    before = (run / "policy.safetensors").read_bytes()
    for words, part in (
        (["-o", run, "--force"], "is the run that is to be repeated"),
        (["-o", tmp_path, "--force"], "or holds it"),
        (["Acrobot-v1"], "leave out Acrobot-v1"),
        (["--resume", run], "leave out --like"),
        (["--sparsity", "1.5"], "sparsity must be in [0, 1)"),
    ):
        done = call("train", "--like", run, *words)
        assert done.code == 2, done.stderr
        assert part in done.stderr
    assert (run / "policy.safetensors").read_bytes() == before
    config = json.loads((run / "config.json").read_text())
    config["config"] |= {"method": "pops-prune"}
    (run / "config.json").write_text(json.dumps(config))
    assert "is a stage of a run of pops" in call("train", "--like", run).stderr


def test_inspect_shows_where_a_run_was_made(call: Call, run: Path) -> None:
    record = trainer.load_run(run).info["provenance"]
    shown = " ".join(call("inspect", run).stdout.split())
    for name, version in record["versions"].items():
        assert f"{name} {version}" in shown
    assert record["blas"][0]["kernel"] in shown
    assert record["processor"] in shown
    assert "stepped by" in shown
    assert call("inspect", run, "--json").json()["info"]["provenance"] == record


def test_a_damaged_checkpoint_is_said_and_survived(call: Call, tmp_path: Path) -> None:
    config = trainer.recipe(
        "CartPole-v1", steps=4096, threads=1, hidden=(16, 16), sparsity=0.5,
        vector_backend="gymnasium", checkpoint_seconds=0.0,
    )  # fmt: skip
    counter = itertools.count(1)
    run = tmp_path / "run"
    trainer.train(config, run, should_stop=lambda: next(counter) == 2)
    path = run / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    shutil.copytree(run, tmp_path / "both")
    done = call("train", "--resume", run, "--no-eval")
    assert done.code == 0
    assert f"dspctl: {path} is damaged" in done.stderr
    assert "set aside as checkpoint.damaged.safetensors" in done.stderr
    older = tmp_path / "both" / "checkpoint.before.safetensors"
    older.write_bytes(b"")
    done = call("train", "--resume", tmp_path / "both")
    assert done.code == 2
    assert f"no checkpoint of {tmp_path / 'both'} is whole" in done.stderr
    assert f"dspctl train --like {tmp_path / 'both'} -o NEW" in done.stderr
    done = call("train", "--like", tmp_path / "both", "-o", tmp_path / "new", "--no-eval")
    assert done.code == 0, done.stderr
    assert "is not finished, so there is no policy to compare with" in done.stderr


def test_divergence_exits_2_and_resuming_slower_works(call: Call, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["--steps", "20480", "--method", "ppo", "--learning-rate", "30", "--threads", "1"]
    done = call("train", "CartPole-v1", "-o", run, *words, "--gradient-norm", "1e9")
    assert done.code == 2
    assert "training diverged after step" in done.stderr
    assert f"dspctl train --resume {run} --learning-rate 9" in done.stderr
    assert "diverged" in call("inspect", run).stdout
    slower = ["--learning-rate", "0.001", "--gradient-norm", "0.5", "--no-eval"]
    done = call("train", "--resume", run, *slower)
    assert done.code == 0, done.stderr
    assert trainer.load_run(run).config.learning_rate == 0.001
