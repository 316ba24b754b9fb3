"""The proof: that it can fail, what it tolerates, and what it reports."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from dspctl.compactor import compact, network, pipeline, rewrite
from dspctl.compactor.edges import edge_observations
from dspctl.compactor.intervals import Interval, unbounded
from dspctl.compactor.network import Network, Reason
from dspctl.compactor.verify import Proof, measure_rounding, prove_equal, rounding_bound
from dspctl.errors import NotEquivalent
from dspctl.runtime import Layer, Policy
from tests.compactor.strategies import F64, dense, normalizer_of, observations_for, policy_of

NONE: F64 = np.zeros((0, 2))


def sample() -> Policy:
    """One of everything that the rewrites remove."""
    rng = np.random.default_rng(3)
    weight, bias = rng.normal(size=(6, 2)), rng.normal(size=6)
    weight[1], bias[1] = weight[0], bias[0]
    weight[2], bias[2] = -weight[0], -bias[0]
    weight[3], bias[3] = 0.0, 0.5
    mask = [True, True, True, True, True, False]
    return policy_of(
        dense(weight, bias, "tanh", mask),
        dense(rng.normal(size=(4, 6)), rng.normal(size=4), "relu"),
        dense(rng.normal(size=(2, 4))),
        normalizer=normalizer_of([0.5, -0.5], [2.0, 0.5], None),
    )


def test_the_sample_itself_is_proven() -> None:
    result = compact(sample(), observations=observations_for(sample()))
    assert {removal.reason for removal in result.removals} == {
        "masked",
        "constant",
        "duplicate",
        "mirrored",
        "normaliser-folded",
    }
    assert result.proof.tolerance_used <= 1.0


def _fold_nothing(
    net: Network, layer: int, reasons: dict[int, Reason], constants: F64 | None = None
) -> Network:
    return network.drop_units(net, layer, reasons)


def _fold_with_the_wrong_sign(
    net: Network, layer: int, reasons: dict[int, Reason], constants: F64 | None = None
) -> Network:
    return network.drop_units(net, layer, reasons, None if constants is None else -constants)


def _drop_one_more(
    net: Network, layer: int, reasons: dict[int, Reason], constants: F64 | None = None
) -> Network:
    spared = [unit for unit in range(net.layers[layer].units.size) if unit not in reasons]
    if reasons and spared:
        reasons = {**reasons, spared[0]: "masked"}
    return network.drop_units(net, layer, reasons, constants)


@pytest.mark.parametrize("sabotage", [_fold_nothing, _fold_with_the_wrong_sign, _drop_one_more])
def test_a_wrong_rewrite_is_not_equivalent(
    monkeypatch: pytest.MonkeyPatch, sabotage: Callable[..., Network]
) -> None:
    monkeypatch.setattr(rewrite, "drop_units", sabotage)
    with pytest.raises(NotEquivalent, match="nothing was produced"):
        compact(sample(), observations=observations_for(sample()))


@pytest.mark.parametrize("recorded", [True, False])
def test_a_weight_off_by_one_part_in_a_billion_is_not_equivalent(
    monkeypatch: pytest.MonkeyPatch, recorded: bool
) -> None:
    def slightly_wrong(net: Network, bounds: Interval) -> Network:
        net = rewrite.reduce_network(net, bounds)
        weight = net.layers[1].weight.copy()
        weight[0, 0] *= 1 + 1e-9
        return net.with_layer(1, replace(net.layers[1], weight=weight))

    monkeypatch.setattr(pipeline, "reduce_network", slightly_wrong)
    with pytest.raises(NotEquivalent):
        compact(sample(), observations=observations_for(sample()) if recorded else None)


def test_a_defect_that_only_an_edge_shows_is_found_although_observations_were_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    policy = policy_of(dense([[1.0]], [-900.0], "relu"), dense([[1.0]]), discrete=False)

    def drop_what_seems_dead(net: Network, bounds: Interval) -> Network:
        return network.drop_units(net, 0, {0: "inactive"}) if net.layers[0].units.size else net

    monkeypatch.setattr(pipeline, "reduce_network", drop_what_seems_dead)
    with pytest.raises(NotEquivalent, match="gives 0 where its masked source gives"):
        compact(policy, observations=observations_for(policy))


def test_edges_leave_the_declared_bounds_exactly_when_no_rewrite_relied_on_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used: list[Interval] = []

    def spy(policy: Policy, bounds: Interval) -> F64:
        used.append(bounds)
        return edge_observations(policy, bounds)

    monkeypatch.setattr(pipeline, "edge_observations", spy)
    for bias in (-2.0, 2.0):  # off for good within ±1, or always on
        policy = policy_of(
            dense([[1.0], [3.0]], [bias, 0.0], "relu"),
            dense([[1.0, 1.0]]),
            low=[-1],
            high=[1],
            discrete=False,
        )
        compact(policy, observations=np.zeros((1, 1)))
    assert [box.high.tolist() for box in used] == [[1.0], [np.inf]]


def test_the_proof_of_several_steps_is_the_worst_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = policy_of(
        # Duplicates in float32 only, so that rounding makes a second step.
        dense([[1.0], [1.0 + 1e-12]], None, "tanh", dtype=np.float64),
        dense([[1.0, 2.0]]),
        discrete=False,
    )
    errors = [0.5, 0.25]

    def proven_with_errors(*arguments: Any) -> Proof:
        return replace(prove_equal(*arguments), max_error=errors.pop(0))

    monkeypatch.setattr(pipeline, "prove_equal", proven_with_errors)
    result = compact(policy, observations=None)
    assert errors == []
    assert result.proof.max_error == 0.5


def test_worst_of_keeps_the_larger_error_with_its_tolerance_and_adds_actions() -> None:
    small = Proof(5, 7, 1e-15, 3e-15, 1e-14, 0.1, 1, 2)
    large = Proof(5, 7, 2e-15, 2e-15, 9e-14, 0.02, 10, 20)
    worst = Proof(5, 7, 2e-15, 3e-15, 9e-14, 0.1, 11, 22)
    assert small.worst_of(large) == worst
    assert large.worst_of(small) == worst


def test_differing_actions_are_counted_apart_from_ties() -> None:
    # Outputs x and 1: float64 rounding cannot tell them apart at x = 1, only there.
    policy = policy_of(dense([[1.0, 0.0], [0.0, 0.0]], [0.0, 1.0]))
    nudged = policy_of(
        dense([[1.0, 0.0], [0.0, 0.0]], [0.0, 1.0 + 2**-52], dtype=np.float64),
    )
    proof = prove_equal(policy, nudged, np.array([[1.0, 0.0], [0.5, 0.0], [2.0, 0.0]]), NONE)
    assert (proof.differing_actions, proof.ties) == (0, 1)
    assert proof.max_error == 2**-52
    assert proof.max_relative_error == 2**-53
    assert (proof.recorded, proof.edges) == (3, 0)


def test_rounding_is_measured_and_its_changed_actions_counted() -> None:
    policy = policy_of(dense([[1.0, 0.0], [0.0, 0.0]], [0.0, 1.0]))
    stored = policy_of(dense([[1.0, 0.0], [0.0, 0.0]], [0.0, 1.25]))
    rows = np.array([[1.125, 0.0], [1.0625, 0.0], [0.5, 0.0], [2.0, 0.0]])
    rounding = measure_rounding(policy, stored, rows)
    assert rounding.observations == 4
    assert rounding.max_error == 0.25
    assert rounding.max_relative_error == 0.125
    assert rounding.differing_actions == 2


def test_a_continuous_policy_has_no_discrete_actions_to_count() -> None:
    policy = policy_of(dense([[1.0, 2.0]]), discrete=False)
    result = compact(policy, observations=None)
    assert result.proof.differing_actions is None
    assert result.proof.ties is None
    assert result.rounding.differing_actions is None


def test_without_recorded_observations_only_edges_are_compared_and_it_says_so() -> None:
    result = compact(sample(), observations=None)
    assert result.proof.recorded == 0
    assert result.proof.edges > 1000
    assert result.rounding.observations == result.proof.edges
    lineage = result.policy.lineage["compacted"]["proven_on"]
    assert lineage == {"recorded": 0, "edges": result.proof.edges}


def test_the_rounding_bound_holds_against_exact_arithmetic_and_is_tight() -> None:
    rng = np.random.default_rng(11)
    layers = (
        dense(rng.normal(size=(12, 3)), rng.normal(size=12), "relu"),
        dense(rng.normal(size=(12, 12)), rng.normal(size=12), "relu"),
        dense(rng.normal(size=(2, 12)), rng.normal(size=2)),
    )
    policy = policy_of(*layers)
    rows = rng.normal(size=(40, 3))
    bound = rounding_bound(policy, rows)
    exact = np.array([[_exact(layers, row, output) for output in range(2)] for row in rows])
    computed = policy.outputs(rows)
    error = np.array(
        [
            [float(abs(Fraction(c) - e)) for c, e in zip(*pair, strict=True)]
            for pair in zip(computed, exact, strict=True)
        ]
    )
    assert error.max() > 0
    assert (error <= bound).all()
    assert bound.max() < 1e-11


def test_a_masked_unit_adds_nothing_to_the_rounding_bound() -> None:
    policy = policy_of(
        dense([[1.0], [1e12]], None, "relu", [True, False]), dense([[1.0, 1e12]]), discrete=False
    )
    assert rounding_bound(policy, np.array([[1.0]])).item() < 1e-14


def _exact(layers: tuple[Layer, ...], row: F64, output: int) -> Fraction:
    h = [Fraction(float(x)) for x in row]
    for layer in layers:
        bias = np.zeros(layer.width) if layer.bias is None else layer.bias
        z = [
            sum(
                (Fraction(float(w)) * x for w, x in zip(weights, h, strict=True)),
                Fraction(float(b)),
            )
            for weights, b in zip(layer.weight, bias, strict=True)
        ]
        h = [max(x, Fraction(0)) for x in z] if layer.activation == "relu" else z
    return h[output]


def test_edge_observations_reach_corners_and_far_values_but_stay_inside() -> None:
    policy = policy_of(
        dense([[1, 1, 1]]), low=[-2, -np.inf, 0.5], high=[3, np.inf, 0.75], discrete=False
    )
    bounds = Interval(np.array([-2, -np.inf, 0.5]), np.array([3, np.inf, 0.75]))
    rows = edge_observations(policy, bounds)
    assert (rows >= bounds.low).all()
    assert (rows <= bounds.high).all()
    present = {tuple(row) for row in rows.tolist()}
    for corner in [
        (-2.0, -1e6, 0.5),
        (3.0, 1e6, 0.75),
        (-2.0, -1e3, 0.5),
        (0.0, 0.0, 0.5),
        (0.0, 1e6, 0.5),
        (3.0, 0.0, 0.5),
        (1e-8, 1e-8, 0.5),
    ]:
        assert corner in present
    assert len(rows) > 1500
    many = edge_observations(policy_of(dense([[1.0] * 40]), discrete=False), unbounded(40)).tolist()
    for reach in (-10.0, 10.0, -1e3, 1e3, -1e6, 1e6):
        assert [reach] * 40 in many
    np.testing.assert_array_equal(rows, edge_observations(policy, bounds))


@pytest.mark.parametrize("size", [3, 256, 257, 2_000])
def test_edges_of_many_features_grow_with_them_and_not_with_their_square(size: int) -> None:
    policy = policy_of(dense([[1.0] * size]), discrete=False)
    rows = edge_observations(policy, unbounded(size))
    # Without the random rows, which have no zeros, one feature alone is at each of six values.
    alone = rows[(rows != 0).sum(axis=1) == 1]
    feature = np.abs(alone).argmax(axis=1)
    moved = np.unique(feature)
    assert len(moved) == min(size, 256)
    for reach in (-10.0, 10.0, -1e3, 1e3, -1e6, 1e6):
        assert set(feature[alone[np.arange(len(alone)), feature] == reach]) == set(moved)
    assert len(rows) == 1_743 + 6 * min(size, 256)
    np.testing.assert_array_equal(rows, edge_observations(policy, unbounded(size)))


def test_edges_go_beyond_declared_bounds_that_are_not_relied_on() -> None:
    policy = policy_of(dense([[1, 1]]), low=[-2, -2], high=[2, 2], discrete=False)
    rows = edge_observations(policy, unbounded(2))
    assert rows.max() == 1e6
    assert rows.min() == -1e6
    assert [2.0, 2.0] in rows.tolist()
