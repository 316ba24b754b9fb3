"""Masks and unit groups."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from dspctl.compactor import (
    kept_counts,
    kept_indices,
    masks_from_policy,
    policy_with_masks,
    unit_groups,
    unit_sparsity,
)
from dspctl.errors import PolicyShape
from tests.compactor.strategies import dense, policy_of

POLICY = policy_of(
    dense([[1, 2], [3, 4], [5, 6]], [7, 8, 9], "relu", [True, False, True]),
    dense([[1, 2, 3], [4, 5, 6]], None, "tanh"),
    dense([[1, 2]]),
    discrete=False,
)


def test_masks_are_read_with_all_true_where_there_is_none() -> None:
    first, second = masks_from_policy(POLICY)
    assert_array_equal(first, [True, False, True])
    assert_array_equal(second, [True, True])


def test_counts_indices_and_sparsity() -> None:
    masks = masks_from_policy(POLICY)
    assert kept_counts(masks) == (2, 2)
    assert unit_sparsity(masks) == pytest.approx(0.2)
    assert [index.tolist() for index in kept_indices(masks)] == [[0, 2], [0, 1]]
    assert unit_sparsity(()) == 0.0


def test_masks_are_attached_from_any_zeros_and_ones() -> None:
    masked = policy_with_masks(POLICY, [[0.0, 1.0, 1.0], np.array([1, 0])])
    assert [mask.tolist() for mask in masks_from_policy(masked)] == [
        [False, True, True],
        [True, False],
    ]
    assert_array_equal(masked.layers[0].weight, POLICY.layers[0].weight)
    assert masked.layers[2].mask is None


@pytest.mark.parametrize(
    "masks", [[[1, 1, 1]], [[1, 1], [1, 1]], [[1, 0.5, 1], [1, 1]], [[1, np.nan, 1], [1, 1]]]
)
def test_masks_that_do_not_fit_are_refused(masks: list[list[float]]) -> None:
    with pytest.raises(PolicyShape):
        policy_with_masks(POLICY, masks)


def test_a_group_keeps_rows_biases_and_columns_together() -> None:
    first, second = unit_groups(
        [layer.weight for layer in POLICY.layers], [layer.bias for layer in POLICY.layers]
    )
    kept = first.keep(np.array([True, False, True]))
    assert_array_equal(kept.incoming, [[1, 2], [5, 6]])
    assert_array_equal(np.float64(kept.bias), [7, 9])
    assert_array_equal(kept.outgoing, [[1, 3], [4, 6]])
    assert second.keep(np.array([1])).bias is None
    # Omega by hand: (1 + 4) * (1 + 16), (9 + 16) * (4 + 25), (25 + 36) * (9 + 36)
    assert_array_equal(first.importance(), [85, 725, 2745])
