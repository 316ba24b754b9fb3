"""The share kept, against ratios by hand and a simulation."""

import numpy as np
import pytest

from dspctl.benchmarks.shrink.check import share_kept
from dspctl.errors import ConfigProblem


def test_the_share_is_the_ratio_of_means_where_returns_are_positive() -> None:
    rng = np.random.default_rng(0)
    teacher, student = rng.normal(300, 20, 100), rng.normal(285, 30, 100)
    kept = share_kept(student.tolist(), teacher.tolist())
    assert kept.share == pytest.approx(student.mean() / teacher.mean())
    assert kept.low < kept.share


def test_negative_returns_are_kept_less_the_lower_they_get() -> None:
    assert share_kept([-110.0] * 5, [-100.0] * 5).share == pytest.approx(0.9)
    assert share_kept([-90.0] * 5, [-100.0] * 5).share == pytest.approx(1.1)


def test_equal_returns_leave_no_doubt() -> None:
    kept = share_kept([500.0] * 100, [500.0] * 100)
    assert (kept.share, kept.low) == (1.0, 1.0)


def test_the_bound_holds_in_95_of_100_searches() -> None:
    rng = np.random.default_rng(1)
    below = 0
    for trial in range(400):
        start = rng.normal(0, 30, 100)  # common to both: a hard start is hard for either
        teacher, student = 280 + start, 272 + start + rng.normal(0, 25, 100)
        below += share_kept(student.tolist(), teacher.tolist(), seed=trial).low <= 272 / 280
    assert 0.91 <= below / 400 <= 0.985


def test_pairing_narrows_the_bound() -> None:
    rng = np.random.default_rng(2)
    start = rng.normal(0, 60, 100)
    paired = share_kept((270 + start).tolist(), (280 + start).tolist())
    apart = share_kept((270 + start).tolist(), (280 + rng.permutation(start)).tolist())
    assert paired.share - paired.low < 0.3 * (apart.share - apart.low)


@pytest.mark.parametrize(("student", "teacher"), [([1.0], [1.0, 2.0]), ([], [])])
def test_other_episodes_have_no_share(student: list[float], teacher: list[float]) -> None:
    with pytest.raises(ConfigProblem, match="the same episodes"):
        share_kept(student, teacher)


def test_nothing_is_a_share_of_zero() -> None:
    with pytest.raises(ConfigProblem, match="--max-flash"):
        share_kept([1.0, 2.0], [1.0, -1.0])
