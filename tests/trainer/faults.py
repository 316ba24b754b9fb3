"""Disks that fill up and processes that die, at every write in turn."""

import errno
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dspctl.trainer import TrainConfig, load_run, train


class Faults:
    """Counts what is done to the disk, and strikes before the operation that is due.

    Args:
        due: number of the operation, from 1; 0 only counts.
        strike: raises, or ends the process.
        lasting: whether later operations are struck too, as on a disk that stays full.
    """

    def __init__(self, due: int, strike: Callable[[], None], *, lasting: bool = False) -> None:
        self.due, self.strike, self.lasting = due, strike, lasting
        self.count = 0
        self.struck = False

    def __call__(self) -> None:
        self.count += 1
        if self.count == self.due or (self.lasting and self.struck):
            self.struck = True
            self.strike()


class Handle:
    """A file whose writes are counted."""

    def __init__(self, file: Any, faults: Faults) -> None:
        self._file, self._faults = file, faults

    def write(self, data: Any) -> Any:
        self._faults()
        return self._file.write(data)

    def __enter__(self) -> "Handle":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@contextmanager
def struck(faults: Faults) -> Iterator[None]:
    """Put *faults* before every opening for writing, write, flush to the disk, and rename."""
    open_, fsync, replace = Path.open, os.fsync, Path.replace

    def counted_open(self: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
        if not set(mode) & set("wa"):
            return open_(self, mode, *args, **options)
        faults()
        return Handle(open_(self, mode, *args, **options), faults)

    def counted_fsync(descriptor: int) -> None:
        faults()
        fsync(descriptor)

    def counted_replace(self: Path, target: Path) -> Path:
        faults()
        return replace(self, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", counted_open)
        patch.setattr(os, "fsync", counted_fsync)
        patch.setattr(Path, "replace", counted_replace)
        yield


def full() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def read_only() -> None:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def go_on(config: TrainConfig, run: Path) -> None:
    """Train to the end, from whatever is in the folder."""
    assert train(config, run, resume=(run / "config.json").is_file()).finished


def finish(config: TrainConfig, run: Path) -> None:
    """`go_on`, unless the run is finished."""
    if not (run / "config.json").is_file() or not load_run(run).finished:
        go_on(config, run)


# --- a process of its own, which has imported everything and forks ----------------------------


def _child(work: Callable[[], None]) -> int:
    """Run *work* in a forked process; returns its id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _ended(pid: int) -> int:
    """Exit code of a child, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def kill_at_random(config: TrainConfig, folder: Path, kills: int, seed: int) -> None:
    """Train in ``folder/0``, killed again and again after a part of a second, then in ``folder/1``,
    for so many kills, and the last one to the end. Prints how many kills met a process at work."""
    rng = np.random.default_rng(seed)
    number = met = 0
    for _ in range(kills):
        run = folder / str(number)
        pid = _child(lambda run=run: go_on(config, run))  # type: ignore[misc]
        time.sleep(rng.uniform(0.0, 0.4))
        os.kill(pid, signal.SIGKILL)
        code = _ended(pid)
        assert code in (0, -signal.SIGKILL)
        met += code != 0
        number += code == 0
    run = folder / str(number)
    assert _ended(_child(lambda: finish(config, run))) == 0
    print(met)


def kill_at_every_operation(config: TrainConfig, folder: Path, step: int) -> None:
    """In ``folder/N`` a run that died before its Nth operation on the disk, and was gone on with,
    for every *step*-th N. Prints how many there are."""

    def work(run: Path, due: int) -> None:
        with struck(Faults(due, killed)):
            go_on(config, run)

    due, code = 1, -signal.SIGKILL
    while code == -signal.SIGKILL:
        run = folder / str(due)
        code = _ended(_child(lambda run=run, due=due: work(run, due)))  # type: ignore[misc]
        if code == -signal.SIGKILL:
            assert _ended(_child(lambda run=run: go_on(config, run))) == 0  # type: ignore[misc]
            due += step
    assert code == 0
    print(due)


if __name__ == "__main__":
    import json

    name, *words = sys.argv[1:]
    config = TrainConfig.from_json(json.loads(words[0]))
    globals()[name](config, Path(words[1]), *map(int, words[2:]))
