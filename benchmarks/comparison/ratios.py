"""The baseline against each other subject: how many times larger or slower it is."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from dspctl.benchmarks.calls.latency import Samples
from dspctl.benchmarks.calls.paced import PacedSamples
from dspctl.benchmarks.calls.timer import clock_bounds
from dspctl.benchmarks.memory.process import Memory
from dspctl.benchmarks.memory.sizes import CodeSize
from dspctl.benchmarks.record.result import Ratio, Subject
from dspctl.benchmarks.request import Request
from dspctl.benchmarks.stats import (
    Interval,
    percentile,
    percentile_ratio,
    tells_percentile,
    tells_ratio,
)

LATENCY_RATIOS = {
    "latency_p50": 0.5,
    "latency_p90": 0.9,
    "latency_p99": 0.99,
    "latency_p99_9": 0.999,
}
PACED_RATIOS = {"p50": 0.5, "p99": 0.99, "p99_9": 0.999}
"""Of the latency from the intended start, and of the call alone."""
MEMORY_RATIOS = {
    "memory_pss": "pss_bytes",
    "memory_peak": "peak_rss_bytes",
    "memory_added": "added_pss_bytes",
}


def ratios_of(request: Request, subjects: int) -> int:
    """How many ratios a benchmark may give that are estimates, and so hold together or not.

    Those that were asked for, whether or not a backend runs here or a percentile had samples
    enough: chance must not decide how wide an interval is.
    """
    each = len(LATENCY_RATIOS)
    each += 2 * len(PACED_RATIOS) * (request.paced_seconds > 0)
    each += len(MEMORY_RATIOS) * request.memory
    each += request.energy_seconds > 0
    return max(1, each * len(request.backends) * (subjects - 1))


PAGE_BYTES = 4096
PIECE_BYTES = 16 * PAGE_BYTES
"""Linux maps a file around the page that was touched, 64 KiB at a time (fault_around_bytes)."""


def latency_ratios(
    found: Mapping[str, Samples],
    baseline: str,
    backend: str,
    *,
    clock_cost_ns: float,
    seed: int,
    together: int = 1,
) -> list[Ratio]:
    """Percentiles of one interleaved run; the tail from single calls, the median as in the table.

    Args:
        found: label → samples.
        baseline: the label above the line.
        backend: what ran them.
        clock_cost_ns: of one reading; a percentile of which it is more than a tenth is no figure
            to divide by, nor is one with fewer than ten samples beyond it.
        seed: of the resampling.
        together: with how many ratios these hold at once, see `ratios_of`.

    Returns:
        One ratio per percentile and other subject; none if the baseline could not run.
    """
    ratios = []
    for label in _others(found, baseline):
        for quantity, share in LATENCY_RATIOS.items():
            above, below = found[baseline], found[label]
            tails = {one: percentile(found[one].single, share) for one in (baseline, label)}
            if share != 0.5 and (
                clock_bounds(tails, clock_cost_ns)
                or not tells_percentile(min(above.single.size, below.single.size), share)
            ):
                continue
            first, second = (one.body if share == 0.5 else one.single_ns for one in (above, below))
            if not tells_ratio(first, second):
                continue
            ratios.append(
                Ratio(
                    quantity=quantity,
                    backend=backend,
                    baseline=baseline,
                    subject=label,
                    value=percentile_ratio(
                        first,
                        second,
                        share,
                        together=together,
                        seed=seed,
                    ),
                )
            )
    return ratios


def paced_ratios(
    found: Mapping[str, PacedSamples],
    baseline: str,
    backend: str,
    *,
    clock_cost_ns: float,
    seed: int,
    together: int = 1,
) -> list[Ratio]:
    """Percentiles of a control loop, window against window of the same turn.

    Args:
        found: label → samples.
        baseline: the label above the line.
        backend: what ran them.
        clock_cost_ns: as in `latency_ratios`.
        seed: of the resampling.
        together: with how many ratios these hold at once, see `ratios_of`.

    Returns:
        Ratios of the latency from the intended start (most of it is the operating system's) and of
        the call alone, per percentile and other subject; none where the baseline could not run.
    """
    ratios = []
    for label in _others(found, baseline):
        pair = found[baseline], found[label]
        for name in ("latency", "inference"):
            arrays = [getattr(one, f"{name}_ns") for one in pair]
            for percent, share in PACED_RATIOS.items():
                figures = {str(i): percentile(one, share) for i, one in enumerate(arrays)}
                steps = min(one.size for one in arrays)
                if clock_bounds(figures, clock_cost_ns) or not tells_percentile(steps, share):
                    continue
                above, below = (one.windows(array) for one, array in zip(pair, arrays, strict=True))
                if not tells_ratio(above, below):
                    continue
                value = percentile_ratio(above, below, share, together=together, seed=seed)
                quantity = f"paced_{name}_{percent}"
                ratios.append(Ratio(quantity, backend, baseline, label, value))
    return ratios


def code_ratios(code: Sequence[CodeSize], baseline: str) -> list[Ratio]:
    """Flash and stack of the compiled code, target by target: exact, as far as it is known."""
    own = {one.target: one for one in code if one.label == baseline}
    ratios = []
    for other in code:
        first = own.get(other.target)
        if first is None or other.label == baseline:
            continue
        for quantity in ("flash_bytes", "stack_bytes"):
            above, below = getattr(first, quantity), getattr(other, quantity)
            if above and below:
                value = Interval(above / below, above / below, above / below, 1.0)
                ratios.append(Ratio(quantity, other.target, baseline, other.label, value))
    return ratios


def memory_ratios(
    found: Mapping[str, Memory], baseline: str, backend: str, *, seed: int, together: int = 1
) -> list[Ratio]:
    """Medians over processes, resampled by turns of all subjects, as the processes were started.

    Args:
        found: label → processes.
        baseline: the label above the line.
        backend: what ran them.
        seed: of the resampling.
        together: with how many ratios these hold at once, see `ratios_of`.

    Returns:
        Ratios of PSS, of peak RSS and of the PSS that the backend added, per other subject; none
        if the baseline could not run, or where the system does not tell.
    """
    ratios = []
    for label in _others(found, baseline):
        for quantity, name in MEMORY_RATIOS.items():
            above, below = (
                [np.array([getattr(probe, name) or 0]) for probe in found[one].probes]
                for one in (baseline, label)
            )
            if not all(block[0] > 0 for block in (*above, *below)):
                continue
            if not tells_ratio(above, below):
                continue
            value = percentile_ratio(above, below, 0.5, together=together, seed=seed)
            value = _no_finer_than_pages(value, found, (baseline, label), name)
            ratios.append(Ratio(quantity, backend, baseline, label, value))
    return ratios


def _no_finer_than_pages(
    value: Interval, found: Mapping[str, Memory], labels: tuple[str, str], name: str
) -> Interval:
    """Widened to what a piece of memory more or less in either figure makes of the ratio.

    Processes that are started one after the other get the same pieces, and so the same figure to
    the byte; half an hour later it differs by one.
    """
    above, below = (found[label].median(name) for label in labels)
    least, most = max(0.0, above - PIECE_BYTES), above + PIECE_BYTES
    return replace(
        value,
        low=min(value.low, least / (below + PIECE_BYTES)),
        high=max(value.high, most / max(below - PIECE_BYTES, PAGE_BYTES)),
    )


def _others(found: Mapping[str, object], baseline: str) -> list[str]:
    """Labels to set against the baseline; none if that could not run."""
    return [label for label in found if label != baseline] if baseline in found else []


def count_ratios(subjects: Sequence[Subject]) -> list[Ratio]:
    """Units, weights, FLOPs and bytes: exact, so the interval has no width."""
    baseline = subjects[0]
    ratios = []
    for subject in subjects[1:]:
        for quantity in (
            "total_units",
            "weights",
            "flops",
            "parameter_bytes",
            "policy_bytes",
            "onnx_bytes",
        ):
            above, below = getattr(baseline, quantity), getattr(subject, quantity)
            if above is None or not below:
                continue
            value = above / below
            ratios.append(
                Ratio(
                    quantity.removeprefix("total_"),
                    None,
                    baseline.label,
                    subject.label,
                    Interval(value, value, value, 1.0),
                )
            )
    return ratios
