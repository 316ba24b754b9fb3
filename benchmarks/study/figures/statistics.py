"""What few runs allow to say: interquartile means, profiles and probabilities, with intervals.

The measures are those of Agarwal et al. ("Deep reinforcement learning at the edge of the
statistical precipice", NeurIPS 2021). Every interval is a stratified bootstrap: the runs of each
environment are drawn anew with replacement, environments stay. Runs are few, three to ten an
environment, and a plain percentile interval of so few is far too narrow: one of five normal
values, said to hold the mean in 95% of cases, holds it in 83%. `expanded_tail` makes up for it.

Strata are float arrays, one per environment, [runs] each. The same values and the same seed give
the same interval.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dspctl.benchmarks.stats import CONFIDENCE, Interval, expanded_tail
from dspctl.errors import ConfigProblem

FloatArray = NDArray[np.float64]
Statistic = Callable[[FloatArray], FloatArray]
"""From draws, float [draws, runs] over all strata, to one value a draw, float [draws]."""

RESAMPLES = 5_000


@dataclass(frozen=True, eq=False)
class Band:
    """A curve with pointwise intervals.

    Attributes:
        estimate: float [points].
        low: lower ends, or None where a stratum has a single run.
        high: upper ends, or None.
    """

    estimate: FloatArray
    low: FloatArray | None
    high: FloatArray | None


def interquartile_mean(scores: FloatArray) -> FloatArray:
    """Mean of the middle half of the last axis.

    A quarter of the values is left out at each end, rounded down to whole values, so of fewer than
    four values it is the mean. ``scipy.stats.trim_mean(scores, 0.25, axis=-1)`` is the same.

    Args:
        scores: float [..., runs].
    """
    cut = scores.shape[-1] // 4
    middle = np.sort(scores, axis=-1)[..., cut : scores.shape[-1] - cut]
    return np.asarray(middle.mean(axis=-1))


def mean(scores: FloatArray) -> FloatArray:
    """Mean of the last axis."""
    return np.asarray(scores.mean(axis=-1))


def optimality_gap(scores: FloatArray) -> FloatArray:
    """How far normalised scores fall short of 1 on average, those above 1 counted as 1."""
    return np.asarray(1 - np.minimum(scores, 1).mean(axis=-1))


def stratified_interval(
    strata: Sequence[FloatArray],
    statistic: Statistic,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, Interval | None]:
    """A statistic of all runs together, and its 95% interval.

    Args:
        strata: the runs of each environment.
        statistic: of the pooled runs.
        resamples: bootstrap draws.
        seed: of the draws.

    Returns:
        The estimate, and None for its interval where a stratum has a single run: from one run
        nothing follows about others.

    Raises:
        ConfigProblem: no stratum, or an empty one.
    """
    _check(strata)
    estimate = float(statistic(np.concatenate(strata)[None])[0])
    if min(len(runs) for runs in strata) < 2:
        return estimate, None
    rng = np.random.default_rng(seed)
    drawn = np.concatenate(
        [runs[rng.integers(0, len(runs), (resamples, len(runs)))] for runs in strata], axis=1
    )
    low, high = _ends(statistic(drawn), [len(runs) for runs in strata])
    # Sums in another order differ in the last bits; they must not put an estimate outside.
    return estimate, Interval(estimate, min(float(low), estimate), max(float(high), estimate))


def mean_band(curves: FloatArray, *, resamples: int = RESAMPLES, seed: int = 0) -> Band:
    """Mean over runs at every point, with pointwise 95% intervals.

    Args:
        curves: float [runs, points].
        resamples: bootstrap draws.
        seed: of the draws.
    """
    return _band([curves], resamples, seed)


def performance_profile(
    strata: Sequence[FloatArray],
    thresholds: FloatArray,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Band:
    """Share of runs that score above each threshold, every environment counted alike.

    Args:
        strata: normalised scores of each environment's runs.
        thresholds: float [points].
        resamples: bootstrap draws.
        seed: of the draws.

    Raises:
        ConfigProblem: no stratum, or an empty one.
    """
    _check(strata)
    above = [(runs[:, None] > thresholds).astype(np.float64) for runs in strata]
    return _band(above, resamples, seed)


def probability_of_improvement(
    first: Sequence[FloatArray],
    second: Sequence[FloatArray],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, Interval | None]:
    """How likely a run of the first method beats one of the second in the same environment.

    In each environment it is the Mann-Whitney statistic over all pairs of runs, a tie counting
    half; then the mean over environments. 0.5 says that neither is better.

    Args:
        first: per environment, the runs of the method in question.
        second: in the same order, those of the method it is compared with.
        resamples: bootstrap draws.
        seed: of the draws.

    Returns:
        The estimate, and its 95% interval, None where a method has a single run somewhere.

    Raises:
        ConfigProblem: no environment, different numbers of them, or one without runs.
    """
    _check(first)
    _check(second)
    if len(first) != len(second):
        raise ConfigProblem("two methods are compared in the same environments: give both there")
    rng = np.random.default_rng(seed)
    estimate, drawn = 0.0, np.zeros(resamples)
    for ours, theirs in zip(first, second, strict=True):
        wins = (ours[:, None] > theirs) + 0.5 * (ours[:, None] == theirs)
        estimate += float(wins.mean()) / len(first)
        rows = _weights(rng, len(ours), resamples)
        columns = _weights(rng, len(theirs), resamples)
        drawn += ((rows @ wins) * columns).sum(axis=1) / len(first)
    sizes = [len(runs) for runs in (*first, *second)]
    if min(sizes) < 2:
        return estimate, None
    low, high = _ends(drawn, sizes)
    return estimate, Interval(estimate, min(float(low), estimate), max(float(high), estimate))


def _band(strata: Sequence[FloatArray], resamples: int, seed: int) -> Band:
    """Mean of the strata's means at every point; strata are float [runs, points]."""
    estimate = np.mean([runs.mean(axis=0) for runs in strata], axis=0)
    sizes = [len(runs) for runs in strata]
    if min(sizes) < 2:
        return Band(estimate, None, None)
    rng = np.random.default_rng(seed)
    drawn = np.zeros((resamples, estimate.size))
    for runs in strata:
        drawn += _weights(rng, len(runs), resamples) @ runs / len(strata)
    low, high = _ends(drawn, sizes)
    return Band(estimate, np.minimum(low, estimate), np.maximum(high, estimate))


def _weights(rng: np.random.Generator, runs: int, resamples: int) -> FloatArray:
    """Each run's share of each draw, float [draws, runs]."""
    return rng.multinomial(runs, np.full(runs, 1 / runs), resamples) / runs


def _ends(drawn: FloatArray, sizes: Sequence[int]) -> tuple[FloatArray, FloatArray]:
    """Both ends of the interval of draws, over the first axis."""
    tail = expanded_tail(CONFIDENCE, min(sizes), sum(size - 1 for size in sizes))
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
    return low, high


def _check(strata: Sequence[FloatArray]) -> None:
    if not strata or any(len(runs) == 0 for runs in strata):
        raise ConfigProblem("statistics need at least one run in every environment")
