import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dspctl.exporter.c.strict import strict_outputs
from dspctl.runtime import Policy, with_guard
from dspctl.runtime.policy.guard import FLOAT32_MAX
from dspctl.runtime.policy.overflow import largest_computable
from tests.runtime.policies import make_policy, policies


@given(policies(), st.sampled_from(["declared", "finite"]), st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None)
def test_no_valid_observation_overflows(policy: Policy, kind: str, seed: int) -> None:
    guarded = with_guard(policy, "flag", range=kind)  # type: ignore[arg-type]
    low, high = guarded.guard.low, guarded.guard.high
    corners = np.random.default_rng(seed).random((50, low.size)) < 0.5
    extremes = np.concatenate([low[None], high[None], np.where(corners, low, high)])
    assert (guarded.guard.status(extremes, policy.inputs) == 0).all()
    assert np.isfinite(strict_outputs(guarded, extremes)).all()


@pytest.mark.parametrize("scale", [1e3, 1e6])
def test_large_weights_shorten_the_range(scale: float) -> None:
    policy = make_policy(
        sizes=(3, 8, 8, 2), activation="relu", normalizer=False, scale=scale, rule="clip"
    )
    reach = largest_computable(policy, np.full(3, np.inf))
    assert 1e3 < reach < 1e38 / scale
    # The default guard takes every finite number, and that is too much for this network.
    largest = np.full((1, 3), FLOAT32_MAX, np.float32)
    assert not np.isfinite(strict_outputs(policy, largest)).all()


def test_a_clipping_normaliser_takes_everything() -> None:
    policy = make_policy(sizes=(3, 8, 2), clip=10.0)
    assert largest_computable(policy, np.full(3, np.inf)) == float(FLOAT32_MAX)


def test_a_bounded_feature_counts_with_its_bound() -> None:
    policy = make_policy(sizes=(1, 1), activation="identity", normalizer=False, scale=1e10)
    assert largest_computable(policy, np.array([1.0])) == float(FLOAT32_MAX)
    assert largest_computable(policy, np.array([np.inf])) < 1e38
