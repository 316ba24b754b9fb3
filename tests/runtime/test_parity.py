from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

from dspctl.runtime import NumpyRunner, Policy
from dspctl.runtime.policy.guard import ON_INVALID, OnInvalid
from dspctl.runtime.reference.edges import edge_observations, invalid_observations
from dspctl.runtime.reference.golden import Golden, golden_from_policy
from dspctl.runtime.reference.parity import Parity, measure_parity
from dspctl.runtime.reference.rounding import rounding_bound
from tests.runtime.policies import make_policy, policies


def edges_of(policy: Policy) -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    return np.concatenate([edge_observations(policy, rng), invalid_observations(policy, rng)])


class Altered(NumpyRunner):
    """A backend that runs another policy than it says."""

    backend = "altered"

    def __init__(self, policy: Policy, runs: Policy) -> None:
        super().__init__(runs, np.float32)
        self.policy = policy


def with_weights(policy: Policy, change: Any) -> Policy:
    return replace(
        policy,
        layers=tuple(replace(layer, weight=change(layer.weight)) for layer in policy.layers),
    )


@settings(max_examples=40, deadline=None)
@given(policies(guarded=True))
def test_float32_always_passes_and_the_reference_is_exact(policy: Policy) -> None:
    golden = golden_from_policy(policy, edges_of(policy))
    assert measure_parity(NumpyRunner(policy, np.float32), golden).passed
    exact = measure_parity(NumpyRunner(policy), golden)
    assert exact.passed
    assert exact.disagreements == exact.ties == exact.wrong_statuses == 0
    assert exact.invalid > 0
    assert exact.largest_bound_share < 1e-3


@pytest.mark.parametrize("rule", ["argmax", "tanh_unscale"])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("width", [9, 128])
def test_lower_precision_and_small_mistakes_do_not_pass(
    rule: str, activation: str, width: int
) -> None:
    policy = make_policy(sizes=(8, width, width, 4), activation=activation, rule=rule)
    golden = golden_from_policy(policy, edges_of(policy))
    assert measure_parity(NumpyRunner(policy, np.float32), golden).largest_bound_share < 0.5
    half = with_weights(policy, lambda w: w.astype(np.float16).astype(np.float32))
    tf32 = with_weights(
        policy, lambda w: (w.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)
    )
    assert policy.normalizer is not None
    unclipped = replace(policy, normalizer=replace(policy.normalizer, clip=None))
    unnormalised = replace(policy, normalizer=None)
    for wrong in (half, tf32, unclipped, unnormalised):
        parity = measure_parity(Altered(policy, wrong), golden)
        assert not parity.passed
        assert parity.largest_bound_share > 20


class Scripted(NumpyRunner):
    """A backend that answers from a list; its outputs and statuses are right."""

    backend = "scripted"

    def __init__(self, policy: Policy, golden: Golden, actions: NDArray[Any]) -> None:
        super().__init__(policy)
        self._golden, self._actions = golden, actions

    def _at(self, rows: NDArray[np.float32]) -> NDArray[np.int64]:
        known = self._golden.observations
        same = (rows[:, None] == known) | (np.isnan(rows[:, None]) & np.isnan(known))
        at: NDArray[np.int64] = same.all(axis=2).argmax(axis=1)
        return at

    def _act(self, rows: NDArray[np.float32], action: NDArray[Any]) -> NDArray[np.uint8]:
        at = self._at(rows)
        action[...] = self._actions[at]
        return self._golden.status[at]

    def _outputs(self, rows: NDArray[np.float32]) -> NDArray[Any]:
        return self._golden.outputs[self._at(rows)]


def test_discrete_disagreements_and_ties() -> None:
    policy = make_policy(sizes=(5, 3), start=10)
    outputs = np.array(
        [
            [1.0, 0.0, 0.5],
            [1.0, 1.0 - 4e-6, 0.0],
            [0.0, 1e-4, 0.0],
            [2.0, 1.0, 0.0],
            [0.0, 0.0, 9.0],
        ]
    )
    golden = replace(
        golden_from_policy(policy, np.eye(5, dtype=np.float32)),
        outputs=outputs,
        actions=outputs.argmax(axis=1) + 10,
    )
    right = measure_parity(Scripted(policy, golden, golden.actions), golden)
    assert (right.disagreements, right.ties, right.passed) == (0, 0, True)
    # Row 1 chose an equal logit; rows 2 and 4 a worse one; row 3 an action that does not exist.
    wrong = np.array([10, 11, 10, 13, 10])
    parity = measure_parity(Scripted(policy, golden, wrong), golden)
    assert (parity.disagreements, parity.ties, parity.passed) == (3, 1, False)


def test_continuous_errors_are_a_share_of_the_range() -> None:
    policy = make_policy(sizes=(5, 2), rule="clip")
    policy = replace(
        policy,
        action=replace(
            policy.action, low=np.array([-2, -np.inf], "f4"), high=np.array([2, np.inf], "f4")
        ),
    )
    golden = golden_from_policy(policy, np.eye(5, dtype=np.float32))
    parity = measure_parity(Scripted(policy, golden, golden.actions + np.float32(0.5)), golden)
    assert parity.largest_action_error == pytest.approx(0.5, rel=1e-6)  # the second has no range
    assert parity.disagreements == 5
    action = golden.actions.copy()
    action[3, 0] += np.float32(0.5)
    parity = measure_parity(Scripted(policy, golden, action), golden)
    assert parity.largest_action_error == pytest.approx(0.125, rel=1e-6)
    assert parity.disagreements == 1


@pytest.mark.parametrize("rule", ["argmax", "clip"])
def test_the_guards_answer_is_compared_exactly(rule: str) -> None:
    policy = make_policy(rule=rule, on_invalid="flag")
    golden = golden_from_policy(policy, np.diag([np.nan, 1, 1, 1, np.inf]).astype(np.float32))
    assert golden.status.tolist() == [1, 0, 0, 0, 1]
    assert measure_parity(Scripted(policy, golden, golden.actions), golden).invalid == 2
    wrong = golden.actions.copy()
    if rule == "argmax":
        wrong[0] = (wrong[0] + 1) % 3
    else:
        wrong[0, 1] = np.nextafter(wrong[0, 1], np.float32(0))
    parity = measure_parity(Scripted(policy, golden, wrong), golden)
    assert (parity.disagreements, parity.ties, parity.passed) == (1, 0, False)


def test_a_held_buffer_must_stay_untouched() -> None:
    policy = make_policy(rule="clip", on_invalid="hold")
    golden = golden_from_policy(policy, np.diag([np.nan, 1, 1, 1, np.inf]).astype(np.float32))
    assert measure_parity(NumpyRunner(policy), golden).passed
    flagged = replace(policy, guard=replace(policy.guard, on_invalid="flag"))
    parity = measure_parity(Altered(policy, flagged), golden)
    assert parity.disagreements == 2
    assert parity.wrong_statuses == 0


@pytest.mark.parametrize("on_invalid", ON_INVALID)
def test_a_backend_with_another_guard_does_not_pass(on_invalid: OnInvalid) -> None:
    policy = make_policy(rule="clip", on_invalid=on_invalid, ranged=True)
    golden = golden_from_policy(policy, edges_of(policy))
    assert measure_parity(NumpyRunner(policy), golden).passed
    for other in ON_INVALID:
        if other != on_invalid:
            guard = replace(policy.guard, on_invalid=other)
            parity = measure_parity(Altered(policy, replace(policy, guard=guard)), golden)
            assert not parity.passed
    # One step of float32 further out is another range.
    for end, side in (("low", -np.inf), ("high", np.inf)):
        bound = getattr(policy.guard, end)
        wider = np.where(
            np.abs(bound) < 1e9, np.nextafter(np.clip(bound, -1e9, 1e9), np.float32(side)), bound
        )
        guard = replace(policy.guard, **{end: wider.astype(np.float32)})
        parity = measure_parity(Altered(policy, replace(policy, guard=guard)), golden)
        assert parity.wrong_statuses > 0
        assert not parity.passed


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_answers_that_are_no_numbers_never_pass(value: float) -> None:
    policy = make_policy(rule="clip")

    class Broken(NumpyRunner):
        def _outputs(self, rows: NDArray[np.float32]) -> NDArray[Any]:
            return super()._outputs(rows) * value

    parity = measure_parity(Broken(policy), golden_from_policy(policy, edges_of(policy)))
    assert not parity.passed
    assert parity.largest_output_error == np.inf


def test_the_bound_holds_where_float32_overflows() -> None:
    policy = with_weights(make_policy(normalizer=False, activation="relu"), lambda w: w * 1e18)
    edges = edge_observations(policy, np.random.default_rng(0))
    bound = rounding_bound(policy, edges)
    assert np.isfinite(bound).all()
    assert (bound > 0).all()


def test_json_round_trip_is_strict() -> None:
    parity = Parity("numpy", 7, 1e-6, 0.5, 0.25, 0, 1, 3, 2)
    assert not parity.passed  # statuses were wrong
    value = parity.to_json()
    assert Parity.from_json(value) == parity
    wrong: Any
    for wrong in ({**value, "extra": 1}, {**value, "ties": 0.5}, {**value, "backend": None}, []):
        with pytest.raises(ValueError, match="parity record"):
            Parity.from_json(wrong)
