"""Percentiles and bootstrap confidence intervals, in NumPy alone.

Latency samples that lie close together in time resemble each other (a timer tick, a slow second),
so treating them as independent gives intervals that are far too narrow. The samples here come in
blocks, the subjects' blocks alternate, and the *blocks* are resampled: Carlstein's bootstrap with
non-overlapping blocks (Annals of Statistics 14, 1986), at the highest level only (Davison and
Hinkley, Bootstrap Methods and their Application, 1997, section 3.8). Kalibera and Jones
("Rigorous benchmarking in reasonable time", ISMM 2013) recommend the same for ratios. Blocks of
the same round stay together in a resample, so that drift which hits both subjects cancels in
their ratio. Blocks are few, and percentile intervals of few values are too narrow; Hesterberg's
expansion (The American Statistician 69, 2015, section 5.3) corrects for it.

Means of independent values (episode returns) get Efron's bias-corrected and accelerated interval
(Journal of the American Statistical Association 82, 1987).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.errors import ConfigProblem

FloatArray = NDArray[np.float64]
Blocks = Sequence[NDArray[Any]]
"""Samples of one subject, one array per block, in the order in which they were measured."""

CONFIDENCE = 0.95
_GRID_LIMIT = 4096
_BEYOND = 10 - 1e-9
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval.

    Attributes:
        estimate: the value from all samples.
        low: lower end.
        high: upper end.
        confidence: share of such intervals that contain the true value; of several that belong
            together, the share of times that all of them do.
        together: how many intervals that is said of.
    """

    estimate: float
    low: float
    high: float
    confidence: float = CONFIDENCE
    together: int = 1


def inverse(value: Interval) -> Interval:
    """One over a positive estimate, with the same confidence."""
    return replace(value, estimate=1 / value.estimate, low=1 / value.high, high=1 / value.low)


def percentile(samples: NDArray[Any], share: float) -> float:
    """The smallest sample that at least *share* of all samples do not exceed.

    This is the nearest-rank percentile (NumPy's ``inverted_cdf``): always a value that occurred,
    never one interpolated into the gap before an outlier.

    Args:
        samples: [n], not empty, any order.
        share: in (0, 1], e.g. 0.999 for p99.9.

    Raises:
        ConfigProblem: no samples, or *share* outside (0, 1].
    """
    if samples.size == 0:
        raise ConfigProblem("a percentile needs at least one sample: measure for longer")
    if not 0 < share <= 1:
        raise ConfigProblem(f"a percentile's share must be in (0, 1], not {share}")
    rank = _rank(share, samples.size)
    return float(np.partition(samples, rank - 1)[rank - 1])


def bootstrap_mean(
    samples: NDArray[Any],
    *,
    confidence: float = CONFIDENCE,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """Interval of the mean of independent samples, bias-corrected and accelerated.

    Percentiles are taken further out where samples are few, see `expanded_tail`.

    Args:
        samples: float [n], at least one; with a single one the interval is that value.
        confidence: e.g. 0.95.
        resamples: bootstrap draws.
        seed: of the draws; the same seed gives the same interval.
    """
    values = np.asarray(samples, np.float64)
    if values.size == 0:
        raise ConfigProblem("a mean needs at least one sample")
    mean = float(values.mean())
    if np.ptp(values) == 0:
        return Interval(mean, mean, mean, confidence)
    rng = np.random.default_rng(seed)
    means = np.concatenate(
        [
            values[rng.integers(0, values.size, (rows, values.size))].mean(axis=1)
            for rows in _chunks(resamples, values.size)
        ]
    )
    # Efron 1987: z0 corrects the bias of the median, the acceleration the skew. For a mean the
    # jackknife's influence values are the deviations themselves, up to a common factor.
    below = np.mean(means < mean) + 0.5 * np.mean(means == mean)
    bias = _NORMAL.inv_cdf(min(max(float(below), 1 / resamples), 1 - 1 / resamples))
    deviation = values - mean
    acceleration = float((deviation**3).sum() / (6 * ((deviation**2).sum()) ** 1.5))
    ends = []
    beyond = expanded_tail(confidence, values.size)
    for tail in (beyond, 1 - beyond):
        z = bias + _NORMAL.inv_cdf(tail)
        ends.append(_NORMAL.cdf(bias + z / (1 - acceleration * z)))
    low, high = np.quantile(means, ends)
    return Interval(mean, float(low), float(high), confidence)


def mean_ratio(
    numerator: NDArray[Any],
    denominator: NDArray[Any],
    *,
    confidence: float = CONFIDENCE,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval | None:
    """Interval of a ratio of two means of paired samples, which are resampled in pairs.

    Args:
        numerator: float [n], sample i paired with that of *denominator*.
        denominator: float [n].
        confidence: e.g. 0.95.
        resamples: bootstrap draws.
        seed: of the draws.

    Returns:
        None where the denominator's mean is not positive in every resample: a share of a return
        around zero means nothing.

    Raises:
        ConfigProblem: no samples, or unequal numbers of them.
    """
    above, below = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    if above.size == 0 or above.shape != below.shape:
        raise ConfigProblem("a ratio of means needs as many samples above as below the line")
    rng = np.random.default_rng(seed)
    drawn = []
    for rows in _chunks(resamples, above.size):
        picks = rng.integers(0, above.size, (rows, above.size))
        means = below[picks].mean(axis=1)
        if means.min() <= 0:
            return None
        drawn.append(above[picks].mean(axis=1) / means)
    estimate = float(above.mean() / below.mean())
    return _interval(estimate, np.concatenate(drawn), confidence, above.size)


def percentile_interval(
    blocks: Blocks,
    share: float,
    *,
    confidence: float = CONFIDENCE,
    resamples: int = 2_000,
    seed: int = 0,
) -> Interval:
    """Interval of a percentile of autocorrelated samples, by resampling whole blocks."""
    weights = _draw_blocks(len(blocks), resamples, seed)
    drawn = _percentiles_of_draws(blocks, share, weights)
    estimate = percentile(np.concatenate(blocks), share)
    return _interval(estimate, drawn, confidence, len(blocks))


def percentile_ratio(
    numerator: Blocks,
    denominator: Blocks,
    share: float,
    *,
    paired: bool = True,
    confidence: float = CONFIDENCE,
    together: int = 1,
    resamples: int = 2_000,
    seed: int = 0,
) -> Interval:
    """Interval of a ratio of two percentiles.

    One of many ratios gets a wider interval, so that all of them hold at once with *confidence*
    (Bonferroni): of a hundred 95% intervals, five would miss. Draws do not reach so far into the
    tail, least of all from few blocks, so there the interval holds at least what Student's
    distribution gives around the logarithm, with the draws' deviation (Efron and Tibshirani, An
    Introduction to the Bootstrap, 1993, section 12.4).

    Args:
        numerator: blocks of the subject above the line, e.g. the unpruned policy.
        denominator: blocks of the other subject.
        share: which percentile, e.g. 0.5 for the median.
        paired: whether block i of both was measured in round i, so that they are resampled
            together and drift cancels; blocks of different runs are resampled apart.
        confidence: e.g. 0.95.
        together: of how many ratios this is one.
        resamples: bootstrap draws of rounds.
        seed: of the draws.

    Raises:
        ConfigProblem: no blocks, or paired ones of different numbers.
    """
    if paired and len(numerator) != len(denominator):
        raise ConfigProblem(
            f"a ratio needs paired blocks, not {len(numerator)} against {len(denominator)}: "
            "measure both subjects in one run"
        )
    weights = _draw_blocks(len(numerator), resamples, seed)
    others = weights if paired else _draw_blocks(len(denominator), resamples, seed + 1)
    above = _percentiles_of_draws(numerator, share, weights)
    below = _percentiles_of_draws(denominator, share, others)
    estimate = percentile(np.concatenate(numerator), share) / percentile(
        np.concatenate(denominator), share
    )
    count, drawn = min(len(numerator), len(denominator)), above / below
    single = _interval(estimate, drawn, 1 - (1 - confidence) / together, count)
    low, high = single.low, single.high
    if together > 1 and count > 1:
        factor = math.exp(
            _student(1 - (1 - confidence) / (2 * together), count - 1)
            * math.sqrt(count / (count - 1))
            * float(np.log(drawn).std(ddof=1))
        )
        low, high = min(low, estimate / factor), max(high, estimate * factor)
    return Interval(estimate, low, high, confidence, together)


def tells_ratio(*subjects: Blocks) -> bool:
    """Whether a ratio's interval can be told: what does not vary between blocks is not known."""
    return all(len(blocks) > 1 for blocks in subjects)


def tells_percentile(samples: int, share: float) -> bool:
    """Whether so many samples say anything of a percentile: ten of them lie beyond it."""
    return samples * (1 - share) >= _BEYOND


def _rank(share: float, count: int) -> int:
    """1-based rank of a percentile; the small term undoes rounding such as 0.29 * 100 > 29."""
    return min(max(math.ceil(share * count - 1e-9), 1), count)


def _chunks(rows: int, columns: int, limit: int = 4_000_000) -> list[int]:
    """Split *rows* so that no chunk holds more than about *limit* values."""
    step = max(1, limit // max(columns, 1))
    return [min(step, rows - start) for start in range(0, rows, step)]


def expanded_tail(confidence: float, values: int, freedom: int | None = None) -> float:
    """The share of bootstrap draws that lies beyond each end of an interval (Hesterberg 2015).

    Drawing from n values instead of the population makes an interval too narrow by
    sqrt((n - 1) / n), and by a normal quantile where Student's belongs; taking percentiles further
    out makes up for both. With one value there is nothing to draw from, and nothing to expand.

    Args:
        confidence: e.g. 0.95.
        values: how many are drawn; of several strata, those of the smallest.
        freedom: degrees of freedom; one less than *values* where there is one stratum.
    """
    tail = (1 - confidence) / 2
    if values > 1:
        freedom = values - 1 if freedom is None else freedom
        tail = _NORMAL.cdf(-math.sqrt(values / (values - 1)) * _student(1 - tail, freedom))
    return tail


def _interval(estimate: float, drawn: FloatArray, confidence: float, values: int) -> Interval:
    """The expanded percentile interval of bootstrap draws of so many values."""
    tail = expanded_tail(confidence, values)
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Interval(estimate, float(low), float(high), confidence)


def _student(share: float, freedom: int) -> float:
    """Quantile of Student's distribution, *share* above 0.5; to 1% from 3 degrees of freedom on.

    The Cornish-Fisher expansion (Abramowitz and Stegun 26.7.5). With fewer degrees it is too small,
    which no percentile of the draws could use up anyway.
    """
    z = _NORMAL.inv_cdf(share)
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )


def _draw_blocks(count: int, resamples: int, seed: int) -> FloatArray:
    """How often each block occurs in each resample, float [resamples, count]."""
    if count == 0:
        raise ConfigProblem("an interval needs at least one block of samples: measure for longer")
    rng = np.random.default_rng(seed)
    return rng.multinomial(count, np.full(count, 1 / count), resamples).astype(np.float64)


def _percentiles_of_draws(blocks: Blocks, share: float, weights: FloatArray) -> FloatArray:
    """The percentile of every resample, float [resamples].

    A resample is a weighting of blocks, so its distribution function is a weighted sum of the
    blocks' own: one matrix product over a grid of values gives all resamples at once. The grid
    holds every distinct value; beyond 4096 of them it keeps ranks spaced evenly, and evenly in
    the logarithm of the distance from the maximum, so that the tail stays resolved.
    """
    pooled = np.unique(np.concatenate(blocks))
    if pooled.size > _GRID_LIMIT:
        everything = np.sort(np.concatenate(blocks))
        last = everything.size - 1
        even = np.linspace(0, last, _GRID_LIMIT // 2)
        tail = last - np.geomspace(1, last, _GRID_LIMIT // 2) + 1
        ranks = np.unique(np.concatenate([even, tail, [0.0, last]]).astype(np.int64))
        pooled = np.unique(everything[ranks])
    below = np.stack(
        [np.searchsorted(np.sort(block), pooled, side="right") for block in blocks]
    ).astype(np.float64)
    sizes = np.array([block.size for block in blocks], np.float64)
    drawn = np.empty(len(weights))
    start = 0
    for rows in _chunks(len(weights), pooled.size):
        part = weights[start : start + rows]
        cumulative = part @ below
        needed = np.ceil(share * (part @ sizes) - 1e-9)
        drawn[start : start + rows] = pooled[(cumulative >= needed[:, None]).argmax(axis=1)]
        start += rows
    return drawn
