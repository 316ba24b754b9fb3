"""Sentences about what weakens a latency figure and what to do about it, as hyperfine warns."""

import math
from collections.abc import Iterator, Mapping
from statistics import NormalDist

import numpy as np

from dspctl.benchmarks.calls.timer import WarmUp, clock_bounds
from dspctl.benchmarks.stats import Blocks

TAIL: Mapping[str, float] = {"p90": 0.9, "p99": 0.99, "p99.9": 0.999}
"""Percentiles taken from single calls."""

TOO_FEW = "MLPerf's rule asks for"
"""What a note on too few samples can be told by, where a table marks them."""

_DRIFT = 0.10
_LATE = 10.0
_SKEW = 1.25


def advice(
    *,
    calls: int,
    warm_up: WarmUp,
    blocks: Blocks,
    mean_ns: float,
    p50_ns: float,
    tail_ns: Mapping[str, float],
    clock_cost_ns: float,
) -> Iterator[str]:
    """Yield a sentence for each thing that is wrong.

    Args:
        calls: single calls behind the tail.
        warm_up: what preceded the measurement.
        blocks: the median's samples.
        mean_ns: their mean.
        p50_ns: their median.
        tail_ns: nanoseconds by the names in `TAIL`.
        clock_cost_ns: of one reading.
    """
    yield from _too_few(calls, "single calls")
    if not warm_up.settled:
        yield (
            f"the warm-up did not settle within {warm_up.calls:,} calls: stop other "
            "programs, or fix the processor's frequency, and repeat"
        )
    if (spread := drift(blocks)) > _DRIFT:
        yield (
            f"the blocks' medians differ by {spread:.0%}, so the machine was not quiet: stop "
            "other programs and repeat; ratios suffer less, since the subjects alternate"
        )
    if tail_ns["p99"] > _LATE * tail_ns["p90"]:
        times = tail_ns["p99"] / tail_ns["p90"]
        yield (
            f"p99 is {times:.0f} times p90: other work interrupted the calls, the network did not "
            "get slower; on the vehicle, pin the loop to a core and give it a real-time priority"
        )
    if mean_ns > _SKEW * p50_ns:
        yield (
            f"the mean is {mean_ns / p50_ns:.1f} times the median, pulled up by a few interrupted "
            "calls: take the median, or repeat on a quiet machine"
        )
    bound = clock_bounds(tail_ns, clock_cost_ns)
    if bound:
        what = "is an upper bound" if len(bound) == 1 else "are upper bounds"
        yield (
            f"{' and '.join(bound)} of single calls {what}: the clock's own {clock_cost_ns:.0f} ns "
            "is more than a tenth; take the median from here, and the tail from the control loop"
        )


def paced_advice(
    *, steps: int, misses: int, hz: float, period_ns: float, inference_p50_ns: float
) -> Iterator[str]:
    """Yield a sentence for each thing that is wrong with a control loop's figures.

    Args:
        steps: steps behind every figure.
        misses: steps that ended after the next one's intended start.
        hz: the rate.
        period_ns: from one intended start to the next.
        inference_p50_ns: median of the call alone.
    """
    yield from _too_few(steps, "steps")
    if misses and inference_p50_ns > period_ns:
        yield (
            f"{misses:,} of {steps:,} deadlines were missed, since one call takes longer than the "
            f"period at {hz:g} Hz: take a faster backend, a smaller policy or a lower rate"
        )
    elif misses:
        yield (
            f"{misses:,} of {steps:,} deadlines were missed at {hz:g} Hz though the median call is "
            "shorter than the period: other work held the loop up; use --cpu, --fifo and --mlock, "
            "or a quiet machine"
        )


def _too_few(count: int, what: str) -> Iterator[str]:
    """Say which percentiles rest on fewer samples than MLPerf's rule asks for."""
    short = [name for name, share in TAIL.items() if count < calls_needed(share)]
    if short:
        needed = calls_needed(TAIL[short[0]])
        yield (
            f"{' and '.join(short)} rest{'s' if len(short) == 1 else ''} on {count:,} {what}, "
            f"and {TOO_FEW} {needed:,} behind {short[0]}: measure "
            f"{math.ceil(needed / count)} times as long before relying on it"
        )


def calls_needed(share: float) -> int:
    """Calls that MLPerf's rule asks for behind a percentile.

    Inference rules, "number of queries": at 99% confidence the error of the percentile's rank
    stays under a twentieth of the distance to 1; rounded up to a multiple of 8192.
    """
    margin = (1 - share) / 20
    z = NormalDist().inv_cdf(0.995)
    return math.ceil(z * z * share * (1 - share) / margin**2 / 8192) * 8192


def drift(blocks: Blocks) -> float:
    """Spread of the blocks' medians (p95 - p5) relative to their median."""
    medians = np.array([np.median(block) for block in blocks])
    low, middle, high = np.quantile(medians, [0.05, 0.5, 0.95])
    return float((high - low) / middle) if middle > 0 else 0.0
