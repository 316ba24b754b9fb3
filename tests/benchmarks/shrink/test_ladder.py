"""The search over sizes, played against networks whose least size is known."""

import numpy as np
import pytest

from dspctl.benchmarks.shrink.ladder import (
    Candidate,
    Passed,
    Tried,
    attempts,
    divisions,
    narrower,
    next_size,
    smallest_passed,
)


def search(
    least: int, *, first: int = 18, largest: int = 256, luck: frozenset[int] = frozenset()
) -> list[Tried]:
    """Everything that is tried where sizes from *least* on pass, but for those of *luck*."""
    tried: list[Tried] = []
    failed: set[int] = set()
    while (size := next_size(tried, failed, first, largest)) is not None:
        assert len(tried) < 100, "the search does not end"
        passed = size >= least and size not in luck
        tried.append(Tried(size, size, f"{size}", passed))
        if not passed:
            failed.add(size)
    return tried


@pytest.mark.parametrize("least", [0, 1, 2, 3, 5, 6, 9, 14, 17, 18, 19, 25, 60, 200, 256])
def test_it_finds_the_least_size(least: int) -> None:
    tried = search(least)
    best = smallest_passed(tried)
    assert best is not None
    assert best.size == least
    assert len(tried) <= 14


def test_it_ends_where_nothing_passes() -> None:
    tried = search(1000)
    assert smallest_passed(tried) is None
    assert max(one.size for one in tried) >= 256


def test_large_steps_first_then_the_gap_is_halved() -> None:
    assert [one.size for one in search(5)] == [18, 10, 6, 3, 4, 5]


def test_a_size_that_only_luck_fails_costs_no_more_than_the_gap() -> None:
    best = smallest_passed(search(4, luck=frozenset({6})))
    assert best is not None
    assert best.size == 7  # below 6 fewer units are assumed to be harder


@pytest.mark.parametrize("size", [0, 1, 2, 3, 6, 9, 18])
def test_divisions_are_all_of_one_size(size: int) -> None:
    found = divisions(size)
    assert len(set(found)) == len(found)
    assert all(sum(one) == size and len(one) <= 2 and 0 not in one for one in found)


def test_attempts_differ_and_begin_with_the_likeliest() -> None:
    found = attempts(6, Passed((9, 9), "tanh"), "tanh")
    assert found[0] == Candidate(6, (3, 3), "tanh", "fresh", 0)
    assert found[1] == Candidate(6, (9, 9), "tanh", "pruned", 0)
    assert len({one.name for one in found}) == len(found) == 6
    assert {one.activation for one in found} == {"tanh", "relu"}
    assert {len(one.hidden) for one in found} == {1, 2}


def test_what_is_pruned_keeps_its_own_activation() -> None:
    found = attempts(6, Passed((9, 9), "relu"), "tanh")
    assert found[1] == Candidate(6, (9, 9), "relu", "pruned", 0)
    assert {one.activation for one in found if one.start != "pruned"} == {"tanh", "relu"}


@pytest.mark.parametrize("largest", [0, 1, 8, 18, 100, 256])
def test_no_network_is_larger_than_the_teacher(largest: int) -> None:
    tried = search(1000, largest=largest)
    assert max(one.size for one in tried) == largest
    assert search(largest, largest=largest)[-1].size <= largest


def test_a_linear_policy_learns_from_the_teacher_first_then_from_rewards_alone() -> None:
    found = attempts(0, Passed((2,), "relu"), "relu")
    assert {(one.size, one.hidden) for one in found} == {(0, ())}
    assert [one.start for one in found] == ["fresh", "rewards", "rewards", "rewards", "fresh"]
    assert len({one.name for one in found}) == 5
    assert found[1].name == "000-linear-by-rewards-relu-seed0"


def test_one_feature_less_the_least_important_first() -> None:
    best = Candidate(4, (4, 4), "relu", "pruned", 0)
    found = narrower(best, (2, 2), ranked=[3, 0, 5], unread={1}, failed=[])
    assert [one.without for one in found] == [(1, 3), (0, 1), (1, 5)]
    assert {(one.size, one.hidden, one.activation, one.start) for one in found} == {
        (4, (2, 2), "relu", "narrowed")
    }
    assert [one.name for one in found[:1]] == ["004-2-2-without-1-3-relu-seed0"]
    # Without 0 alone it failed, so it does without 0 and another; without 0 and 1 is its own try.
    left = narrower(best, (2, 2), [3, 0, 5], {1}, [frozenset({0}), frozenset({1, 5})])
    assert [one.without for one in left] == [(1, 3), (1, 5)]
    assert narrower(best, (2, 2), [3], {0, 1, 5}, []) == []


def test_what_learnt_from_rewards_goes_on_with_rewards() -> None:
    best = Candidate(0, (), "tanh", "rewards", 2)
    found = narrower(best, (), ranked=[1, 0], unread={2}, failed=[])
    assert [one.start for one in found] == ["rewards", "rewards"]
    assert found[0].name == "000-linear-by-rewards-without-1-2-tanh-seed0"


def test_smallest_of_what_came_out_not_of_what_was_asked() -> None:
    tried = [Tried(9, 10, "a", True), Tried(12, 12, "b", True), Tried(4, 4, "c", False)]
    best = smallest_passed(tried)
    assert best is not None
    assert best.name == "a"
    assert np.isclose(best.size, 9)
