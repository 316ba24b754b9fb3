"""Time of one action in a control loop: one call per period, at absolute deadlines.

Calls that follow each other without a pause find warm caches and a processor at its full clock,
and a loop that waits for each answer before it asks again never notices the calls that it could
not make meanwhile (coordinated omission). Here call *i* is due at ``start + i * period``, whatever
the ones before it took, and its latency counts from that *intended* start: a stall of three
periods is in three latencies. The definitions are those of ``policy bench``, the command in C:

    wake-up    begun - intended     the operating system, and calls before this one
    inference  done - begun         the call alone, one reading of the clock included
    latency    done - intended      the sum: what the vehicle sees
    missed     latency > period     the action came after the next one was due

A call that is due already is made at once, late, and never skipped. Subjects take turns in windows
(A B, B A …), so that a change of the machine hits all of them alike.
"""

import math
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.benchmarks.calls.latency import SETTLING_CALLS, Call
from dspctl.benchmarks.calls.timer import ReadClock, collector_off
from dspctl.errors import ConfigProblem, InvalidRate
from dspctl.runtime.sleep import SleepUntil

HZ = 100.0
SLOWEST_HZ, FASTEST_HZ = 50.0, 10_000.0
WINDOWS = 20
"""Turns per subject where there are several; a single one runs in one piece."""
WINDOW_STEPS = 20
"""Fewest steps of a window, where there are several."""

MAX_STEPS = 10_000_000
"""Most steps of one subject, 16 bytes each while it runs; p99.9 asks for 2,654,208."""


@dataclass(frozen=True, eq=False)
class PacedSamples:
    """Raw measurements of one subject, one entry per step, in the order in which they ran.

    Attributes:
        period_ns: from one intended start to the next.
        wakeup_ns: int64 [steps], from the intended start to the actual one.
        inference_ns: int64 [steps], from the actual start to the end.
        window_steps: steps of each window; the schedule begins afresh with each.
    """

    period_ns: int
    wakeup_ns: NDArray[np.int64]
    inference_ns: NDArray[np.int64]
    window_steps: tuple[int, ...]

    @property
    def latency_ns(self) -> NDArray[np.int64]:
        """int64 [steps], from the intended start to the end."""
        return self.wakeup_ns + self.inference_ns

    def windows(self, samples: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """One of the arrays of this record, a part per window."""
        return list(np.split(samples, np.cumsum(self.window_steps)[:-1]))

    @property
    def deadline_misses(self) -> int:
        """Steps that ended after the next one's intended start."""
        return int(np.count_nonzero(self.latency_ns > self.period_ns))


def check_pace(hz: float, seconds: float) -> None:
    """Refuse a rate or a time that cannot be measured.

    Raises:
        InvalidRate: *hz* is outside 50 to 10,000.
        ConfigProblem: no time, or more steps than are kept.
    """
    if not SLOWEST_HZ <= hz <= FASTEST_HZ:
        raise InvalidRate(
            f"the rate of the control loop must be from {SLOWEST_HZ:g} to {FASTEST_HZ:,.0f} Hz, "
            f"not {hz:g}: choose the rate at which the vehicle asks for actions"
        )
    if not (math.isfinite(seconds) and seconds > 0):
        raise ConfigProblem(f"the paced seconds must be a positive number, not {seconds}")
    if seconds * hz > MAX_STEPS:
        raise ConfigProblem(
            f"{seconds:g} seconds at {hz:g} Hz are more than {MAX_STEPS:,} steps: use fewer "
            "seconds or a lower rate"
        )


def measure_paced(
    calls: Mapping[str, Call],
    observations: NDArray[Any],
    *,
    hz: float = HZ,
    seconds: float,
    read: ReadClock,
    sleep_until: SleepUntil,
    windows: int = WINDOWS,
    on_window: Callable[[int, int], None] | None = None,
) -> dict[str, PacedSamples]:
    """Run a control loop for each of *calls*, in turns.

    Args:
        calls: label → a runner, or any function of one observation.
        observations: float [n, obs_dim], raw; handed out in turn, the same ones to everybody.
        hz: steps per second, 50 to 10,000.
        seconds: time for all subjects together.
        read: the clock, in nanoseconds.
        sleep_until: sleeps until a time of that clock.
        windows: turns per subject; fewer where they would be short, one for a single subject.
        on_window: called with windows done and windows in all.

    Raises:
        InvalidRate: *hz* outside its bounds.
        ConfigProblem: no subjects, observations, windows or time, or too many steps.
    """
    check_pace(hz, seconds)
    if not calls or len(observations) == 0 or windows < 1:
        raise ConfigProblem(
            "a paced measurement needs at least one subject, one observation and one window"
        )
    each = seconds * hz / len(calls) + 1e-9
    # A stall counts until its window ends: rather fewer windows than short ones.
    turns = 1 if len(calls) == 1 else max(1, min(windows, int(each / WINDOW_STEPS)))
    steps = max(1, int(each / turns))
    arguments = {label: cycle(list(observations)) for label in calls}
    found: dict[str, list[_Window]] = {label: [] for label in calls}
    order = list(calls)
    with collector_off():
        for done in range(turns):
            for label in order if done % 2 == 0 else reversed(order):
                found[label].append(
                    _window(calls[label], arguments[label], steps, 1e9 / hz, read, sleep_until)
                )
            if on_window is not None:
                on_window(done + 1, turns)
    return {
        label: PacedSamples(
            period_ns=_whole(1e9 / hz),
            wakeup_ns=np.concatenate([one.wakeup_ns for one in parts]),
            inference_ns=np.concatenate([one.inference_ns for one in parts]),
            window_steps=tuple(one.wakeup_ns.size for one in parts),
        )
        for label, parts in found.items()
    }


@dataclass(frozen=True, eq=False)
class _Window:
    wakeup_ns: NDArray[np.int64]
    inference_ns: NDArray[np.int64]


def _window(
    call: Call,
    arguments: Iterator[Any],
    steps: int,
    period_ns: float,
    read: ReadClock,
    sleep_until: SleepUntil,
) -> _Window:
    """One piece of a control loop, after a few untimed calls: another subject ran before."""
    # Written to now, so that no page fault of the log falls into a step.
    begun, done = array("q", [0]) * steps, array("q", [0]) * steps
    for argument in islice(arguments, SETTLING_CALLS):
        call(argument)
    start = read() + _whole(period_ns)
    for index in range(steps):
        argument = next(arguments)
        # From the start, not from the last step: a late step does not move the later ones.
        sleep_until(start + int(index * period_ns))
        begin = read()
        call(argument)
        end = read()
        begun[index], done[index] = begin, end
    intended = start + (np.arange(steps) * period_ns).astype(np.int64)
    began, ended = np.frombuffer(begun, np.int64), np.frombuffer(done, np.int64)
    return _Window(began - intended, ended - began)


def _whole(value_ns: float) -> int:
    """To the nearest nanosecond, halves up, as the command in C rounds a period."""
    return int(value_ns + 0.5)
