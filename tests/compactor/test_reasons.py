"""Every reason a unit, an input or the normaliser can leave for, with numbers found by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from dspctl.compactor import Compaction, Removal, compact
from dspctl.runtime import Policy
from tests.compactor.strategies import dense, normalizer_of, policy_of


def compacted(policy: Policy, **options: bool) -> Compaction:
    """Compact with recorded observations that stay well inside ±1."""
    rows = np.random.default_rng(0).uniform(-0.5, 0.5, size=(50, policy.observation.size))
    rows = np.clip(rows, policy.observation.low, policy.observation.high)
    return compact(policy, observations=rows.astype(np.float64), **options)


def test_masked_units_take_their_row_bias_and_column_with_them() -> None:
    result = compacted(
        policy_of(
            dense([[1, 2], [3, 4], [5, 6]], [7, 8, 9], "relu", [True, False, True]),
            dense([[10, 11, 12], [13, 14, 15]], [1, 2]),
        )
    )
    hidden, output = result.policy.layers
    assert_array_equal(hidden.weight, [[1, 2], [5, 6]])
    assert_array_equal(np.float64(hidden.bias), [7, 9])
    assert_array_equal(output.weight, [[10, 12], [13, 15]])
    assert_array_equal(np.float64(output.bias), [1, 2])
    assert hidden.mask is None
    assert result.removals == (Removal(0, 1, "masked"),)
    assert not result.relies_on_bounds
    assert result.rounding.max_error == 0.0


def test_a_unit_nobody_reads_leaves_and_so_does_what_only_it_read() -> None:
    result = compacted(
        policy_of(
            dense([[1, 1], [1, -1]], [1, 1], "relu"),
            dense([[1, 0], [0, 1]], [1, 1], "relu"),
            dense([[1, 0], [2, 0]]),
        )
    )
    assert [layer.weight.tolist() for layer in result.policy.layers] == [
        [[1, 1]],
        [[1]],
        [[1], [2]],
    ]
    assert result.removals == (Removal(1, 1, "no-outgoing"), Removal(0, 1, "no-outgoing"))


@pytest.mark.parametrize(
    ("activation", "bias", "folded"),
    [
        ("relu", 2.0, [6.0, -8.0]),  # 2 * 3, 2 * -4
        ("relu", -2.0, None),  # relu(-2) = 0: nothing to fold, so no bias vector appears
        ("tanh", 0.5, [1.386351471, -1.848468629]),  # tanh(0.5) = 0.46211715726
        ("identity", 0.25, [0.75, -1.0]),
    ],
)
def test_a_unit_without_input_is_folded_into_a_bias_that_appears_when_needed(
    activation: str, bias: float, folded: list[float] | None
) -> None:
    result = compacted(
        policy_of(
            dense([[0, 0], [1, 1]], [bias, 0.5], activation),
            dense([[3, 1], [-4, 1]]),
        )
    )
    assert result.removals == (Removal(0, 0, "constant"),)
    actual = result.policy.layers[1].bias
    if folded is None:
        assert actual is None
        assert result.after.biases == 1
    else:
        assert_allclose(np.float64(actual), folded, rtol=1e-7)
        assert result.after.biases == 3


def test_duplicates_are_summed_into_the_first() -> None:
    result = compacted(
        policy_of(
            dense([[1, 2], [3, 4], [1, 2], [1, 2], [1, 2]], [5, 5, 5, 6, 5], "relu"),
            dense([[1, 10, 100, 1000, 10000]]),
            discrete=False,
        )
    )
    assert_array_equal(result.policy.layers[0].weight, [[1, 2], [3, 4], [1, 2]])
    assert_array_equal(result.policy.layers[1].weight, [[10101, 10, 1000]])
    assert result.removals == (Removal(0, 2, "duplicate"), Removal(0, 4, "duplicate"))


def test_minus_zero_is_zero() -> None:
    result = compacted(
        policy_of(
            dense([[1, 0.0], [1, -0.0], [-1, 0.0]], [0.0, -0.0, 0.0], "tanh"),
            dense([[1, 2, 4]]),
            discrete=False,
        )
    )
    assert_array_equal(result.policy.layers[1].weight, [[-1]])
    assert [removal.reason for removal in result.removals] == [
        "duplicate",
        "mirrored",
        "unread-input",
    ]


def test_duplicates_whose_columns_cancel_leave_nothing() -> None:
    result = compacted(
        policy_of(
            dense([[1, 2], [3, 4], [1, 2]], None, "relu"),
            dense([[7, 1, -7]]),
            discrete=False,
        )
    )
    assert_array_equal(result.policy.layers[0].weight, [[3, 4]])
    assert result.removals == (Removal(0, 2, "duplicate"), Removal(0, 0, "no-outgoing"))


@pytest.mark.parametrize("activation", ["tanh", "identity"])
def test_mirrored_units_of_an_odd_activation_are_subtracted(activation: str) -> None:
    result = compacted(
        policy_of(
            dense([[1, -2], [0.5, 0], [-1, 2]], [0.5, 0, -0.5], activation),
            dense([[4, 1, 3], [1, 1, 5]]),
        )
    )
    assert_array_equal(result.policy.layers[1].weight, [[1, 1], [-4, 1]])
    assert result.removals == (Removal(0, 2, "mirrored"),)


def test_relu_is_not_odd_so_mirrored_relus_stay() -> None:
    result = compacted(
        policy_of(dense([[1, -2], [-1, 2]], [0.5, -0.5], "relu"), dense([[4, 3], [1, 5]]))
    )
    assert result.removals == ()
    assert result.after == result.before


def test_a_tanh_that_a_clipped_normaliser_always_saturates_is_its_limit() -> None:
    # With clip 1 the two units see 50 ± 1, tanh 1 in float64, and -10 ± 1, which still moves.
    result = compacted(
        policy_of(
            dense([[1.0], [1.0]], [50.0, -10.0], "tanh"),
            dense([[2.0, 1.0]], [0.25]),
            normalizer=normalizer_of([0.0], [1.0], 1.0),
            discrete=False,
        )
    )
    assert result.removals == (Removal(0, 0, "saturated"),)
    assert_array_equal(np.float64(result.policy.layers[1].bias), [2.25])
    assert not result.relies_on_bounds
    assert result.policy.normalizer is not None


BOUNDED = policy_of(
    dense([[1.0, 0.5], [1.0, 1.0]], [-2.0, 0.0], "relu"),
    dense([[1.0, 1.0]]),
    low=[-1.0, -1.0],
    high=[1.0, 1.0],
    discrete=False,
)


def test_a_relu_that_the_bounds_never_switch_on_leaves() -> None:
    result = compacted(BOUNDED)  # 1 * 1 + 0.5 * 1 - 2 = -0.5 at most
    assert result.removals == (Removal(0, 0, "inactive"),)
    assert result.relies_on_bounds
    assert_array_equal(result.policy.layers[0].weight, [[1, 1]])


def test_a_relu_that_a_corner_just_reaches_stays() -> None:
    policy = policy_of(
        dense([[1.0, 0.5], [1.0, 1.0]], [-1.4999999, 0.0], "relu"),
        dense([[1.0, 1.0]]),
        low=[-1.0, -1.0],
        high=[1.0, 1.0],
        discrete=False,
    )
    assert compacted(policy).removals == ()


def test_declared_bounds_are_not_used_unless_recorded_observations_keep_them() -> None:
    inside = np.zeros((3, 2))
    beyond = np.array([[0.0, 0.0], [1.01, 0.0]])
    below = np.array([[0.0, 0.0], [-1.01, 0.0]])
    unused: list[tuple[object, bool]] = [(beyond, True), (None, True), (inside, False)]
    for observations, assume in unused:
        result = compact(BOUNDED, observations=observations, assume_bounds=assume)  # type: ignore[arg-type]
        assert result.removals == ()
        assert not result.relies_on_bounds
    # Only the side that is broken is lost: the lower one does not matter for this unit.
    assert compact(BOUNDED, observations=below).removals == (Removal(0, 0, "inactive"),)
    assert compact(BOUNDED, observations=inside).removals == (Removal(0, 0, "inactive"),)


def test_the_largest_float32_is_not_a_bound() -> None:
    far = float(np.finfo(np.float32).max)
    policy = policy_of(
        dense([[1e-30]], [-1e9], "relu"),
        dense([[1.0]], [3.0]),
        low=[-far],
        high=[far],
        discrete=False,
    )
    assert compacted(policy).removals == ()


def test_an_input_nobody_reads_shrinks_inputs_and_normaliser() -> None:
    result = compacted(
        policy_of(
            dense([[1, 0, 2], [3, 0, 4]], None, "relu"),
            dense([[1, 1]]),
            normalizer=normalizer_of([1, 2, 3], [4, 5, 6], 10.0),
            discrete=False,
        )
    )
    assert result.removals == (Removal(-1, 1, "unread-input"),)
    assert_array_equal(result.policy.inputs, [0, 2])
    assert_array_equal(result.policy.layers[0].weight, [[1, 2], [3, 4]])
    assert result.policy.normalizer is not None
    assert_array_equal(result.policy.normalizer.mean, [1, 3])
    assert_array_equal(result.policy.normalizer.scale, [4, 6])
    assert result.policy.normalizer.clip == 10.0


def test_removing_units_can_free_inputs() -> None:
    result = compacted(
        policy_of(
            dense([[1, 0], [0, 1]], None, "relu", [False, True]), dense([[1, 1]]), discrete=False
        )
    )
    assert result.removals == (Removal(0, 0, "masked"), Removal(-1, 0, "unread-input"))
    assert_array_equal(result.policy.inputs, [1])


def test_an_input_that_cannot_move_goes_into_the_bias() -> None:
    # Feature 0 is always 3; normalised (3 - 1) * 2 = 4, times weights 5 and 6.
    policy = policy_of(
        dense([[5, 1], [6, -1]], None, "relu"),
        dense([[1, 1]]),
        low=[3, -np.inf],
        high=[3, np.inf],
        normalizer=normalizer_of([1, 0], [2, 1], 10.0),
        discrete=False,
    )
    result = compacted(policy)
    assert result.removals == (Removal(-1, 0, "constant"),)
    assert_array_equal(np.float64(result.policy.layers[0].bias), [20, 24])
    assert_array_equal(result.policy.inputs, [1])
    assert result.relies_on_bounds


def test_an_input_that_moves_a_little_stays() -> None:
    policy = policy_of(
        dense([[5, 1], [6, -1]], None, "tanh"),
        dense([[1, 1]]),
        low=[3, -1],
        high=[3.000001, 1],
        discrete=False,
    )
    assert compacted(policy).removals == ()


FOLDABLE = (dense([[2, 1], [-1, 3]], [100, 200], "tanh"), dense([[0.01, 0.02]]))


def test_a_normaliser_without_clip_goes_into_the_first_layer() -> None:
    result = compacted(
        policy_of(*FOLDABLE, normalizer=normalizer_of([1, 2], [0.5, 4], None), discrete=False)
    )
    first = result.policy.layers[0]
    assert_array_equal(first.weight, [[1, 4], [-0.5, 12]])
    # 100 - (1 * 1 + 4 * 2) and 200 - (-0.5 * 1 + 12 * 2)
    assert_array_equal(np.float64(first.bias), [91, 176.5])
    assert result.policy.normalizer is None
    assert result.removals == (
        Removal(-1, 0, "normaliser-folded"),
        Removal(-1, 1, "normaliser-folded"),
    )
    assert not result.relies_on_bounds


@pytest.mark.parametrize(
    ("clip", "mean", "folds"),
    [
        (9.0, 0.0, True),  # |±2 * 4| = 8 never reaches 9
        (7.0, 0.0, False),  # it reaches 7
        (9.0, 1.0, False),  # (-2 - 1) * 4 = -12 does
        (1000.0, 100.0, False),  # far enough, but folding a mean of 400 deviations costs float32
    ],
)
def test_a_clip_lets_the_normaliser_fold_only_if_it_can_never_act(
    clip: float, mean: float, folds: bool
) -> None:
    policy = policy_of(
        dense([[0.01], [0.02]], [0.0, 1.0], "tanh"),
        dense([[1, 1]]),
        low=[-2],
        high=[2],
        normalizer=normalizer_of([mean], [4], clip),
        discrete=False,
    )
    result = compacted(policy)
    assert (result.policy.normalizer is None) is folds
    assert result.relies_on_bounds is folds
    assert compacted(policy, assume_bounds=False).policy.normalizer is not None
