"""What a control loop asks of the operating system, and what it was refused.

The same three requests as ``policy bench`` makes: one processor, SCHED_FIFO, memory locked. None of
them fails the measurement: a machine that refuses is a fact about the machine, and the result says
which request, and why. Everything granted is given back at the end.

They hold for the calling thread (memory: for the process); threads that a backend has started
before keep what they had.
"""

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from dspctl.errors import ConfigProblem

LOWEST_PRIORITY, HIGHEST_PRIORITY = 1, 99
_MCL_CURRENT, _MCL_FUTURE = 1, 2

_ADVICE = {
    "cpu": "choose one of the processors that this process may use ({allowed})",
    "fifo": "run as root, or allow it with  ulimit -r 99  (rtprio in limits.conf)",
    "mlock": "run as root, or allow it with  ulimit -l unlimited  (memlock in limits.conf)",
}


@dataclass(frozen=True)
class Wanted:
    """What to ask for; by default nothing.

    Attributes:
        cpu: the one processor to run on, from 0.
        fifo: priority under SCHED_FIFO, 1 to 99.
        mlock: whether to lock all memory, present and future.
    """

    cpu: int | None = None
    fifo: int | None = None
    mlock: bool = False

    def __post_init__(self) -> None:
        if self.cpu is not None and self.cpu < 0:
            raise ConfigProblem(f"a processor's number is 0 or more, not {self.cpu}")
        if self.fifo is not None and not LOWEST_PRIORITY <= self.fifo <= HIGHEST_PRIORITY:
            raise ConfigProblem(
                f"a priority under SCHED_FIFO is from {LOWEST_PRIORITY} to {HIGHEST_PRIORITY}, "
                f"not {self.fifo}"
            )


@dataclass(frozen=True)
class Answer:
    """One request and the answer.

    Attributes:
        value: the processor or the priority; 1 for locked memory.
        granted: whether the machine did it.
        reason: why not, in its words; empty where granted.
    """

    value: int
    granted: bool
    reason: str


@dataclass(frozen=True)
class Scheduling:
    """Every request with its answer; None where it was not made."""

    cpu: Answer | None = None
    fifo: Answer | None = None
    mlock: Answer | None = None

    def notes(self, root: Path = Path("/")) -> tuple[str, ...]:
        """A sentence for each refusal and for what a grant brings; *root* is where ``proc`` is."""
        asked = (
            ("cpu", self.cpu, "running on processor {value} alone"),
            ("fifo", self.fifo, "priority {value} under SCHED_FIFO"),
            ("mlock", self.mlock, "locking memory"),
        )
        refused = tuple(
            f"{what.format(value=one.value)} was refused ({one.reason}), so the figures are "
            f"without it: {_ADVICE[name].format(allowed=_allowed())}"
            for name, one, what in asked
            if one is not None and not one.granted
        )
        first = self.fifo is not None and self.fifo.granted
        throttled_us = _throttled_us(root) if first else 0
        if throttled_us > 0:
            return (
                *refused,
                f"under SCHED_FIFO Linux stops calls back to back for up to {throttled_us / 1e3:g} "
                "ms of each period in which they never sleep (sched_rt_runtime_us): take the "
                "maximum from the control loop",
            )
        return refused


@contextmanager
def scheduled(wanted: Wanted) -> Iterator[Scheduling]:
    """Ask for everything that is *wanted*, yield the answers, and restore what was before.

    No request fails: see `Scheduling.notes`. Memory is unlocked at the end, also what the caller
    may have locked before.
    """
    with ExitStack() as undo:
        yield Scheduling(
            cpu=None if wanted.cpu is None else _ask(_pin, wanted.cpu, undo),
            # Memory before priority, as the command in C does: locking takes its time.
            mlock=_ask(_lock_memory, 1, undo) if wanted.mlock else None,
            fifo=None if wanted.fifo is None else _ask(_run_first, wanted.fifo, undo),
        )


def _ask(request: Callable[[int, ExitStack], None], value: int, undo: ExitStack) -> Answer:
    try:
        request(value, undo)
    except (OSError, OverflowError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        return Answer(value, granted=False, reason=reason or str(error))
    except (AttributeError, TypeError):  # macOS and Windows lack some or all of the three
        return Answer(value, granted=False, reason="this system cannot")
    return Answer(value, granted=True, reason="")


def _pin(cpu: int, undo: ExitStack) -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    undo.callback(os.sched_setaffinity, 0, before)


def _run_first(priority: int, undo: ExitStack) -> None:
    policy, parameter = os.sched_getscheduler(0), os.sched_getparam(0)
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    undo.callback(os.sched_setscheduler, 0, policy, parameter)


def _lock_memory(_: int, undo: ExitStack) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.mlockall(_MCL_CURRENT | _MCL_FUTURE) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    undo.callback(library.munlockall)


def _throttled_us(root: Path) -> int:
    """Time per period that the kernel keeps from real-time threads; 0 where it does not say."""
    folder = root / "proc/sys/kernel"
    try:
        period_us = int((folder / "sched_rt_period_us").read_text())
        runtime_us = int((folder / "sched_rt_runtime_us").read_text())
    except (OSError, ValueError):
        return 0
    return 0 if runtime_us < 0 else period_us - runtime_us


def _allowed() -> str:
    """The processors of this process, such as ``0, 1, 5``."""
    try:
        return ", ".join(map(str, sorted(os.sched_getaffinity(0))))
    except AttributeError:
        return "unknown here"
