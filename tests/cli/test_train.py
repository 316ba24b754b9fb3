import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dspctl import trainer
from dspctl.cli.interrupt import EXIT_INTERRUPTED, stop_on_signal
from tests.cli.conftest import ROOT, Call

SMALL = ["--steps", "4096", "--hidden", "16-16", "--sparsity", "0.5", "--threads", "1"]


def test_train_reports_what_it_reached(call: Call, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = call("train", "CartPole-v1", "-o", run, *SMALL, "--episodes", "3", "--json")
    report = done.json()
    opened = trainer.load_run(run)
    policy = opened.policy()
    expected = trainer.evaluate(policy.act, "CartPole-v1", episodes=3)
    assert report["evaluation"]["returns"] == list(expected.returns)
    assert report["units"] == [int(layer.kept.sum()) for layer in policy.hidden]
    assert report["sparsity"] == 0.5
    first, second = report["units"]
    left = (4 * first + first * second + second * 2) / (4 * 16 + 16 * 16 + 16 * 2)
    assert report["weight_sparsity"] == pytest.approx(1 - left)
    assert report["steps"] == 4096
    assert set(report["time_split_s"]) == {"environment", "inference", "update"}


def test_train_prints_a_table_and_the_next_command(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = call("train", "CartPole-v1", "--seed", "4", *SMALL, "--episodes", "2")
    run = "runs/CartPole-v1-dsp-seed4"
    assert Path(run, "policy.safetensors").is_file()
    for part in ("95% interval", "50.0% of units", "environment", f"next: dspctl compact {run} "):
        assert part in done.stdout
    assert "CartPole-v1 dsp: 100%" in done.stderr
    assert "recovery" in done.stderr


def test_no_eval_does_not_evaluate(call: Call, tmp_path: Path) -> None:
    done = call("train", "CartPole-v1", "-o", tmp_path / "run", *SMALL, "--no-eval", "--json")
    assert done.json()["evaluation"] is None
    assert "evaluation" not in done.stderr


def test_nothing_to_train_is_a_usage_error(call: Call) -> None:
    done = call("train")
    assert done.code == 2
    assert "CartPole-v1" in done.stderr


def test_ctrl_c_keeps_a_checkpoint_and_resume_finishes(call: Call, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["train", "CartPole-v1", "-o", run, "--steps", "40000", "--no-eval"]
    process = subprocess.Popen(
        [sys.executable, "-m", "dspctl", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    metrics = run / "metrics.jsonl"
    for _ in range(600):
        if metrics.is_file() and metrics.stat().st_size > 0:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == EXIT_INTERRUPTED, stderr
    assert f"go on with  dspctl train --resume {run}" in stderr
    assert "Traceback" not in stderr
    stopped = call("inspect", run, "--json").json()
    assert stopped["status"] == "interrupted"
    assert 0 < stopped["info"]["steps"] < 40_000
    assert "next: dspctl train --resume" in call("inspect", run).stdout

    done = call("train", "--resume", run, "--no-eval", "--json")
    assert done.code == 0, done.stderr
    assert done.json()["steps"] >= 40_000
    steps = [json.loads(line)["steps"] for line in metrics.read_text().splitlines()]
    assert steps == sorted(set(steps))


def test_the_second_ctrl_c_ends_at_once() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stop_on_signal() as should_stop:
        assert not should_stop()
        signal.raise_signal(signal.SIGINT)
        assert should_stop()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_weights_that_are_zero_are_reported(call: Call, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = call("train", "CartPole-v1", "-o", run, "--method", "l1", *SMALL, "--no-eval", "--json")
    weights = 4 * 16 + 16 * 16 + 16 * 2
    assert done.json()["weight_sparsity"] == pytest.approx(round(0.5 * weights) / weights)
    assert done.json()["sparsity"] == 0
    policy = tmp_path / "policy.safetensors"
    report = call("compact", run, "-o", policy, "--json").json()
    assert report["after"]["weights"] - report["zero_weights"] <= weights - round(0.5 * weights)
    assert report["zero_weights"] > 0
    assert "of these 0" in call("compact", run, "-o", policy, "--force").stdout
