"""Networks with nothing left, nothing hidden, or nothing to do, and those that cannot be stored."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from dspctl.compactor import Removal, compact
from dspctl.errors import NotEquivalent, ObservationNotFinite, ObservationShape
from dspctl.runtime import with_guard
from dspctl.runtime.policy.file import bytes_from_policy, policy_from_bytes
from tests.compactor.strategies import dense, normalizer_of, observations_for, policy_of


def test_a_network_whose_units_all_leave_is_one_constant_layer() -> None:
    policy = policy_of(
        dense([[1, 2, 3], [4, 5, 6]], None, "relu", [False, False]),
        dense([[1, 1], [2, 2]], [3, -1], "relu"),
        dense([[1, 5], [10, 7]], [0.5, 0]),
        normalizer=normalizer_of([0, 0, 0], [1, 1, 1], 10.0),
    )
    result = compact(policy, observations=observations_for(policy))
    (only,) = result.policy.layers
    assert_array_equal(only.weight, [[0], [0]])
    # relu(3) = 3 is read with 1 and 10; relu(-1) = 0.
    assert_array_equal(np.float64(only.bias), [3.5, 30])
    assert_array_equal(result.policy.inputs, [0])
    assert result.policy.normalizer is None
    assert result.after.units == ()
    assert (result.after.weights, result.after.biases, result.after.flops) == (2, 2, 2)
    assert result.unit_sparsity == 1.0
    assert_array_equal(result.policy.act(np.ones((2, 3))), [1, 1])
    assert compact(result.policy, observations=None).removals == ()


def test_a_network_that_is_zero_gets_no_bias() -> None:
    policy = policy_of(dense([[1.0]], None, "tanh", [False]), dense([[1.0]]), discrete=False)
    result = compact(policy, observations=None)
    (only,) = result.policy.layers
    assert_array_equal(only.weight, [[0]])
    assert only.bias is None


def test_a_linear_policy_loses_what_it_does_not_read_and_nothing_else() -> None:
    policy = policy_of(dense([[0, 1, 0, 2], [0, 3, 0, 0]], [1, 2]))
    result = compact(policy, observations=observations_for(policy))
    assert_array_equal(result.policy.layers[0].weight, [[1, 2], [3, 0]])
    assert_array_equal(result.policy.inputs, [1, 3])
    assert result.removals == (Removal(-1, 0, "unread-input"), Removal(-1, 2, "unread-input"))
    assert result.unit_sparsity == 0.0
    assert result.weight_sparsity == 0.5


def test_a_linear_policy_that_reads_nothing_keeps_one_input() -> None:
    policy = policy_of(dense([[0, 0, 0]], [4]), discrete=False)
    result = compact(policy, observations=None)
    assert_array_equal(result.policy.layers[0].weight, [[0]])
    assert_array_equal(result.policy.inputs, [0])
    assert result.policy.outputs(np.full(3, 9.0)).tolist() == [4.0]


def test_units_that_only_become_equal_in_float32_are_merged_and_measured() -> None:
    third = 1.0 / 3.0
    policy = policy_of(
        dense([[third], [third + 1e-12], [1.0]], None, "relu", dtype=np.float64),
        dense([[1.0, 2.0, 1.0]], dtype=np.float64),
        discrete=False,
    )
    rows = np.array([[3.0], [-3.0]])
    result = compact(policy, observations=rows)
    assert result.removals == (Removal(0, 1, "duplicate"),)
    assert_array_equal(result.policy.layers[1].weight, [[3, 1]])
    # float32(1/3) - 1/3 = 9.934e-09, read with weight 3 at x = 3.
    assert_allclose(result.rounding.max_error, 9 * 9.934e-9, rtol=1e-3)
    assert result.proof.max_error < 1e-14
    assert compact(result.policy, observations=rows).removals == ()


def test_a_merged_weight_beyond_float32_is_refused() -> None:
    policy = policy_of(dense([[1.0], [1.0]], None, "relu"), dense([[3e38, 3e38]]), discrete=False)
    with pytest.raises(NotEquivalent, match="too large for float32"):
        compact(policy, observations=None)


def test_a_source_that_overflows_float64_is_refused() -> None:
    layer = dense([[1e200]], None, "relu", dtype=np.float64)
    policy = policy_of(layer, layer, dense([[1.0]]), discrete=False)
    with pytest.raises(NotEquivalent, match="masked source gives inf"):
        compact(policy, observations=None)


def test_nothing_to_do_changes_only_the_lineage() -> None:
    policy = policy_of(dense([[1, 2], [3, 4]], [1, 2], "tanh"), dense([[1, 2], [3, 5]]))
    result = compact(policy, observations=observations_for(policy))
    assert result.removals == ()
    assert result.after == result.before
    stripped = result.policy.lineage.pop("compacted")
    assert stripped["removed"] == {}
    assert bytes_from_policy(result.policy) == bytes_from_policy(policy)


def test_a_compact_policy_survives_its_file() -> None:
    policy = policy_of(
        dense([[1, 2], [3, 4]], [1, 2], "tanh", [True, False]), dense([[1, 2], [3, 5]])
    )
    result = compact(policy, observations=observations_for(policy))
    again = policy_from_bytes(bytes_from_policy(result.policy), name="test")
    assert again.lineage == result.policy.lineage
    assert again.lineage["compacted"]["before"]["units"] == [2]
    assert again.lineage["compacted"]["after"]["units"] == [1]
    assert again.lineage["compacted"]["removed"] == {"masked": 1}
    assert_array_equal(again.layers[0].weight, [[1, 2]])


@pytest.mark.parametrize(
    "observations",
    [np.zeros((4, 3)), np.zeros((4, 2), np.int64), np.zeros((1, 1, 2))],
)
def test_observations_that_do_not_fit_are_refused(observations: NDArray[Any]) -> None:
    policy = policy_of(dense([[1, 2]], None, "tanh"), dense([[1]]), discrete=False)
    with pytest.raises(ObservationShape):
        compact(policy, observations=observations)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_observations_that_are_not_numbers_are_refused(value: float) -> None:
    policy = policy_of(dense([[1, 2]], None, "tanh"), dense([[1]]), discrete=False)
    with pytest.raises(ObservationNotFinite, match="feature 1"):
        compact(policy, observations=np.array([[0.0, 0.0], [0.0, value]]))


def test_one_observation_and_none_at_all_are_both_welcome() -> None:
    policy = policy_of(dense([[1, 2]], None, "tanh"), dense([[1]]), discrete=False)
    assert compact(policy, observations=np.zeros(2, np.float32)).proof.recorded == 1
    assert compact(policy, observations=np.zeros((0, 2))).proof.recorded == 0


def test_the_guard_is_kept_for_every_feature() -> None:
    policy = policy_of(dense([[0, 1, 0, 2], [0, 3, 0, 0]], [1, 2]), low=[-1] * 4, high=[1] * 4)
    policy = with_guard(policy, "hold", 1)
    result = compact(policy, observations=observations_for(policy))
    assert_array_equal(result.policy.inputs, [1, 3])
    assert result.policy.guard is policy.guard
