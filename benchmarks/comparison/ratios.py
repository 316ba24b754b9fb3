"""The baseline against each other subject: how many times larger or slower it is."""

from collections.abc import Mapping, Sequence

import numpy as np

from dspctl.benchmarks.calls.latency import Samples
from dspctl.benchmarks.memory.process import Memory
from dspctl.benchmarks.record.result import Ratio, Subject
from dspctl.benchmarks.stats import Interval, percentile_ratio

LATENCY_RATIOS = {"latency_p50": 0.5, "latency_p90": 0.9, "latency_p99": 0.99}
MEMORY_RATIOS = {"memory_pss": "pss_bytes", "memory_peak": "peak_rss_bytes"}


def latency_ratios(
    found: Mapping[str, Samples], baseline: str, backend: str, *, seed: int
) -> list[Ratio]:
    """Percentiles of one interleaved run; the tail from single calls, the median as in the table.

    Args:
        found: label → samples.
        baseline: the label above the line.
        backend: what ran them.
        seed: of the resampling.

    Returns:
        One ratio per percentile and other subject; none if the baseline could not run.
    """
    ratios = []
    for label in _others(found, baseline):
        for quantity, share in LATENCY_RATIOS.items():
            above, below = found[baseline], found[label]
            ratios.append(
                Ratio(
                    quantity=quantity,
                    backend=backend,
                    baseline=baseline,
                    subject=label,
                    value=percentile_ratio(
                        above.body if share == 0.5 else above.single_ns,
                        below.body if share == 0.5 else below.single_ns,
                        share,
                        seed=seed,
                    ),
                )
            )
    return ratios


def memory_ratios(
    found: Mapping[str, Memory], baseline: str, backend: str, *, seed: int
) -> list[Ratio]:
    """Medians over processes, resampled by turns of all subjects, as the processes were started.

    Args:
        found: label → processes.
        baseline: the label above the line.
        backend: what ran them.
        seed: of the resampling.

    Returns:
        One ratio of PSS and one of peak RSS per other subject; none if the baseline could not run,
        or where the system does not tell.
    """
    ratios = []
    for label in _others(found, baseline):
        for quantity, name in MEMORY_RATIOS.items():
            above, below = (
                [np.array([getattr(probe, name)]) for probe in found[one].probes]
                for one in (baseline, label)
            )
            if not all(block[0] > 0 for block in (*above, *below)):
                continue
            value = percentile_ratio(above, below, 0.5, seed=seed)
            ratios.append(Ratio(quantity, backend, baseline, label, value))
    return ratios


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
