from typing import Any

import numpy as np
import pytest

from dspctl import errors
from dspctl.runtime import ActionRule, ObservationSpec, Policy, with_guard
from dspctl.runtime.policy.guard import FLOAT32_MAX
from tests.runtime.policies import assert_same_policy, make_policy

TOP = float(FLOAT32_MAX)


def policy_with(low: list[float], high: list[float], rule: ActionRule | None = None) -> Policy:
    base = make_policy(sizes=(2, 3), unread=1, rule="clip" if rule else "argmax")
    spec = ObservationSpec(np.array(low, np.float32), np.array(high, np.float32))
    return Policy("E", spec, base.layers, rule or base.action, base.inputs)


def test_declared_bounds_are_the_range() -> None:
    # The largest float32 is the older spelling of "no bound", here as float64 rounds it.
    policy = policy_with([-1, -np.inf, -3.4028235e38], [2, np.inf, 3.4028235e38])
    guard = with_guard(policy, "hold").guard
    assert guard.on_invalid == "hold"
    assert guard.low.tolist() == [-1, -TOP, -TOP]
    assert guard.high.tolist() == [2, TOP, TOP]


def test_recorded_observations_widen_the_range_also_where_nothing_reads_them() -> None:
    policy = policy_with([-1, -1, -1], [1, 1, 1])
    recorded = np.array([[0.0, -4.0, 0.5], [2.5, 0.0, -0.5]])
    guard = with_guard(policy, "flag", recorded=recorded).guard
    assert guard.low.tolist() == [-1, -4, -1]
    assert guard.high.tolist() == [2.5, 1, 1]
    assert guard.low.dtype == guard.high.dtype == np.float32
    # float64 that float32 rounds away from the middle is inside what float32 makes of it
    guard = with_guard(policy, "flag", recorded=np.full((1, 3), 1.1)).guard
    assert guard.high.tolist() == [float(np.float32(1.1))] * 3


def test_every_finite_value_is_a_range_too() -> None:
    policy = policy_with([-1, -1, -1], [1, 1, 1])
    for recorded in (None, np.zeros((1, 3))):
        guard = with_guard(policy, "clamp", range="finite", recorded=recorded).guard
        assert guard.every_finite
        assert guard.on_invalid == "clamp"


def test_nothing_else_changes() -> None:
    policy = make_policy(rule="tanh_unscale", masks=True, on_invalid="hold", ranged=True)
    changed = with_guard(policy, "zero")
    assert changed.guard is not policy.guard
    assert_same_policy(
        with_guard(changed, "zero"), Policy(**{**vars(policy), "guard": changed.guard})
    )


@pytest.mark.parametrize(
    ("rule", "given", "stored"),
    [
        (ActionRule("argmax", start=2), None, [2]),
        (ActionRule("argmax", start=2), 4, [4]),
        (ActionRule("argmax", start=2), [3.0], [3]),
        (ActionRule("clip", *np.array([[-1, 1, 1], [1, 2, 5]], np.float32)), None, [0, 1, 1]),
        (ActionRule("clip", *np.array([[-1, 1, 1], [1, 2, 5]], np.float32)), [1, 2, 3], [1, 2, 3]),
        (
            ActionRule("clip", *np.array([[-np.inf] * 3, [0.1] * 3], np.float32)),
            [0.1] * 3,
            [0.1] * 3,
        ),
    ],
)
def test_safe_actions(rule: ActionRule, given: Any, stored: list[float]) -> None:
    policy = policy_with([-1] * 3, [1] * 3, None if rule.discrete else rule)
    if rule.discrete:
        policy = Policy("E", policy.observation, policy.layers, rule, policy.inputs)
    safe = with_guard(policy, "flag", given).guard.safe_action
    np.testing.assert_array_equal(safe, np.array(stored, safe.dtype))
    assert safe.dtype == (np.int64 if rule.discrete else np.float32)


@pytest.mark.parametrize(
    ("rule", "given", "message"),
    [
        ("argmax", 3, "3 is not one of the actions 0 to 2"),
        ("argmax", -1, "-1 is not one of the actions 0 to 2"),
        ("argmax", 0.5, "not a whole number"),
        ("argmax", np.nan, "not a whole number"),
        ("argmax", [0, 0], "one integer from 0 to 2"),
        ("argmax", "left", "not made of numbers"),
        ("argmax", None.__class__, "not made of numbers"),
        ("clip", [0.0, 9.0, 0.0], r"its element 1, 9, is outside the action bounds -?[\d.]+ to"),
        ("clip", [np.nan, 0.0, 0.0], "its element 0, nan"),
        ("clip", [1e300, 0.0, 0.0], "its element 0, inf"),
        ("clip", [0.0], "3 numbers"),
        ("clip", [[0.0, 0.0, 0.0]], "3 numbers"),
        ("clip", [True, False, True], "not made of numbers"),
    ],
)
def test_safe_actions_that_the_environment_does_not_take(
    rule: str, given: Any, message: str
) -> None:
    with pytest.raises(errors.InvalidSafeAction, match=message):
        with_guard(make_policy(rule=rule), "flag", given)


def test_unknown_modes_and_recordings_that_do_not_fit() -> None:
    policy: Any = make_policy()
    wrong: Any = "ignore"
    with pytest.raises(errors.UnknownInvalidMode, match=r"'ignore'.+: choose flag, hold, z"):
        with_guard(policy, wrong)
    with pytest.raises(errors.UnknownInvalidMode, match="'ignore': choose declared, finite"):
        with_guard(policy, "flag", range=wrong)
    for shape in ((3, 4), (5,), (0, 5), (1, 1, 5)):
        with pytest.raises(errors.ObservationShape):
            with_guard(policy, "flag", recorded=np.zeros(shape))
    for value in (np.nan, np.inf, 1e39):
        recorded = np.zeros((4, 5))
        recorded[2, 3] = value
        for valid_range in ("declared", "finite"):
            with pytest.raises(errors.ObservationNotFinite, match=r"3 \(x3\) of recorded obs.+ 2 "):
                with_guard(policy, "flag", range=valid_range, recorded=recorded)
