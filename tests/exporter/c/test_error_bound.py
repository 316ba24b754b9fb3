"""The bound that NAME.h states, against what strict code computes."""

from dataclasses import replace

import numpy as np
import pytest

from dspctl.exporter.c.error_bound import output_error_bound
from dspctl.exporter.c.strict import strict_outputs
from dspctl.runtime import ActionRule, Layer, ObservationSpec, Policy
from dspctl.runtime.policy.guard import NO_BOUND
from dspctl.runtime.policy.guarded import with_guard

FLOAT32_MAX = np.finfo(np.float32).max


def linear(low: float, high: float) -> Policy:
    """Four features between two bounds, and one output."""
    rng = np.random.default_rng(1)
    layer = Layer(
        rng.standard_normal((1, 4)).astype(np.float32),
        rng.standard_normal(1).astype(np.float32),
        "identity",
    )
    one = np.ones(1, np.float32)
    spec = ObservationSpec(np.full(4, low, np.float32), np.full(4, high, np.float32))
    policy = Policy("Balloon-v0", spec, (layer,), ActionRule("clip", -one, one), np.arange(4))
    return with_guard(policy, "flag")


@pytest.mark.parametrize(
    ("low", "high"), [(0, 500), (0, 1e5), (-1e6, 0), (2e4, np.inf), (-1e9, 1e9)]
)
def test_it_holds_in_the_whole_range_of_a_feature(low: float, high: float) -> None:
    policy = linear(low, high)
    within = np.random.default_rng(2).uniform(low, min(high, 3e4), (20_000, 4))
    observations = within.astype(np.float32)
    assert not policy.guard.status(observations, policy.inputs).any()
    if high == np.inf:  # beyond what is promised of it
        observations = np.minimum(observations, np.float32(2e4))
    error = np.abs(
        strict_outputs(policy, observations) - policy.outputs(observations.astype(float))
    )
    assert 0 < error.max() <= output_error_bound(policy)


def test_where_nothing_bounds_a_feature_it_is_for_1000() -> None:
    stated = output_error_bound(linear(-1000, 1000))
    assert output_error_bound(linear(-np.inf, np.inf)) == stated
    assert output_error_bound(linear(-float(FLOAT32_MAX), np.inf)) == stated
    assert output_error_bound(linear(-np.inf, 1000)) == stated
    assert output_error_bound(linear(-2000, 2000)) > 1.5 * stated
    assert output_error_bound(linear(-np.inf, 10)) == pytest.approx(stated)


def test_the_end_of_what_can_be_computed_is_no_bound() -> None:
    """Weights of 1e12 overflow before 1e30 is reached, and the guard's range ends there."""
    policy = linear(-np.inf, np.inf)
    (layer,) = policy.layers
    layer = replace(layer, weight=layer.weight * np.float32(1e12))
    steep = with_guard(replace(policy, layers=(layer,)), "flag")
    assert steep.guard.high.max() < NO_BOUND
    assert output_error_bound(steep) == pytest.approx(1e12 * output_error_bound(policy), rel=0.01)
