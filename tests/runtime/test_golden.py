import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from safetensors.numpy import load, save

from dspctl.runtime import Policy
from dspctl.runtime.reference.edges import edge_observations, invalid_observations
from dspctl.runtime.reference.golden import (
    Golden,
    bytes_from_golden,
    golden_from_bytes,
    golden_from_policy,
)
from dspctl.runtime.reference.rounding import TIE, UNIT_ROUNDOFF
from tests.runtime.policies import (
    make_policy,
    observations_of,
    plain_action,
    plain_guard,
    plain_outputs,
    policies,
)


def golden_of(policy: Policy) -> Golden:
    rng = np.random.default_rng(0)
    rows = [edge_observations(policy, rng)[::20], invalid_observations(policy, rng)]
    return golden_from_policy(policy, np.concatenate(rows))


@settings(max_examples=30, deadline=None)
@given(policies(guarded=True))
def test_they_are_what_plain_python_says_and_survive_their_file(policy: Policy) -> None:
    golden = golden_of(policy)
    rows = zip(golden.observations, golden.outputs, golden.actions, golden.status, strict=True)
    for observation, outputs, action, status in rows:
        wanted, seen = plain_guard(policy, observation)
        assert status == wanted
        exact = plain_outputs(policy, seen)
        scale = 1 + np.abs(exact).max()
        np.testing.assert_allclose(outputs, exact, rtol=0, atol=1e-9 * scale)
        if status and policy.guard.on_invalid in ("flag", "hold"):
            np.testing.assert_array_equal(np.atleast_1d(action), policy.guard.safe_action)
        elif policy.action.discrete:
            assert max(exact) - exact[action - policy.action.start] <= 1e-9 * scale
        else:
            np.testing.assert_allclose(action, plain_action(policy, seen), rtol=2e-7, atol=1e-7)
    data = bytes_from_golden(golden)
    again = golden_from_bytes(data, policy)
    for name, value in vars(golden).items():
        other = getattr(again, name)
        if value is None:
            assert other is None
        else:
            assert other.dtype == value.dtype
            np.testing.assert_array_equal(other, value)
    assert bytes_from_golden(again) == data


def test_tolerances_are_those_of_the_observation_and_zero_for_the_guards_answer() -> None:
    observations = np.zeros((3, 5), np.float32)
    observations[1, 2], observations[2, 0] = np.nan, 100.0
    for mode, guarded in (("flag", True), ("hold", True), ("zero", False), ("clamp", False)):
        discrete = golden_from_policy(make_policy(on_invalid=mode), observations)
        assert discrete.action_bound is None
        assert discrete.tie_gap is not None
        assert discrete.output_bound.shape == discrete.tie_gap.shape == (3,)
        # 16 units in the last place of 1 at least.
        assert (discrete.output_bound >= 16 * UNIT_ROUNDOFF).all()
        expected = np.maximum(TIE, 2 * discrete.output_bound)
        if guarded:
            expected[1] = 0
        np.testing.assert_array_equal(discrete.tie_gap, expected)
        free = golden_from_policy(make_policy(rule="tanh_unscale", on_invalid=mode), observations)
        assert free.tie_gap is None
        assert free.action_bound is not None
        assert free.action_bound.shape == (3, 3)
        assert (free.action_bound[[0, 2]] > 0).all()
        assert (free.action_bound[1] == 0).all() == guarded


def test_the_same_vectors_in_another_process() -> None:
    code = (
        "import sys; sys.path.insert(0, '.'); "
        "from tests.runtime.test_golden import golden_of, bytes_from_golden, make_policy; "
        "import hashlib; policy = make_policy(on_invalid='flag', ranged=True, unread=1); "
        "print(hashlib.sha256(bytes_from_golden(golden_of(policy))).hexdigest())"
    )
    prints = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
        for _ in range(2)
    }
    assert len(prints) == 1
    assert len(prints.pop().strip()) == 64


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("observations", None, "needs"),
        ("status", None, "needs"),
        ("output_bound", None, "needs"),
        ("action_bound", None, "needs"),
        ("tie_gap", np.zeros(4), "needs"),
        ("more", np.zeros(4), "needs"),
        ("status", np.zeros(3, np.uint8), "needs"),
        ("status", np.zeros(4, np.int32), "needs"),
        ("status", np.array([0, 1, 2, 4], np.uint8), "status that does not exist"),
        ("outputs", np.full((4, 3), np.nan), "NaN or infinite"),
        ("actions", np.full((4, 3), np.inf, np.float32), "NaN or infinite"),
        ("output_bound", np.full(4, np.inf), "NaN or infinite"),
        ("action_bound", np.full((4, 3), np.nan), "NaN or infinite"),
    ],
)
def test_vectors_that_do_not_fit(name: str, value: Any, message: str) -> None:
    policy = make_policy(rule="clip")
    tensors = dict(load(bytes_from_golden(golden_from_policy(policy, observations_of(policy, 4)))))
    if value is None:
        del tensors[name]
    else:
        tensors[name] = value
    with pytest.raises(ValueError, match=message):
        golden_from_bytes(save(tensors), policy)


def test_observations_may_hold_what_the_guard_must_find() -> None:
    policy = make_policy()
    observations = observations_of(policy, 4)
    observations[1], observations[2, 3] = np.nan, np.inf
    golden = golden_from_bytes(bytes_from_golden(golden_from_policy(policy, observations)), policy)
    np.testing.assert_array_equal(golden.observations, observations)
    assert golden.status.tolist() == [0, 1, 1, 0]
    for data in (b"", b"nonsense", save({})):
        with pytest.raises(ValueError, match="golden"):
            golden_from_bytes(data, policy)
