import numpy as np
import pytest

from dspctl.benchmarks.study.figures.statistics import (
    interquartile_mean,
    mean,
    mean_band,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
    stratified_interval,
)
from dspctl.errors import ConfigProblem

stats = pytest.importorskip("scipy.stats")


@pytest.mark.parametrize("runs", [*range(1, 13), 25])
def test_interquartile_mean_is_scipys_trimmed_mean(runs: int) -> None:
    scores = np.random.default_rng(runs).lognormal(size=(3, runs))
    assert interquartile_mean(scores) == pytest.approx(stats.trim_mean(scores, 0.25, axis=-1))


def test_optimality_gap_by_hand() -> None:
    # Shortfalls of 0.5, 0 and 0: what exceeds 1 does not make up for the rest.
    assert optimality_gap(np.array([0.5, 1.0, 1.7])) == pytest.approx(0.5 / 3)


def test_interval_of_many_runs_is_students() -> None:
    runs = np.random.default_rng(0).normal(3, 2, 400)
    estimate, interval = stratified_interval([runs], mean)
    low, high = stats.t.interval(0.95, 399, runs.mean(), runs.std(ddof=1) / 20)
    assert interval is not None
    assert estimate == interval.estimate == pytest.approx(runs.mean())
    assert interval.low == pytest.approx(low, abs=0.01)
    assert interval.high == pytest.approx(high, abs=0.01)


@pytest.mark.parametrize(("environments", "runs"), [(1, 5), (1, 10), (3, 3), (4, 5)])
def test_intervals_of_few_runs_hold_the_truth(environments: int, runs: int) -> None:
    """Environments differ a lot, so an interval that ignored the strata would be far too wide."""
    rng = np.random.default_rng(1)
    levels = np.linspace(0, 20, environments)
    trials, covered, widths = 300, 0, []
    for trial in range(trials):
        strata = [level + rng.normal(size=runs) for level in levels]
        _, interval = stratified_interval(strata, mean, resamples=600, seed=trial)
        assert interval is not None
        covered += interval.low <= levels.mean() <= interval.high
        widths.append(interval.high - interval.low)
    # Binomial(300, 0.95) stays above 0.90 in all but 1 of 10^4 cases. Plain percentiles cover 0.83
    # of 1 × 5.
    assert covered / trials >= 0.90
    exact = 2 * stats.t.ppf(0.975, environments * (runs - 1)) / np.sqrt(environments * runs)
    assert np.mean(widths) == pytest.approx(exact, rel=0.2)


def test_plain_percentiles_would_not_hold_it() -> None:
    """Why `expanded_tail` is there."""
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(300):
        runs = rng.normal(size=(1, 5))
        found = stats.bootstrap(
            runs, np.mean, n_resamples=600, method="percentile", rng=rng, vectorized=True
        ).confidence_interval
        covered += found.low <= 0 <= found.high
    assert covered / 300 < 0.88


def test_profile_by_hand() -> None:
    strata = [np.array([0.0, 1.0]), np.array([0.5, 0.5, 0.5, 2.0])]
    found = performance_profile(strata, np.array([-1.0, 0.0, 0.5, 1.0, 2.0]))
    # Above 0.5: half of the first environment, a quarter of the second, which count alike.
    assert found.estimate == pytest.approx([1.0, 0.75, 0.375, 0.125, 0.0])
    assert found.low is not None
    assert found.high is not None
    assert (found.low <= found.estimate).all()
    assert (found.high >= found.estimate).all()
    assert [found.low[0], found.high[0], found.low[-1], found.high[-1]] == [1, 1, 0, 0]


def test_profile_intervals_are_those_of_a_share() -> None:
    """Of 200 runs of which half are above, Wilson's and the bootstrap's agree."""
    found = performance_profile([np.repeat([0.0, 1.0], 100)], np.array([0.5]))
    expected = stats.binomtest(100, 200).proportion_ci(method="wilson")
    assert found.low is not None
    assert found.high is not None
    assert found.low[0] == pytest.approx(expected.low, abs=0.01)
    assert found.high[0] == pytest.approx(expected.high, abs=0.01)


def test_probability_of_improvement_is_brute_force_over_pairs() -> None:
    rng = np.random.default_rng(0)
    first = [rng.integers(0, 5, size).astype(np.float64) for size in (3, 5, 4)]
    second = [rng.integers(0, 5, size).astype(np.float64) for size in (4, 5, 2)]
    shares = []
    for ours, theirs in zip(first, second, strict=True):
        wins = [1.0 if a > b else 0.5 if a == b else 0.0 for a in ours for b in theirs]
        shares.append(sum(wins) / len(wins))
        tested = stats.mannwhitneyu(ours, theirs).statistic / (len(ours) * len(theirs))
        assert tested == pytest.approx(shares[-1])
    estimate, interval = probability_of_improvement(first, second)
    assert estimate == pytest.approx(np.mean(shares))
    other, _ = probability_of_improvement(second, first)
    assert other == pytest.approx(1 - estimate)
    assert interval is not None
    assert 0 <= interval.low <= estimate <= interval.high <= 1


def test_probability_intervals_hold_the_truth() -> None:
    """Two normals one deviation apart: P = Phi(1 / sqrt 2)."""
    truth = float(stats.norm.cdf(1 / np.sqrt(2)))
    rng = np.random.default_rng(2)
    covered = 0
    for trial in range(300):
        ours, theirs = rng.normal(1, 1, (3, 5)), rng.normal(0, 1, (3, 5))
        _, interval = probability_of_improvement(
            list(ours), list(theirs), resamples=600, seed=trial
        )
        assert interval is not None
        covered += interval.low <= truth <= interval.high
    assert covered / 300 >= 0.90


def test_methods_that_never_differ_are_even() -> None:
    estimate, interval = probability_of_improvement([np.full(3, 500.0)], [np.full(5, 500.0)])
    assert estimate == 0.5
    assert interval is not None
    assert (interval.low, interval.high) == (0.5, 0.5)


def test_one_run_has_no_interval() -> None:
    one, two = np.array([3.0]), np.array([1.0, 5.0])
    assert stratified_interval([two, one], mean) == (3.0, None)
    assert probability_of_improvement([one], [two]) == (0.5, None)
    assert mean_band(np.array([[1.0, 2.0]])).low is None
    assert performance_profile([one], np.array([2.0])).high is None


def test_bands_are_pointwise_intervals() -> None:
    curves = np.random.default_rng(0).normal([0, 10, 20], size=(200, 3))
    found = mean_band(curves)
    assert found.estimate == pytest.approx(curves.mean(axis=0))
    half = stats.t.ppf(0.975, 199) * curves.std(axis=0, ddof=1) / np.sqrt(200)
    assert found.low == pytest.approx(found.estimate - half, abs=0.02)
    assert found.high == pytest.approx(found.estimate + half, abs=0.02)


def test_the_same_seed_gives_the_same_interval() -> None:
    strata = [np.random.default_rng(0).normal(size=20), np.arange(20.0)]
    assert stratified_interval(strata, mean, seed=1) == stratified_interval(strata, mean, seed=1)
    assert stratified_interval(strata, mean, seed=1) != stratified_interval(strata, mean, seed=2)


def test_nothing_to_count_is_refused() -> None:
    with pytest.raises(ConfigProblem, match="at least one run"):
        stratified_interval([], mean)
    with pytest.raises(ConfigProblem, match="at least one run"):
        performance_profile([np.zeros(0)], np.zeros(1))
    with pytest.raises(ConfigProblem, match="same environments"):
        probability_of_improvement([np.zeros(2)], [np.zeros(2), np.zeros(2)])
