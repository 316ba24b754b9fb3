"""Full disks, read-only folders and kills at any moment: what is left can be gone on with, and
comes out as if nothing had happened."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dspctl.errors import WriteFailed
from dspctl.trainer import TrainConfig, load_run, train
from tests.trainer.faults import Faults, full, go_on, read_only, struck
from tests.trainer.outcomes import assert_same
from tests.trainer.tiny import tiny

ROOT = Path(__file__).resolve().parents[2]
# Three iterations with a checkpoint after each, and trials that write candidates.
FEW = tiny(
    steps=768, environments=4, rollout_steps=64, trials=2, checkpoint_seconds=0.0, threads=1,
    prune_end=0.4, epochs=2,
)  # fmt: skip
LONGER = tiny(
    steps=6_144, environments=4, rollout_steps=64, trials=4, checkpoint_seconds=0.02, threads=1
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(FEW, tmp_path_factory.mktemp("whole") / "run").run


@pytest.fixture(scope="module")
def longer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(LONGER, tmp_path_factory.mktemp("longer") / "run").run


def operations(config: TrainConfig, run: Path) -> int:
    """How often a run that is spared goes to the disk."""
    faults = Faults(0, full)
    with struck(faults):
        go_on(config, run)
    return faults.count


def in_a_process(name: str, config: TrainConfig, folder: Path, *numbers: int) -> int:
    """Run a function of `tests.trainer.faults`; returns what it printed."""
    words = [json.dumps(config.to_json()), str(folder), *map(str, numbers)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.trainer.faults", name, *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        # A process with threads may not be forked.
        env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return int(done.stdout.split()[-1])


@pytest.mark.parametrize(
    ("strike", "step"),
    [(full, 4), (read_only, 7), pytest.param(full, 1, marks=pytest.mark.slow)],
)
def test_a_disk_that_fails_at_any_write(
    tmp_path: Path, whole: Path, strike: Callable[[], None], step: int
) -> None:
    count = operations(FEW, tmp_path / "spared")
    assert count > 60
    assert_same(tmp_path / "spared", whole)
    failures = []
    for due in range(1, count + 1, step):
        run = tmp_path / f"run{due}"
        try:
            with struck(Faults(due, strike, lasting=True)):
                train(FEW, run)
        except WriteFailed as error:
            failures.append(str(error))
        if not run.is_dir() or not (run / "run.json").is_file() or not load_finished(run):
            go_on(FEW, run)
        assert_same(run, whole)
        left = [path.name for path in run.rglob("*.tmp")]
        assert left == []
    # The folder's own flush may fail without harm; everything else is noticed.
    assert len(failures) > count // 2 // step
    reason = os.strerror(errno.ENOSPC if strike is full else errno.EROFS)
    for sentence in failures:
        assert reason in sentence
        assert "dspctl train --resume" in sentence or "repeat the command" in sentence


def load_finished(run: Path) -> bool:
    return (run / "config.json").is_file() and load_run(run).finished


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.slow)])
def test_a_kill_before_any_operation_on_the_disk(tmp_path: Path, whole: Path, step: int) -> None:
    count = in_a_process("kill_at_every_operation", FEW, tmp_path, step)
    assert count > 60
    runs = sorted(tmp_path.iterdir())
    assert len(runs) > 60 // step
    for run in runs:
        assert_same(run, whole)


def check_random_kills(tmp_path: Path, reference: Path, kills: int, seed: int) -> None:
    met = in_a_process("kill_at_random", LONGER, tmp_path, kills, seed)
    assert met > kills // 2
    for run in tmp_path.iterdir():
        assert_same(run, reference)


def test_a_dozen_kills_at_random(tmp_path: Path, longer: Path) -> None:
    check_random_kills(tmp_path, longer, 12, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 6))
def test_many_kills_at_random(tmp_path: Path, longer: Path, seed: int) -> None:
    check_random_kills(tmp_path, longer, 60, seed)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["dsp-kd", "pops", "l1"])
def test_kills_of_other_methods(tmp_path: Path, method: str) -> None:
    settings: dict[str, Any] = {} if method == "l1" else {"teacher": str(tmp_path / "teacher")}
    train(tiny(method="ppo", steps=2_048), tmp_path / "teacher")
    config = tiny(
        method=method, environments=4, rollout_steps=64, trials=2, threads=1, objective=0.3,
        checkpoint_seconds=0.0, steps=10 * 2 * 4 * 64, epochs=2, **settings,
    )  # fmt: skip
    whole = train(config, tmp_path / "whole").run
    in_a_process("kill_at_every_operation", config, tmp_path / "runs", 17)
    for run in (tmp_path / "runs").iterdir():
        assert_same(run, whole)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 kB, where it may be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)]
    try:
        done = subprocess.run(words, capture_output=True)
    except OSError:
        pytest.skip("there is no mount here")
    if done.returncode != 0:
        pytest.skip("only root may mount a file system")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_disk_that_is_full(small_disk: Path, tmp_path: Path) -> None:
    config = tiny(steps=40_960, checkpoint_seconds=0.0, threads=1)
    whole = train(config, tmp_path / "whole").run
    run = small_disk / "run"
    with pytest.raises(WriteFailed, match="No space left on device"):
        train(config, run)
    assert load_run(run).info["status"] == "running"
    remount(small_disk, "size=40m,ro")
    with pytest.raises(WriteFailed, match="Read-only file system"):
        train(config, run, resume=True)
    remount(small_disk, "size=40m,rw")
    assert train(config, run, resume=True).finished
    assert_same(run, whole)


def remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], check=True)
