"""What must hold for every network and mask, tried on random ones."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dspctl.compactor import compact
from dspctl.compactor.intervals import supported_bounds, unbounded
from dspctl.compactor.masks import masks_from_policy
from dspctl.compactor.network import INPUT_LAYER, network_from_policy, policy_from_network
from dspctl.compactor.rewrite import reduce_network, remove_masked
from dspctl.runtime import Policy
from dspctl.runtime.policy.file import bytes_from_policy
from tests.compactor.strategies import observations_for, policies, reference_outputs

moderately = settings(max_examples=250, deadline=None, derandomize=True)


@moderately
@given(policies(), st.booleans())
def test_the_rewritten_float64_network_computes_what_the_masked_one_does(
    policy: Policy, use_bounds: bool
) -> None:
    recorded = observations_for(policy)
    bounds = (
        supported_bounds(policy.observation, recorded)
        if use_bounds
        else unbounded(policy.observation.size)
    )
    network = remove_masked(network_from_policy(policy), masks_from_policy(policy))
    dense = policy_from_network(reduce_network(network, bounds), policy, np.float64)
    assert not dense.masked
    expected = reference_outputs(policy, recorded)
    actual = reference_outputs(dense, recorded)
    # Weights of scale 20 and three layers of 8 units carry up to 1e7 to outputs that may cancel.
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-7)
    if all(np.abs(layer.weight).max(initial=0) < 5 for layer in policy.layers):
        np.testing.assert_allclose(actual, expected, rtol=1e-10, atol=1e-11)


@moderately
@given(policies())
def test_the_stored_policy_is_as_far_from_its_source_as_reported(policy: Policy) -> None:
    recorded = observations_for(policy)
    result = compact(policy, observations=recorded)
    expected = reference_outputs(policy, recorded)
    error = np.abs(reference_outputs(result.policy, recorded) - expected)
    assert result.rounding.observations == 40
    np.testing.assert_allclose(result.rounding.max_error, error.max(), rtol=1e-3, atol=1e-7)
    assert result.proof.recorded == 40
    assert result.proof.tolerance_used <= 1.0
    assert result.proof.differing_actions in (0, None)


@moderately
@given(policies(), st.booleans())
def test_compacting_twice_changes_nothing(policy: Policy, assume_bounds: bool) -> None:
    recorded = observations_for(policy)
    once = compact(policy, observations=recorded, assume_bounds=assume_bounds)
    twice = compact(once.policy, observations=recorded, assume_bounds=assume_bounds)
    assert twice.removals == ()
    assert bytes_from_policy(twice.policy) == bytes_from_policy(once.policy)
    assert twice.rounding.max_error == 0.0


@moderately
@given(policies())
def test_nothing_removable_is_left(policy: Policy) -> None:
    result = compact(policy, observations=observations_for(policy))
    layers = result.policy.layers
    assert all(layer.mask is None for layer in layers)
    for here, following in pairwise(layers):
        assert here.weight.any(axis=1).all(), "a unit without incoming weights is left"
        assert following.weight.any(axis=0).all(), "a unit without outgoing weights is left"
        bias = np.zeros(here.width) if here.bias is None else here.bias
        rows = np.column_stack([here.weight, bias]) + 0.0
        if here.activation != "relu":
            rows *= np.sign(rows[np.arange(len(rows)), (rows != 0).argmax(axis=1)])[:, None]
        assert len(np.unique(rows, axis=0)) == len(rows), "two units are equal or mirrored"
    if len(layers) > 1 or layers[0].weight.any():
        assert layers[0].weight.any(axis=0).all(), "a feature that nothing reads is left"
    else:
        assert result.policy.inputs.size == 1, "a constant reads one feature, with weight 0"


@moderately
@given(policies())
def test_every_unit_is_kept_or_removed_once(policy: Policy) -> None:
    result = compact(policy, observations=observations_for(policy))
    removed = [(r.layer, r.unit) for r in result.removals if r.layer != INPUT_LAYER]
    assert len(set(removed)) == len(removed)
    before = policy.counts.total_units
    assert result.after.total_units == before - len(removed)
    assert result.before == policy.counts
    for index, layer in enumerate(policy.hidden):
        masked = {r.unit for r in result.removals if r.layer == index and r.reason == "masked"}
        assert masked == set(np.flatnonzero(~layer.kept).tolist())
    gone = {
        r.unit
        for r in result.removals
        if r.layer == INPUT_LAYER and r.reason != "normaliser-folded"
    }
    assert set(policy.inputs.tolist()) - gone == set(result.policy.inputs.tolist())


@settings(max_examples=25, deadline=None, derandomize=True)
@given(policies())
def test_the_same_policy_compacts_to_the_same_bytes(policy: Policy) -> None:
    recorded = observations_for(policy)
    first = compact(policy, observations=recorded)
    second = compact(policy, observations=recorded)
    assert bytes_from_policy(first.policy) == bytes_from_policy(second.policy)
    assert first.removals == second.removals
    assert first.proof == second.proof
