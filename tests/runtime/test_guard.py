from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dspctl import errors
from dspctl.runtime import ActionRule, NumpyRunner, Policy
from dspctl.runtime.policy.guard import FLOAT32_MAX, NOT_FINITE, OUT_OF_RANGE, Guard, usable_range
from tests.runtime.policies import make_policy, plain_guard, policies, suspicious_of
from tests.runtime.runners import assert_follows_the_rules

NAN, INF, TOP = np.nan, np.inf, float(FLOAT32_MAX)


def f32(*values: float) -> Any:
    return np.array(values, np.float32)


def guard(on_invalid: Any = "flag") -> Guard:
    return Guard(f32(-1, 2, -1, -5), f32(1, 3, 1, -4), np.array([0]), on_invalid)


@settings(max_examples=60, deadline=None)
@given(policies(guarded=True), st.integers(0, 2**32 - 1))
def test_status_and_repair_are_what_plain_python_says(policy: Policy, seed: int) -> None:
    rows = suspicious_of(policy, 30, seed)
    status = policy.guard.status(rows, policy.inputs)
    repaired = policy.guard.repair(rows, policy.inputs)
    assert status.dtype == np.uint8
    for row, found, seen in zip(rows, status, repaired, strict=True):
        wanted = plain_guard(policy, row)
        assert found == wanted[0]
        np.testing.assert_array_equal(seen, wanted[1])
        assert policy.guard.status(row, policy.inputs) == found
    read = repaired[:, policy.inputs]
    assert (read >= policy.guard.low[policy.inputs]).all()
    assert (read <= policy.guard.high[policy.inputs]).all()
    assert (policy.guard.status(repaired, policy.inputs) == 0).all()


@settings(max_examples=60, deadline=None)
@given(policies(guarded=True), st.integers(0, 2**32 - 1))
def test_numpy_follows_the_rules(policy: Policy, seed: int) -> None:
    assert_follows_the_rules(NumpyRunner(policy), suspicious_of(policy, 12, seed))


@pytest.mark.parametrize(
    ("observation", "status"),
    [
        ([0, 2.5, 0, -4.5], 0),
        ([-1, 3, 1, -4], 0),
        ([NAN, 2, 0, -4], NOT_FINITE),
        ([INF, 2, 0, -4], NOT_FINITE),
        ([0, 2, 0, -INF], NOT_FINITE),
        ([0, 2, 0, float(np.nextafter(f32(-4), f32(0))[0])], OUT_OF_RANGE),
        ([float(np.nextafter(f32(-1), f32(-2))[0]), 2, 0, -4], OUT_OF_RANGE),
        ([9, NAN, 0, -4], NOT_FINITE | OUT_OF_RANGE),
        ([0, 2, NAN, -4], 0),  # feature 2 is not read
        ([0, 2, -INF, -4], 0),
        ([0, 2, 1e30, -4], 0),
    ],
)
def test_what_is_invalid(observation: list[float], status: int) -> None:
    assert guard().status(f32(*observation), np.array([0, 1, 3])) == status


@pytest.mark.parametrize(
    ("on_invalid", "expected"),
    [
        ("flag", [0, 2, 7, -4]),
        ("hold", [0, 2, 7, -4]),
        ("zero", [0, 2, 7, -4]),
        ("clamp", [1, 3, 7, -5]),
    ],
)
def test_what_the_network_sees(on_invalid: str, expected: list[float]) -> None:
    # Feature 2 is not read and stays; 0 is moved into the ranges 2 to 3 and -5 to -4.
    rows, read = f32(9, INF, 7, -9), np.array([0, 1, 3])
    assert guard(on_invalid).repair(rows, read).tolist() == expected
    assert rows.tolist() == [9, INF, 7, -9]
    assert guard(on_invalid).repair(f32(NAN, NAN, 7, NAN), read).tolist() == [0, 2, 7, -4]


def test_a_policy_without_a_guard_gets_one() -> None:
    discrete = make_policy(start=-3, unread=2).guard
    assert discrete.on_invalid == "flag"
    assert discrete.safe_action.tolist() == [-3]
    assert discrete.safe_action.dtype == np.int64
    assert discrete.low.tolist() == [-FLOAT32_MAX] * 7
    assert discrete.every_finite
    base = make_policy(rule="clip")
    rule = ActionRule("clip", low=f32(-1, 2, -INF), high=f32(1, 3, -5))
    policy = Policy("E", base.observation, base.layers, rule, base.inputs)
    assert policy.guard.safe_action.tolist() == [0, 2, -5]
    assert policy.guard.safe_action.dtype == np.float32


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"on_invalid": "stop"}, errors.PolicyFormat, "'stop' is not one of flag, hold"),
        ({"low": f32(-1, 2)}, errors.PolicyShape, "two equal vectors"),
        ({"low": np.zeros((2, 2), np.float32)}, errors.PolicyShape, "two equal vectors"),
        ({"low": np.array([-1.0, 2, -1, -5])}, errors.PolicyShape, "must be float32"),
        ({"low": f32(2, 2, -1, -5)}, errors.PolicyFormat, "crossed"),
        ({"low": f32(NAN, 2, -1, -5)}, errors.PolicyFormat, "not finite"),
        ({"high": f32(INF, 3, 1, -4)}, errors.PolicyFormat, "not finite"),
        ({"safe_action": f32(NAN)}, errors.PolicyFormat, "finite numbers"),
        ({"safe_action": np.zeros((1, 1))}, errors.PolicyFormat, "a vector"),
    ],
)
def test_guards_that_cannot_be(
    changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        replace(guard(), **changes)


def test_a_guard_must_fit_its_policy() -> None:
    policy = make_policy(unread=1, start=4)
    guard = policy.guard
    with pytest.raises(errors.PolicyShape, match="a guard of 5 features for observations of 6"):
        replace(policy, guard=replace(guard, low=guard.low[:5], high=guard.high[:5]))
    for value in (3, 7):
        with pytest.raises(errors.PolicyFormat, match=f"{value} is not one of the actions 4 to 6"):
            replace(policy, guard=replace(guard, safe_action=np.array([value])))
    for wrong in (f32(4), np.array([4, 5])):
        with pytest.raises(errors.PolicyFormat, match="one integer from 4 to 6"):
            replace(policy, guard=replace(guard, safe_action=wrong))
    policy = make_policy(rule="clip_unscale")
    low, high = policy.action.low, policy.action.high
    for bound in (low, high):
        replace(policy, guard=replace(policy.guard, safe_action=bound))
    for outside in (np.nextafter(low, f32(-INF)), np.nextafter(high, f32(INF))):
        with pytest.raises(errors.PolicyFormat, match=f"bounds {low[0]:g} to {high[0]:g}"):
            replace(policy, guard=replace(policy.guard, safe_action=outside))
    with pytest.raises(errors.PolicyFormat, match="must be 3 numbers"):
        replace(policy, guard=replace(policy.guard, safe_action=low[:2]))


def test_declared_bounds_become_finite() -> None:
    low, high = usable_range(f32(-INF, -1, -TOP), f32(INF, INF, 5))
    assert low.tolist() == [-FLOAT32_MAX, -1, -FLOAT32_MAX]
    assert high.tolist() == [FLOAT32_MAX, FLOAT32_MAX, 5]
    assert low.dtype == high.dtype == np.float32


def test_the_guard_survives_what_is_done_to_a_policy() -> None:
    policy = make_policy(rule="clip", on_invalid="hold", ranged=True)
    for other in (policy.astype(np.float64), policy.with_lineage(more=1)):
        assert other.guard is policy.guard
