import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dspctl.errors import ObservationInvalid
from dspctl.runtime import NumpyRunner, Policy, Runner
from tests.runtime.policies import (
    make_policy,
    observations_of,
    plain_action,
    plain_outputs,
    policies,
)


@settings(max_examples=80, deadline=None)
@given(policies(), st.sampled_from([1.0, 1e3, 1e-30]))
def test_agrees_with_plain_python(policy: Policy, size: float) -> None:
    runner = NumpyRunner(policy)
    for observation in observations_of(policy, 3) * np.float32(size):
        outputs = plain_outputs(policy, observation)
        scale = 1.0 + max(map(abs, outputs))
        np.testing.assert_allclose(runner.outputs(observation), outputs, rtol=0, atol=1e-9 * scale)
        action = runner(observation)
        if policy.action.discrete:
            assert outputs[int(action) - policy.action.start] >= max(outputs) - 1e-9 * scale
        else:
            expected = plain_action(policy, observation)
            np.testing.assert_allclose(action, expected, rtol=2e-7, atol=1e-7)


def test_a_hand_computed_network() -> None:
    policy = make_policy(sizes=(2, 2, 2), activation="relu", normalizer=False)
    first, last = policy.layers
    first.weight[:] = [[1.0, 2.0], [-1.0, 0.5]]
    last.weight[:] = [[1.0, 1.0], [0.25, -4.0]]
    assert first.bias is not None
    assert last.bias is not None
    first.bias[:], last.bias[:] = [0.5, 0.0], [0.0, 1.0]
    # hidden = relu([1 + 4 + 0.5, -1 + 1]) = [5.5, 0]; outputs = [5.5, 0.25 * 5.5 + 1]
    runner = NumpyRunner(policy)
    assert runner.outputs(np.array([1.0, 2.0])).tolist() == [5.5, 2.375]
    assert runner(np.array([1.0, 2.0])) == 0


@pytest.mark.parametrize("rule", ["argmax", "clip", "clip_unscale", "tanh_unscale"])
def test_shapes_and_types(rule: str) -> None:
    policy = make_policy(rule=rule, start=2 if rule == "argmax" else 0)
    with NumpyRunner(policy) as runner:
        assert isinstance(runner, Runner)
        tail, kind = ((), np.int64) if rule == "argmax" else ((3,), np.float32)
        for batch in ((), (1,), (7,)):
            action = runner(np.zeros((*batch, 5), np.float64))
            assert action.shape == (*batch, *tail)
            assert action.dtype == kind
            assert runner.outputs(np.zeros((*batch, 5), np.float32)).shape == (*batch, 3)


def test_one_by_one_equals_the_batch() -> None:
    policy = make_policy(rule="tanh_unscale", masks=True, unread=3)
    runner, x = NumpyRunner(policy), observations_of(make_policy(unread=3), 50)
    np.testing.assert_allclose([runner(row) for row in x], runner(x), rtol=2e-7)


def test_precision_is_the_one_asked_for() -> None:
    policy = make_policy()
    assert NumpyRunner(policy, np.float32).outputs(np.zeros(5, np.float64)).dtype == np.float32
    assert NumpyRunner(policy).outputs(np.zeros(5, np.float16)).dtype == np.float64


def test_large_float32_observations_are_fine_and_larger_ones_are_not() -> None:
    runner = NumpyRunner(make_policy(activation="tanh", normalizer=False))
    top = np.finfo(np.float32).max
    assert runner(np.full(5, top, np.float32)) in range(3)
    assert runner(np.full(5, float(top))) in range(3)
    with pytest.raises(ObservationInvalid, match="is inf"):
        runner(np.full(5, 1e39))


def test_observations_are_float32_whatever_the_precision_of_the_arithmetic() -> None:
    policy = make_policy()
    fine = np.full(5, 0.1)  # no float32
    np.testing.assert_array_equal(
        NumpyRunner(policy).outputs(fine),
        policy.outputs(fine.astype(np.float32).astype(np.float64)),
    )
