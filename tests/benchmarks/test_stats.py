from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dspctl.benchmarks.stats import (
    Interval,
    bootstrap_mean,
    inverse,
    mean_ratio,
    percentile,
    percentile_interval,
    percentile_ratio,
    tells_percentile,
)
from dspctl.errors import ConfigProblem

SHARES = (0.001, 0.1, 0.29, 0.5, 0.57, 0.9, 0.99, 0.999, 1.0)


@given(
    st.lists(st.integers(0, 10**9), min_size=1, max_size=300),
    st.sampled_from(SHARES),
)
def test_percentile_is_numpys_inverted_cdf(values: list[int], share: float) -> None:
    samples = np.array(values)
    assert percentile(samples, share) == np.percentile(samples, 100 * share, method="inverted_cdf")


def test_percentile_leaves_the_samples_alone() -> None:
    samples = np.array([3, 1, 2])
    assert percentile(samples, 0.5) == 2
    assert samples.tolist() == [3, 1, 2]


@pytest.mark.parametrize("share", [0.0, -0.1, 1.01])
def test_percentile_refuses_other_shares(share: float) -> None:
    with pytest.raises(ConfigProblem, match="share"):
        percentile(np.arange(3), share)


def test_percentile_refuses_no_samples() -> None:
    with pytest.raises(ConfigProblem, match="at least one sample"):
        percentile(np.array([]), 0.5)


@pytest.mark.parametrize("kind", ["normal", "lognormal"])
def test_interval_of_a_mean_covers_the_true_mean(kind: str) -> None:
    rng = np.random.default_rng(1)
    count, trials, covered = 50, 400, 0
    true = 0.0 if kind == "normal" else float(np.exp(0.5 * 0.6**2))
    for trial in range(trials):
        samples = rng.normal(size=count) if kind == "normal" else rng.lognormal(0, 0.6, count)
        interval = bootstrap_mean(samples, resamples=1000, seed=trial)
        covered += interval.low <= true <= interval.high
    # Binomial(400, 0.95) stays above 0.90 in all but 1 of 10^5 cases; 50 skewed values cost a
    # little coverage, which the bootstrap is known for.
    assert 0.90 <= covered / trials <= 0.99


def test_interval_of_a_mean_matches_the_t_interval_for_a_normal_sample() -> None:
    samples = np.random.default_rng(0).normal(10, 2, 1000)
    interval = bootstrap_mean(samples)
    half = 1.96 * samples.std(ddof=1) / np.sqrt(1000)
    assert interval.estimate == samples.mean()
    assert interval.low == pytest.approx(samples.mean() - half, abs=0.1 * half)
    assert interval.high == pytest.approx(samples.mean() + half, abs=0.1 * half)


def test_interval_of_the_mean_of_few_covers_it_too() -> None:
    rng = np.random.default_rng(4)
    hits = 0
    for seed in range(400):
        interval = bootstrap_mean(rng.normal(size=5), resamples=2000, seed=seed)
        hits += interval.low <= 0 <= interval.high
    assert 0.9 <= hits / 400 <= 0.99


def test_intervals_are_seeded() -> None:
    samples = np.random.default_rng(0).exponential(size=40)
    assert bootstrap_mean(samples, seed=3) == bootstrap_mean(samples, seed=3)
    assert bootstrap_mean(samples, seed=3) != bootstrap_mean(samples, seed=4)
    blocks = np.split(samples, 8)
    assert percentile_interval(blocks, 0.5, seed=3) == percentile_interval(blocks, 0.5, seed=3)


def test_interval_of_equal_values_is_a_point() -> None:
    interval = bootstrap_mean(np.full(100, 500.0))
    assert (interval.low, interval.estimate, interval.high) == (500.0, 500.0, 500.0)
    assert bootstrap_mean(np.array([7.0])).high == 7.0


def brute_force(blocks: list[np.ndarray], share: float, draws: np.ndarray) -> list[float]:
    """Percentile of each resample, one after the other, in NumPy's own definition."""
    return [
        float(
            np.percentile(
                np.concatenate(
                    [block for block, n in zip(blocks, row, strict=True) for _ in range(int(n))]
                ),
                100 * share,
                method="inverted_cdf",
            )
        )
        for row in draws
    ]


def expanded(values: int, student: float) -> float:
    """The tail of Hesterberg's expanded percentile interval, with a quantile from a table."""
    return NormalDist().cdf(-student * (values / (values - 1)) ** 0.5)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.sampled_from([0.1, 0.5, 0.9, 0.99]))
def test_block_bootstrap_is_the_brute_force_one(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    blocks = [rng.integers(0, 50, rng.integers(1, 20)) for _ in range(6)]
    interval = percentile_interval(blocks, share, resamples=50, seed=seed)
    draws = np.random.default_rng(seed).multinomial(6, np.full(6, 1 / 6), 50)
    tail = expanded(6, 2.570582)
    low, high = np.quantile(brute_force(blocks, share, draws), [tail, 1 - tail])
    assert (interval.low, interval.high) == pytest.approx((low, high), rel=0.02, abs=0.02)


def test_thinned_grid_stays_close_to_the_exact_draws() -> None:
    rng = np.random.default_rng(0)
    blocks = [rng.lognormal(9 + 0.1 * rng.standard_normal(), 0.3, 2_000) for _ in range(20)]
    draws = np.random.default_rng(0).multinomial(20, np.full(20, 1 / 20), 100)
    tail = expanded(20, 2.093024)
    for share in (0.5, 0.99, 0.999):
        interval = percentile_interval(blocks, share, resamples=100)
        low, high = np.quantile(brute_force(blocks, share, draws), [tail, 1 - tail])
        assert interval.low == pytest.approx(low, rel=0.005)
        assert interval.high == pytest.approx(high, rel=0.005)


def autocorrelated(rng: np.random.Generator, blocks: int, size: int) -> list[np.ndarray]:
    """Blocks with a level of their own: samples within one are alike, between them not."""
    return [100 + 5 * rng.standard_normal() + rng.standard_normal(size) for _ in range(blocks)]


def test_interval_respects_autocorrelation() -> None:
    rng = np.random.default_rng(2)
    trials, covered, naive_covered = 150, 0, 0
    for trial in range(trials):
        blocks = autocorrelated(rng, 30, 10)
        interval = percentile_interval(blocks, 0.5, resamples=400, seed=trial)
        covered += interval.low <= 100 <= interval.high
        singles = [np.array([value]) for value in np.concatenate(blocks)]
        naive = percentile_interval(singles, 0.5, resamples=100, seed=trial)
        naive_covered += naive.low <= 100 <= naive.high
    assert 0.88 <= covered / trials <= 0.99
    assert naive_covered / trials < 0.75


def test_ratio_covers_the_truth_and_drift_cancels() -> None:
    rng = np.random.default_rng(3)
    trials, covered = 150, 0
    for trial in range(trials):
        levels = 1 + 0.3 * rng.random(30)  # the machine's speed, shared by both in each round
        slow = [level * 20 * (1 + 0.02 * rng.standard_normal(10)) for level in levels]
        fast = [level * 10 * (1 + 0.02 * rng.standard_normal(10)) for level in levels]
        ratio = percentile_ratio(slow, fast, 0.5, resamples=400, seed=trial)
        covered += ratio.low <= 2 <= ratio.high
    alone = percentile_interval(slow, 0.5)
    assert 0.88 <= covered / trials <= 1.0
    assert (ratio.high - ratio.low) / ratio.estimate < 0.5 * (
        alone.high - alone.low
    ) / alone.estimate


def test_ratio_needs_paired_blocks() -> None:
    with pytest.raises(ConfigProblem, match="paired"):
        percentile_ratio([np.ones(3)], [np.ones(3), np.ones(3)], 0.5)
    with pytest.raises(ConfigProblem, match="at least one block"):
        percentile_interval([], 0.5)


def test_blocks_of_different_runs_are_resampled_apart() -> None:
    rng = np.random.default_rng(0)
    drift = rng.normal(1.0, 0.1, 30)  # the same machine, slow and fast by turns
    above = [200 * one * rng.normal(1, 0.001, 50) for one in drift]
    below = [100 * one * rng.normal(1, 0.001, 50) for one in drift]
    paired = percentile_ratio(above, below, 0.5)
    apart = percentile_ratio(above, below, 0.5, paired=False)
    assert paired.estimate == apart.estimate
    assert apart.high - apart.low > 3 * (paired.high - paired.low)
    assert percentile_ratio(above, below[:20], 0.5, paired=False).estimate == pytest.approx(2, 0.1)
    with pytest.raises(ConfigProblem, match="paired blocks"):
        percentile_ratio(above, below[:20], 0.5)


def test_a_ratio_of_paired_means() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(200, 50, 100)
    found = mean_ratio(0.97 * base, base)
    assert found is not None
    assert found.estimate == pytest.approx(0.97)
    assert found.high - found.low < 1e-9  # what they share cancels
    assert mean_ratio(base, base - 200) is None
    with pytest.raises(ConfigProblem):
        mean_ratio(base, base[:-1])


def test_few_blocks_still_cover_the_truth() -> None:
    rng = np.random.default_rng(5)
    trials, covered = 300, 0
    for trial in range(trials):
        blocks = autocorrelated(rng, 6, 10)
        interval = percentile_interval(blocks, 0.5, resamples=400, seed=trial)
        covered += interval.low <= 100 <= interval.high
    assert 0.93 <= covered / trials <= 0.99  # without the expansion it is 0.91


def test_a_percentile_needs_samples_beyond_it() -> None:
    assert tells_percentile(1000, 0.99)
    assert not tells_percentile(999, 0.99)
    assert tells_percentile(10_000, 0.999)
    assert tells_percentile(20, 0.5)


def test_of_many_ratios_all_hold_at_once() -> None:
    rng = np.random.default_rng(7)
    trials, many = 80, 40
    all_hold = dict.fromkeys((1, many), 0)
    for trial in range(trials):
        pairs = [
            [
                [level * one * (1 + 0.02 * rng.standard_normal()) for level in (1.0,) * 10]
                for one in (20.0, 10.0)
            ]
            for _ in range(many)
        ]
        for together in all_hold:
            found = [
                percentile_ratio(
                    [np.array([value]) for value in above],
                    [np.array([value]) for value in below],
                    0.5,
                    together=together,
                    resamples=200,
                    seed=trial,
                )
                for above, below in pairs
            ]
            all_hold[together] += all(one.low <= 2 <= one.high for one in found)
            assert {(one.confidence, one.together) for one in found} == {(0.95, together)}
    assert all_hold[many] / trials >= 0.93
    assert all_hold[1] / trials < 0.5


def test_one_of_many_ratios_is_as_wide_as_student_says() -> None:
    rng = np.random.default_rng(8)
    above = [np.array([200 * np.exp(0.01 * rng.standard_normal())]) for _ in range(10)]
    below = [np.array([100.0]) for _ in range(10)]
    found = percentile_ratio(above, below, 0.5, together=78, resamples=20_000)
    logs = np.log([one[0] / 100 for one in above])
    # The median of ten normal values varies sqrt(pi / 2) times as much as their mean; Student's
    # quantile at 1 - 0.05 / 156 with 9 degrees of freedom is 5.105, from a table.
    wide = 5.105 * np.sqrt(np.pi / 2) * logs.std(ddof=1) / np.sqrt(10)
    assert np.log(found.high / found.estimate) == pytest.approx(wide, rel=0.4)
    assert found.high / found.estimate == pytest.approx(found.estimate / found.low, rel=0.02)


def test_the_inverse_of_a_ratio() -> None:
    assert inverse(Interval(4.0, 2.0, 5.0, 0.9, 7)) == Interval(0.25, 0.2, 0.5, 0.9, 7)
