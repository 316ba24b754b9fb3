"""The clock: how fine it ticks, what reading it costs, and how many calls one sample needs.

A call of a small compiled policy takes less time than two readings of the clock. So a *sample*
for the median figures times several calls together, enough that the clock's own cost is at most
1% of it; the tail (p90 and above) is taken from single calls, since an average of K calls hides
the one that was late. Both are published with the cost of the clock beside them
(hyperfine and pytest-benchmark calibrate in the same way).
"""

import gc
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

ReadClock = Callable[[], int]
"""A clock: nanoseconds from an arbitrary origin, never going backwards."""

CLOCK_SHARE = 0.01
"""Largest share of a sample that the clock itself may take."""

CLAIM_SHARE = 0.1
"""Largest share of a figure that the clock may be for the figure to be claimed."""

MAX_CALLS_PER_SAMPLE = 10_000


def clock_bounds(figures: Mapping[str, float], clock_cost_ns: float) -> tuple[str, ...]:
    """Names of the *figures* that are upper bounds, since the clock is over a tenth of them.

    Args:
        figures: nanoseconds of single calls, the clock's cost included.
        clock_cost_ns: of one reading.
    """
    return tuple(name for name, ns in figures.items() if clock_cost_ns > CLAIM_SHARE * ns)


@dataclass(frozen=True)
class ClockRecord:
    """The clock behind a result's latencies.

    Attributes:
        name: which clock.
        resolution_ns: the smallest difference above zero that two readings showed.
        cost_ns: median of two readings with nothing between them; every sample contains it once.
        loop_ns: time per call that the timing loop adds.
    """

    name: str
    resolution_ns: int
    cost_ns: float
    loop_ns: float


@dataclass(frozen=True)
class Clock:
    """A clock and what is known about it.

    Attributes:
        name: which clock, for the record.
        resolution_ns: the smallest difference above zero that two readings showed.
        cost_ns: median of two readings with nothing between them; every sample contains it once.
        loop_ns: time per call that the timing loop adds, measured on a call that does nothing.
        read: the clock itself.
    """

    name: str
    resolution_ns: int
    cost_ns: float
    loop_ns: float
    read: ReadClock

    @property
    def record(self) -> ClockRecord:
        """What of it is stored with a result."""
        return ClockRecord(self.name, self.resolution_ns, self.cost_ns, self.loop_ns)

    def calls_per_sample(self, call_ns: float, *, share: float = CLOCK_SHARE) -> int:
        """Calls that one sample must hold so that the clock takes at most *share* of it.

        Args:
            call_ns: estimate of one call, without the clock.
            share: largest share of the sample that cost or resolution may be.
        """
        own_ns = max(self.cost_ns, float(self.resolution_ns))
        calls = math.ceil(own_ns / (share * max(call_ns, 1e-3)))
        return min(max(calls, 1), MAX_CALLS_PER_SAMPLE)


def calibrate(
    read: ReadClock = time.perf_counter_ns,
    *,
    name: str = "perf_counter_ns",
    readings: int = 5_000,
) -> Clock:
    """Measure a clock against itself."""
    pairs = [_pair(read) for _ in range(readings)]
    steps = np.array(pairs)
    positive = steps[steps > 0]
    # A coarse clock stands still over most pairs: its cost is then the mean, not a median of 0.
    cost_ns = float(np.median(steps)) if np.median(steps) > 0 else float(np.mean(steps))
    calls = 200
    nothing: Sequence[int] = range(calls)
    loops = [timed(_nothing, nothing, read) - cost_ns for _ in range(50)]
    return Clock(
        name=name,
        resolution_ns=int(positive.min()) if positive.size else 1,
        cost_ns=cost_ns,
        loop_ns=max(0.0, float(np.median(loops)) / calls),
        read=read,
    )


def timed(call: Callable[[Any], object], arguments: Iterable[Any], read: ReadClock) -> int:
    """Nanoseconds that calling *call* on each of *arguments* takes, one clock cost included."""
    start = read()
    for argument in arguments:
        call(argument)
    return read() - start


@dataclass(frozen=True)
class WarmUp:
    """What it took until the calls ran evenly.

    Attributes:
        calls: calls made, none of them counted in any figure.
        call_ns: time of one call at the end.
        settled: False when the limit came first.
    """

    calls: int
    call_ns: float
    settled: bool


def warm_up(
    call: Callable[[Any], object],
    arguments: Iterator[Any],
    clock: Clock,
    *,
    tolerance: float = 0.05,
    window: int = 5,
    limit_s: float = 1.0,
    limit_calls: int = 200_000,
) -> WarmUp:
    """Call until two successive windows of batches agree, or a limit is reached.

    The first calls load code and data into caches and let the processor raise its frequency.

    Args:
        call: what is measured.
        arguments: an endless iterator of arguments.
        clock: the calibrated clock.
        tolerance: largest relative difference between the medians of two windows.
        window: batches per window.
        limit_s: stop after this many seconds.
        limit_calls: stop after this many calls.
    """
    calls, batch = 0, 1
    begin = clock.read()
    times: list[float] = []
    while True:
        elapsed_ns = timed(call, list(islice(arguments, batch)), clock.read)
        calls += batch
        times.append(elapsed_ns / batch)
        if len(times) >= 2 * window:
            before = float(np.median(times[-2 * window : -window]))
            now = float(np.median(times[-window:]))
            if abs(now - before) <= tolerance * max(before, 1.0):
                return WarmUp(calls, now, settled=True)
        if clock.read() - begin >= limit_s * 1e9 or calls >= limit_calls:
            return WarmUp(calls, float(np.median(times[-window:])), settled=False)
        # Batches grow until one takes a tenth of a millisecond, as timeit's autorange grows.
        if elapsed_ns < 100_000:
            batch = min(batch * 2, MAX_CALLS_PER_SAMPLE)


@contextmanager
def collector_off() -> Iterator[None]:
    """Keep Python's cycle collector out of the samples, as ``timeit`` does."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _pair(read: ReadClock) -> int:
    start = read()
    return read() - start


def _nothing(argument: object) -> None:
    """Stand-in for a call when the loop itself is measured."""
