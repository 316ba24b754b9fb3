"""Time of one action at batch 1, several subjects in one run.

The subjects take turns in short blocks (A B, B A, A B …), so a machine that slows down or is
disturbed hits all of them alike, and the order within a round alternates, so a steady drift
cancels. Calls run back to back with warm caches; each block begins with a few untimed calls,
because the other subject has just emptied the caches.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.benchmarks.calls.advice import TAIL, advice
from dspctl.benchmarks.calls.timer import (
    Clock,
    ReadClock,
    WarmUp,
    clock_bounds,
    collector_off,
    timed,
    warm_up,
)
from dspctl.benchmarks.stats import Blocks, Interval, percentile, percentile_interval
from dspctl.errors import ConfigProblem

Call = Callable[[Any], object]

ROUNDS = 40
"""Blocks per subject: enough to resample, each long enough to hold many calls."""

SETTLING_CALLS = 20
MAX_SINGLE_CALLS = 3_000_000
"""Most single calls kept per subject; MLPerf's rule for p99.9 asks for 2,654,208."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Raw measurements of one subject, block by block.

    Attributes:
        single_ns: per block, int64 [calls]: one call each, the clock's cost included.
        batched_ns: per block, int64 [samples]: ``calls_per_sample`` calls each; empty when one
            call is already long enough.
        calls_per_sample: calls in each batched sample.
        warm_up: what preceded the measurement.
    """

    single_ns: tuple[NDArray[np.int64], ...]
    batched_ns: tuple[NDArray[np.int64], ...]
    calls_per_sample: int
    warm_up: WarmUp

    @property
    def body(self) -> Blocks:
        """Nanoseconds per call for min, mean and median: the batched samples if there are any."""
        if self.calls_per_sample == 1:
            return self.single_ns
        return [block / self.calls_per_sample for block in self.batched_ns]

    @property
    def single(self) -> NDArray[np.int64]:
        """All single calls, int64 [n]."""
        return np.concatenate(self.single_ns)


@dataclass(frozen=True)
class Latency:
    """The figures of one subject on one backend, nanoseconds per call.

    Attributes:
        label: the subject.
        backend: what ran it.
        min_ns: fastest sample.
        mean_ns: mean over all calls of the median's samples.
        p50_ns: median, with its interval.
        p90_ns: from single calls, the clock's cost included, as are all below.
        p99_ns: as p90.
        p99_9_ns: as p90.
        max_ns: slowest single call.
        single_calls: calls behind p90 and above.
        calls_per_sample: calls averaged in each sample of min, mean and median.
        samples: samples behind min, mean and median.
        warm_up_calls: calls made before measuring.
        clock_cost_ns: what one reading of the clock adds to a single call.
        clock_bound: which of ``p90``, ``p99``, ``p99_9`` and ``max`` are upper bounds only: the
            clock is more than a tenth of them.
        notes: sentences about what weakens these figures, and what to do.
    """

    label: str
    backend: str
    min_ns: float
    mean_ns: float
    p50_ns: Interval
    p90_ns: float
    p99_ns: float
    p99_9_ns: float
    max_ns: float
    single_calls: int
    calls_per_sample: int
    samples: int
    warm_up_calls: int
    clock_cost_ns: float
    clock_bound: tuple[str, ...]
    notes: tuple[str, ...]


def measure_latency(
    calls: Mapping[str, Call],
    observations: NDArray[Any],
    clock: Clock,
    *,
    seconds: float,
    rounds: int = ROUNDS,
    calls_per_sample: Mapping[str, int] | None = None,
    on_round: Callable[[int, int], None] | None = None,
) -> dict[str, Samples]:
    """Time all of *calls* in one interleaved run.

    Args:
        calls: label → a runner, or any function of one observation.
        observations: float [n, obs_dim], raw; handed out in turn, the same ones to everybody.
        clock: from :func:`dspctl.benchmarks.calls.timer.calibrate`.
        seconds: time for all subjects together, warm-up apart.
        rounds: blocks per subject.
        calls_per_sample: label → calls of each batched sample, so that samples of several
            processes are of one kind; without an entry the clock decides.
        on_round: called with rounds done and rounds in all.

    Raises:
        ConfigProblem: no subjects, observations, rounds or time.
    """
    if not calls or len(observations) == 0 or rounds < 1 or not seconds > 0:
        raise ConfigProblem(
            "a latency measurement needs at least one subject, one observation and one round, "
            "and more than 0 seconds"
        )
    arguments = {label: cycle(list(observations)) for label in calls}
    block_ns = seconds * 1e9 / (len(calls) * rounds)
    with collector_off():
        warm = {label: warm_up(call, arguments[label], clock) for label, call in calls.items()}
        fixed = calls_per_sample or {}
        plans = {
            label: _plan(warm[label], clock, block_ns, rounds, fixed.get(label)) for label in calls
        }
        blocks: dict[str, list[_Block]] = {label: [] for label in calls}
        order = list(calls)
        for done in range(rounds):
            for label in order if done % 2 == 0 else reversed(order):
                blocks[label].append(
                    _block(calls[label], arguments[label], plans[label], clock.read)
                )
            if on_round is not None:
                on_round(done + 1, rounds)
    return {
        label: Samples(
            single_ns=tuple(block.single_ns for block in blocks[label]),
            batched_ns=tuple(block.batched_ns for block in blocks[label]),
            calls_per_sample=plans[label].calls_per_sample,
            warm_up=warm[label],
        )
        for label in calls
    }


def summarize(
    label: str, backend: str, samples: Samples, clock_cost_ns: float, *, seed: int = 0
) -> Latency:
    """Figures and notes from raw samples.

    Args:
        label: the subject.
        backend: what ran it.
        samples: the raw measurements.
        clock_cost_ns: what one reading of the clock adds to a single call.
        seed: of the resampling.
    """
    body = np.concatenate(samples.body)
    single = samples.single
    tail = {name: percentile(single, share) for name, share in TAIL.items()}
    p50 = percentile_interval(samples.body, 0.5, seed=seed)
    tail_figures = {
        "p90": tail["p90"],
        "p99": tail["p99"],
        "p99_9": tail["p99.9"],
        "max": float(single.max()),
    }
    return Latency(
        label=label,
        backend=backend,
        min_ns=float(body.min()),
        mean_ns=float(body.mean()),
        p50_ns=p50,
        p90_ns=tail_figures["p90"],
        p99_ns=tail_figures["p99"],
        p99_9_ns=tail_figures["p99_9"],
        max_ns=tail_figures["max"],
        single_calls=int(single.size),
        calls_per_sample=samples.calls_per_sample,
        samples=int(body.size),
        warm_up_calls=samples.warm_up.calls,
        clock_cost_ns=clock_cost_ns,
        clock_bound=clock_bounds(tail_figures, clock_cost_ns),
        notes=tuple(
            advice(
                calls=single.size,
                warm_up=samples.warm_up,
                blocks=samples.body,
                mean_ns=float(body.mean()),
                p50_ns=p50.estimate,
                tail_ns=tail,
                clock_cost_ns=clock_cost_ns,
            )
        ),
    )


@dataclass(frozen=True)
class _Plan:
    """How many samples one block takes."""

    single: int
    batched: int
    calls_per_sample: int


@dataclass(frozen=True, eq=False)
class _Block:
    single_ns: NDArray[np.int64]
    batched_ns: NDArray[np.int64]


def _plan(warm: WarmUp, clock: Clock, block_ns: float, rounds: int, calls: int | None) -> _Plan:
    """Fixed counts per block, from the warm-up's estimate; both kinds share the block's time."""
    per_sample = calls or clock.calls_per_sample(warm.call_ns)
    single_ns = warm.call_ns + 2 * clock.cost_ns
    share = 1.0 if per_sample == 1 else 0.5
    single = int(share * block_ns / single_ns)
    batched = 0 if per_sample == 1 else int(0.5 * block_ns / (per_sample * warm.call_ns))
    return _Plan(
        single=min(max(single, 5), max(MAX_SINGLE_CALLS // rounds, 5)),
        batched=max(batched, 5) if per_sample > 1 else 0,
        calls_per_sample=per_sample,
    )


def _block(call: Call, arguments: Iterator[Any], plan: _Plan, read: ReadClock) -> _Block:
    for argument in islice(arguments, SETTLING_CALLS):
        call(argument)
    batched = [
        timed(call, list(islice(arguments, plan.calls_per_sample)), read)
        for _ in range(plan.batched)
    ]
    single = []
    for argument in islice(arguments, plan.single):
        start = read()
        call(argument)
        single.append(read() - start)
    return _Block(np.array(single, np.int64), np.array(batched, np.int64))
