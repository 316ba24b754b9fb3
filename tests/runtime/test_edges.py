import numpy as np
from hypothesis import given, settings

from dspctl.runtime import ActionRule, Layer, ObservationSpec, Policy
from dspctl.runtime.edges import edge_observations, reach
from tests.runtime.policies import make_policy, policies

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
