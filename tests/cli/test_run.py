"""``dspctl run``: a loop that ends when it is told to, and says what happened meanwhile."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dspctl import trainer
from dspctl.exporter import export
from dspctl.runtime import load, load_policy
from tests.cli.conftest import ROOT, Call
from tests.cli.test_errors import assert_sentence
from tests.runtime.loop.test_event_log import accounted, records

ALL = "invalid=0.02,observe=0.02,late=0.01,backend=0.02,apply=0.02,stall=0.002"


@pytest.fixture(scope="module")
def bundle(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(load_policy(policy), "cpu", tmp_path_factory.mktemp("run") / "bundle").path


def test_it_earns_what_eval_says(call: Call, policy: Path) -> None:
    """No fault: episode after episode on the seeds of `dspctl eval`."""
    report = call("run", policy, "--steps", "900", "--hz", "10000", "--json").json()
    assert report["environment"] == "CartPole-v1"
    assert report["backends"] == ["numpy"]
    assert (report["steps"], report["ended"]) == (900, "steps")
    assert report["actions"] == {"numpy": 900, "held": 0, "safe action": 0}
    wrong = {kind for kind, count in report["faults"].items() if count}
    assert wrong <= {"late", "behind", "stall"}  # this machine is busy
    assert report["episodes"] > 1
    with load(policy) as runner:
        returns = trainer.evaluate(
            runner, "CartPole-v1", episodes=report["episodes"], seed=trainer.EVALUATION_SEED
        ).returns
    assert report["mean_return"] == pytest.approx(np.mean(returns))


def test_faults_are_counted_logged_and_no_reason_to_fail(
    call: Call, bundle: Path, tmp_path: Path
) -> None:
    log = tmp_path / "loop.jsonl"
    words = ("--steps", "2000", "--hz", "1000", "--watchdog-ms", "20", "--inject", ALL)
    done = call("run", bundle, *words, "--backend", "native", "--log", log, "--json")
    assert done.code == 0, done.stderr
    report = done.json()
    assert report["backends"] == ["native", "numpy"]
    put, faults = report["injected"], report["faults"]
    assert min(put.values()) > 0
    for kind in ("invalid", "observe", "backend", "apply"):
        assert faults[kind] == put[kind]
    for kind in ("late", "stall"):
        assert faults[kind] >= put[kind]
    assert faults["loop"] == faults["no_backend"] == 0
    assert accounted(log) == {kind: count for kind, count in faults.items() if count}
    start, *_, last = records(log)
    assert (start["record"], start["inject"], start["backends"]) == (
        "start",
        ALL,
        ["native", "numpy"],
    )
    assert last["faults"] == faults
    assert last["injected"] == put


def test_the_same_seed_puts_in_the_same_faults(call: Call, policy: Path) -> None:
    words = ("--steps", "400", "--hz", "5000", "--inject", "invalid=0.1,backend=0.1", "--json")
    one, two, other = (
        call("run", policy, *words, "--seed", seed).json()["injected"] for seed in ("3", "3", "4")
    )
    assert one == two != other


def test_it_prints_what_happened(call: Call, policy: Path, tmp_path: Path) -> None:
    log = tmp_path / "loop.jsonl"
    words = ("--seconds", "0.5", "--hz", "400", "--inject", "every=50ms", "--log", log)
    shown = call("run", policy, *words).stdout
    for part in (
        "CartPole-v1",
        "numpy",
        "400 Hz",
        "200 in ",
        "Faults",
        "the guard found",
    ):
        assert part in shown
    assert "loop.jsonl," in "".join(shown.split())  # a long path is folded


def test_scheduling_that_is_refused_is_a_note(call: Call, policy: Path) -> None:
    words = ("--steps", "50", "--hz", "1000", "--cpu", "4095", "--json")
    done = call("run", policy, *words)
    assert done.code == 0, done.stderr
    (note,) = done.json()["notes"]
    assert "processor 4095 alone was refused" in note


def test_a_full_disk_under_the_log(call: Call, policy: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    words = ("--steps", "300", "--hz", "1000", "--inject", "apply=0.1")
    done = call("run", policy, *words, "--log", "/dev/full", "--force", "--json")
    assert done.code == 0, done.stderr
    report = done.json()
    assert report["steps"] == 300
    assert report["log"]["lost"]["apply"] == report["injected"]["apply"] > 0
    assert report["log"]["error"] == "No space left on device"
    shown = call("run", policy, *words, "--log", "/dev/full", "--force")
    assert "events are not in the log: No space left on device" in shown.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("bound", "code"), [([], 0), (["--seconds", "600"], 130)])
def test_a_signal_ends_it_with_a_summary(
    policy: Path, tmp_path: Path, number: signal.Signals, bound: list[str], code: int
) -> None:
    log = tmp_path / "loop.jsonl"
    words = ["run", str(policy), "--inject", "every=50ms", "--log", str(log), "--json", *bound]
    process = subprocess.Popen(
        [sys.executable, "-m", "dspctl", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        until = time.monotonic() + 60
        while not (log.exists() and log.read_text().count("\n") > 3):
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code, stderr
    report: Any = json.loads(stdout)
    assert report["ended"] == "stopped"
    assert accounted(log) == {kind: count for kind, count in report["faults"].items() if count}


def test_a_log_that_is_there_is_kept(call: Call, policy: Path, tmp_path: Path) -> None:
    log = tmp_path / "loop.jsonl"
    log.write_text("kept")
    assert_sentence(call("run", policy, "--steps", "3", "--log", log), "exists", "--force")
    assert log.read_text() == "kept"


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--inject", "gremlins=1"], "there is no fault 'gremlins' to put in"),
        (["--inject", "late=2"], "the probability '2' of late is not a number from 0 to 1"),
        (["--hz", "0"], "from 1 to 10,000 Hz, not 0"),
        (["--seconds", "1", "--steps", "1"], "--seconds and --steps"),
        (["--seconds", "1e307"], "1e+307 seconds are longer than any loop runs"),
        (["--seconds", "-1"], "positive number of seconds, not -1"),
        (["--watchdog-ms", "-1"], "watchdog"),
        (["--env", "NoSuchEnv-v0"], "there is no environment 'NoSuchEnv-v0'"),
        (["--env", "Acrobot-v1"], "Acrobot-v1 observes 6 features and takes 3 choices"),
        (["--backend", "gpu"], "there is no backend 'gpu'"),
        (["--backend", "native"], "only numpy runs"),
        (["--fifo", "100"], "from 1 to 99"),
    ],
)
def test_what_is_refused_leaves_no_log(
    call: Call, policy: Path, tmp_path: Path, words: list[str], part: str
) -> None:
    log = tmp_path / "loop.jsonl"
    steps = [] if "--seconds" in words else ["--steps", "3"]
    assert_sentence(call("run", policy, *steps, *words, "--log", log), part)
    assert not log.exists()
