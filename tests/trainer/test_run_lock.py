"""A run belongs to one process at a time, and a process that is gone keeps nobody out."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dspctl.errors import RunLocked, WriteFailed
from dspctl.runtime.locks import LOCK, locked
from dspctl.trainer import load_run, train
from tests.trainer.outcomes import assert_same
from tests.trainer.tiny import tiny

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 60.0
# Long enough to be met at work, whatever the machine does.
SETTINGS = [
    "--steps", "1000000", "--environments", "4", "--rollout-steps", "64", "--hidden", "16-16",
    "--vector-backend", "gymnasium", "--trials", "0", "--threads", "1",
    "--checkpoint-seconds", "0.05",
]  # fmt: skip


def start(*words: str | Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "dspctl", "train", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def until_it_trains(process: "subprocess.Popen[str]", run: Path) -> None:
    deadline = time.monotonic() + WAIT_S
    while not (run / "checkpoint.before.safetensors").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def first(run: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that trains in the folder."""
    process = start("CartPole-v1", *SETTINGS, "-o", run)
    until_it_trains(process, run)
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("again", [["--resume"], ["CartPole-v1", *SETTINGS, "--force", "-o"]])
def test_a_second_process_is_refused(
    first: "subprocess.Popen[str]", run: Path, again: list[str]
) -> None:
    second = start(*again, run)
    _, said = second.communicate(timeout=WAIT_S)
    assert second.returncode == 2
    assert f"another process ({first.pid}) works on {run}: wait for it" in said
    assert "Traceback" not in said
    assert first.poll() is None
    assert load_run(run).info["status"] == "running"


def test_a_process_that_was_killed_keeps_nobody_out(
    first: "subprocess.Popen[str]", run: Path
) -> None:
    first.kill()
    first.communicate()
    assert (run / LOCK).read_text() == f"{first.pid}\n"
    second = start("--resume", run)
    deadline = time.monotonic() + WAIT_S
    while (run / LOCK).read_text() != f"{second.pid}\n":
        assert second.poll() is None, second.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    while "resumptions" not in load_run(run).info:
        assert second.poll() is None, second.communicate()
        time.sleep(0.02)
    second.send_signal(signal.SIGINT)
    second.communicate(timeout=WAIT_S)
    assert second.returncode == 130
    assert load_run(run).info["status"] == "interrupted"


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path, run: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    train(tiny(steps=2_048), run, should_stop=lambda: True)
    (run / LOCK).unlink()
    (run / LOCK).symlink_to(precious)
    for force in (False, True):
        with pytest.raises(RunLocked, match=r"cannot be locked .*remove it"):
            train(tiny(steps=2_048), run, resume=not force, force=force)
    assert precious.read_text() == "precious"
    (run / LOCK).unlink()
    (run / LOCK).mkdir()
    with pytest.raises(RunLocked, match="remove it"):
        train(tiny(steps=2_048), run, resume=True)
    (run / LOCK).rmdir()
    assert train(tiny(steps=2_048), run, resume=True).finished


def test_a_run_within_the_run_has_a_lock_of_its_own(tmp_path: Path) -> None:
    config = tiny(method="dsp-kd", steps=2_048)
    run = train(config, tmp_path / "run", should_stop=lambda: True).run
    assert (run / "teacher" / LOCK).exists()
    assert load_run(run / "teacher").info["status"] == "interrupted"
    with locked(run / "teacher", RunLocked, wait_s=0), pytest.raises(RunLocked, match="teacher"):
        train(config, run, resume=True)


def test_a_lock_is_no_run(tmp_path: Path) -> None:
    """What is left by a kill right after it was taken."""
    whole = train(tiny(steps=2_048), tmp_path / "whole").run
    with locked(tmp_path / "run", RunLocked, wait_s=0):
        pass
    assert_same(train(tiny(steps=2_048), tmp_path / "run").run, whole)


def test_a_folder_that_is_replaced_keeps_its_lock(tmp_path: Path) -> None:
    """Another file of that name would be another lock."""
    run = train(tiny(steps=1_024), tmp_path / "run").run
    before = (run / LOCK).stat().st_ino
    train(tiny(steps=1_024), run, force=True)
    assert (run / LOCK).stat().st_ino == before


def test_a_file_system_without_locks_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", refuse)
    with locked(tmp_path / "run", RunLocked, wait_s=0):
        assert "has no locks: see that no other process works there" in caplog.text


def test_a_lock_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else holds it, so waiting is no advice."""

    def refuse(*_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("fcntl.flock", refuse)
    with (
        pytest.raises(WriteFailed, match=r"could not lock .*Input/output error.*another disk"),
        locked(tmp_path / "run", RunLocked, wait_s=0),
    ):
        pass


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(WriteFailed, match=r"Not a directory.*choose another one"),
        locked(tmp_path / "file" / "run", RunLocked, wait_s=0),
    ):
        pass
