from typing import Any

import numpy as np
from hypothesis import given, settings

from dspctl.runtime import ActionRule, Layer, ObservationSpec, Policy
from dspctl.runtime.policy.guard import NOT_FINITE, OUT_OF_RANGE
from dspctl.runtime.reference.edges import edge_observations, invalid_observations, reach
from dspctl.runtime.reference.rounding import fits_float32
from tests.runtime.policies import make_policy, plain_guard, policies

INF, TOP = np.inf, float(np.finfo(np.float32).max)


def spec(low: list[float], high: list[float]) -> ObservationSpec:
    return ObservationSpec(np.array(low, np.float32), np.array(high, np.float32))


def test_reach_is_the_bound_or_a_thousand_inside_it() -> None:
    low, high = reach(spec([-1, -INF, -TOP, 5, 2e3, -INF], [2, INF, TOP, INF, INF, -4e3]))
    assert low.tolist() == [-1, -1e3, -1e3, 5, 2e3, -4e3]
    assert high.tolist() == [2, 1e3, 1e3, 1e3, 2e3, -4e3]


@settings(max_examples=40, deadline=None)
@given(policies())
def test_edges_are_finite_reproducible_and_cover_the_ends(policy: Policy) -> None:
    rows = edge_observations(policy, np.random.default_rng(3))
    assert rows.dtype == np.float32
    assert rows.shape[1] == policy.observation.size
    assert np.isfinite(rows).all()
    np.testing.assert_array_equal(rows, edge_observations(policy, np.random.default_rng(3)))
    low, high = (end.astype(np.float32) for end in reach(policy.observation))
    assert (rows == 0).all(axis=1).any()
    assert (rows == low).all(axis=1).any()
    assert (rows == high).all(axis=1).any()
    for feature in range(policy.observation.size):  # each alone at either end
        others = np.delete(rows, feature, axis=1)
        alone = (others == np.clip(0, np.delete(low, feature), np.delete(high, feature))).all(
            axis=1
        )
        assert {low[feature], high[feature]} <= set(rows[alone, feature].tolist())


def test_the_clip_of_the_normaliser_is_reached_from_both_sides() -> None:
    policy = make_policy(clip=2.0, unread=2)
    assert policy.normalizer is not None
    rows = edge_observations(policy, np.random.default_rng(0))[:, policy.inputs]
    size = np.abs((rows - policy.normalizer.mean) * policy.normalizer.scale)
    near = (size > 1.99) & (size < 2.01)
    assert (near & (size < 1.9995)).any(axis=0).all()
    assert (near & (size > 2.0005)).any(axis=0).all()


def test_a_constant_feature_stays_constant_where_declared() -> None:
    layer = Layer(np.ones((1, 2), np.float32), None, "identity")
    policy = Policy("E", spec([3, -1], [3, 1]), (layer,), ActionRule("argmax"), np.arange(2))
    low, high = reach(policy.observation)
    assert (low[0], high[0]) == (3, 3)
    assert np.isfinite(edge_observations(policy, np.random.default_rng(0))).all()


@settings(max_examples=40, deadline=None)
@given(policies(guarded=True))
def test_edges_are_valid_and_invalid_ones_are_reproducible(policy: Policy) -> None:
    rows = edge_observations(policy, np.random.default_rng(3))
    assert (policy.guard.status(rows, policy.inputs) == 0).all()
    rows = invalid_observations(policy, np.random.default_rng(3))
    assert rows.dtype == np.float32
    assert rows.shape[1] == policy.observation.size
    np.testing.assert_array_equal(rows, invalid_observations(policy, np.random.default_rng(3)))
    assert fits_float32(policy, policy.guard.repair(rows, policy.inputs)).all()


def test_invalid_observations_hold_everything_the_guard_must_tell_apart() -> None:
    policy = make_policy(on_invalid="flag", ranged=True, unread=2)
    guard, read = policy.guard, policy.inputs
    guard.low[:], guard.high[:] = -1.5, 2.5
    rows = invalid_observations(policy, np.random.default_rng(0))
    statuses = [plain_guard(policy, row)[0] for row in rows]
    assert {0, NOT_FINITE, OUT_OF_RANGE, NOT_FINITE | OUT_OF_RANGE} == set(statuses)
    valid = np.array([status == 0 for status in statuses])
    for end, step in ((guard.low[0], -INF), (guard.high[0], INF)):
        outside = np.nextafter(end, np.float32(step))
        assert (rows[valid][:, read] == end).any()
        assert (rows[~valid][:, read] == outside).any()
        assert not (rows[valid][:, read] == outside).any()
    for value in (INF, -INF):
        assert (rows[~valid][:, read] == value).all(axis=1).any()
    assert np.isnan(rows[~valid][:, read]).all(axis=1).any()
    unread = np.setdiff1d(np.arange(7), read)
    assert np.isnan(rows[valid][:, unread]).all(axis=1).any()  # nobody reads it


def test_rows_that_would_overflow_are_left_out() -> None:
    policy = make_policy(on_invalid="clamp", normalizer=False, scale=9.0)
    rows = invalid_observations(policy, np.random.default_rng(0))
    assert not np.isinf(rows).any()  # clamped to the largest float32, the sums are not
    assert np.isnan(rows).any()
    tame = make_policy(on_invalid="clamp")  # the normaliser's clip bounds what the network sees
    assert np.isinf(invalid_observations(tame, np.random.default_rng(0))).any()


def test_overflow_is_seen_in_any_layer() -> None:
    def chain(*weights: float, activation: Any = "relu") -> Policy:
        layers = [Layer(np.array([[w]], np.float32), None, activation) for w in weights[:-1]]
        layers.append(Layer(np.array([[weights[-1]]], np.float32), None, "identity"))
        return Policy("E", spec([-INF], [INF]), tuple(layers), ActionRule("argmax"), np.arange(1))

    x = np.array([[1.0], [1e30], [-1e30], [3e38]], np.float32)
    assert fits_float32(chain(1.0, 1.0), x).tolist() == [True, True, True, False]
    assert fits_float32(chain(1.0, 1e9), x).tolist() == [True, False, True, False]
    assert fits_float32(chain(1.0, 1e9, activation="tanh"), x).tolist() == [True, True, True, False]
