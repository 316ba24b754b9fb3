import numpy as np
import pytest

from dspctl import errors
from dspctl.runtime import ActionRule, Layer, Normalizer, ObservationSpec, Policy
from tests.runtime.policies import make_policy, observations_of

ONES = np.ones(2, np.float32)


def test_rules_refuse_what_they_cannot_do() -> None:
    with pytest.raises(errors.PolicyFormat, match="takes no action bounds"):
        ActionRule("argmax", low=-ONES, high=ONES)
    with pytest.raises(errors.PolicyFormat, match="int32"):
        ActionRule("argmax", start=2**31)
    with pytest.raises(errors.PolicyShape, match="needs action bounds"):
        ActionRule("clip")
    # Both ends are finite, but their distance is not a float32.
    with pytest.raises(errors.PolicyFormat, match="finite action bounds"):
        ActionRule("tanh_unscale", low=-ONES * np.float32(3e38), high=ONES * np.float32(3e38))
    ActionRule("clip", low=-ONES * np.float32(np.inf), high=ONES * np.float32(np.inf))


def test_clip_unscale_and_tanh_unscale_reach_the_bounds() -> None:
    low, high = np.array([-2.0, 1.0], np.float32), np.array([4.0, 3.0], np.float32)
    far = np.array([-50.0, 50.0])
    assert ActionRule("clip_unscale", low=low, high=high).apply(far).tolist() == [-2.0, 3.0]
    assert ActionRule("tanh_unscale", low=low, high=high).apply(far).tolist() == [-2.0, 3.0]
    assert ActionRule("clip_unscale", low=low, high=high).apply(far * 0).tolist() == [1.0, 2.0]
    assert ActionRule("clip", low=low, high=high).apply(np.array([0.5, 0.5])).tolist() == [0.5, 1.0]


def test_normalizer_refuses_a_useless_clip() -> None:
    for clip in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(errors.PolicyFormat, match="positive number"):
            Normalizer(ONES, ONES, clip)
    for clip in (1e39, 1e-60):
        with pytest.raises(errors.PolicyFormat, match="no float32"):
            Normalizer(ONES, ONES, clip)
    Normalizer(ONES, ONES, 3.4028235e38)  # the largest float32, as its shortest decimal


def test_integer_observations_are_refused_not_truncated() -> None:
    policy = make_policy()
    with pytest.raises(errors.ObservationShape, match="int64"):
        policy.outputs(np.zeros(5, np.int64))
    with pytest.raises(errors.ObservationShape, match="5"):
        policy.outputs(np.zeros((2, 6)))


def test_astype_changes_the_layers_only() -> None:
    policy = make_policy(masks=True)
    wide = policy.astype(np.float64)
    assert all(layer.weight.dtype == np.float64 for layer in wide.layers)
    x = observations_of(policy, 9).astype(np.float64)
    np.testing.assert_array_equal(wide.outputs(x), policy.outputs(x))
    assert wide.counts == policy.counts


def test_counts_are_those_of_the_paper() -> None:
    policy = make_policy(sizes=(4, 128, 128, 2), bias=False)
    counts = policy.counts
    assert counts.total_units == 256
    assert counts.weights == 4 * 128 + 128 * 128 + 128 * 2
    assert counts.flops == 7 * 128 + 255 * 128 + 255 * 2
    assert counts.size_bytes == 4 * counts.weights


def test_observation_bounds_must_leave_a_finite_value() -> None:
    inf = np.full(2, np.inf, np.float32)
    with pytest.raises(errors.PolicyFormat, match="no finite value"):
        ObservationSpec(inf, inf)


def test_the_last_action_must_fit_int32() -> None:
    make_policy(start=2**31 - 3)
    with pytest.raises(errors.PolicyFormat, match="2147483648 does not fit int32"):
        make_policy(start=2**31 - 2)


def test_a_layer_must_read_what_the_one_before_gives() -> None:
    with pytest.raises(errors.PolicyShape, match="layer 1 reads 3 values but is given 2"):
        Policy(
            "E",
            ObservationSpec(-ONES, ONES),
            (
                Layer(np.ones((2, 2)), None, "relu"),
                Layer(np.ones((1, 3)), None, "identity"),
            ),
            ActionRule("argmax"),
            np.arange(2),
        )
