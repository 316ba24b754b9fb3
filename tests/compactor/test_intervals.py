"""Intervals: by hand, with infinite ends, and never narrower than what is computed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from dspctl.compactor.intervals import (
    Interval,
    activate,
    activation_interval,
    affine_interval,
    normalized_interval,
    supported_bounds,
)
from dspctl.compactor.network import network_from_policy
from dspctl.runtime import ObservationSpec
from dspctl.runtime.policy import Activation
from tests.compactor.strategies import dense, normalizer_of, policy_of

INF = np.inf


def box(*ends: tuple[float, float]) -> Interval:
    low, high = zip(*ends, strict=True)
    return Interval(np.array(low, np.float64), np.array(high, np.float64))


def affine(weight: list[list[float]], bias: list[float], *ends: tuple[float, float]) -> Interval:
    layer = network_from_policy(policy_of(dense(weight, bias))).layers[0]
    return affine_interval(layer, box(*ends))


def test_affine_by_hand() -> None:
    result = affine([[2, -3], [0.5, 0]], [1, 4], (-1, 2), (0, 5))
    assert_allclose(result.low, [-16, 3.5], rtol=1e-14)  # -2 - 15 + 1
    assert_allclose(result.high, [5, 5], rtol=1e-14)  # 4 - 0 + 1
    assert (result.low <= [-16, 3.5]).all()
    assert (result.high >= [5, 5]).all()


def test_a_zero_weight_ignores_an_unbounded_input_and_one_end_stays_finite() -> None:
    result = affine([[0, 1], [1, 1], [-1, 0]], [0, 0, 1], (0, INF), (1, 2))
    assert_allclose(result.low, [1, 1, -INF], rtol=1e-14)
    assert_allclose(result.high, [2, INF, 1], rtol=1e-14)


def test_activations_by_hand() -> None:
    assert_array_equal(activation_interval("relu", box((-2, 3))), [[0], [3]])
    assert_array_equal(activation_interval("identity", box((-2, 3))), [[-2], [3]])
    assert_array_equal(activation_interval("tanh", box((-INF, INF))), [[-1], [1]])
    assert_allclose(
        activation_interval("tanh", box((0.5, 1.0))), [[0.46211715726], [0.76159415596]]
    )


def test_normalising_flips_with_a_negative_scale_and_dies_with_a_zero_one() -> None:
    normalizer = normalizer_of([1, 1, 1], [2, -2, 0], None)
    result = normalized_interval(normalizer, box((0, 3), (0, INF), (-INF, INF)))
    assert_allclose(result.low, [-2, -INF, 0], rtol=1e-14)
    assert_allclose(result.high, [4, 2, 0], rtol=1e-14)


def test_supported_bounds_lose_only_the_sides_that_are_broken_or_missing() -> None:
    far = np.finfo(np.float32).max
    spec = ObservationSpec(
        low=np.array([-1, -1, -far, -INF], np.float32), high=np.array([1, 1, far, 5], np.float32)
    )
    result = supported_bounds(spec, np.array([[0, -1.5, 0, 0], [1, 0, 0, -9]], np.float64))
    assert_array_equal(result.low, [-1, -INF, -INF, -INF])
    assert_array_equal(result.high, [1, 1, INF, 5])
    above = supported_bounds(spec, np.array([[0, 0, 0, 5.5]]))
    assert_array_equal(above.low, [-1, -1, -INF, -INF])
    assert_array_equal(above.high, [1, 1, INF, INF])


@pytest.mark.parametrize("activation", ["tanh", "relu", "identity"])
@settings(max_examples=50, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1))
def test_no_sampled_value_leaves_its_interval(activation: Activation, seed: int) -> None:
    rng = np.random.default_rng(seed)
    low, width = rng.normal(size=4) * 3, np.abs(rng.normal(size=4)) * rng.choice([1e-12, 1.0])
    layer = network_from_policy(
        policy_of(dense(rng.normal(size=(5, 4)), rng.normal(size=5)))
    ).layers[0]
    inside = Interval(low, low + width)
    corners = np.where(rng.random((200, 4)) < 0.5, inside.low, inside.high)
    z = corners @ layer.weight.T + layer.bias
    before = affine_interval(layer, inside)
    assert (z >= before.low).all()
    assert (z <= before.high).all()
    after = activation_interval(activation, before)
    h = activate(activation, z)
    assert (h >= after.low).all()
    assert (h <= after.high).all()
    # Corners reach the ends: the intervals of one layer are exact but for the outward rounding.
    sizes = np.abs(layer.weight) @ width
    assert_allclose(before.high - before.low, sizes, rtol=1e-9, atol=1e-12)
