"""The gate, on a task that is worked out by hand: a counter that each right action moves on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dspctl import errors
from dspctl.exporter import Gate, export
from dspctl.exporter.gate import Act, run_gate
from dspctl.runtime import NumpyRunner, Policy
from dspctl.runtime.bundle import open_bundle
from tests.runtime.native import tiny_policy

STEPS = 10


class Line:
    """One point is earned per step on which action 0 is taken; the seed shifts what is seen."""

    def __init__(self, broken: int | None = None, far: int | None = None) -> None:
        self.broken, self.far = broken, far
        self.played: list[int] = []

    def play(self, act: Act, seed: int) -> float:
        self.played.append(seed)
        rng, earned = np.random.default_rng(seed), 0.0
        for step in range(STEPS):
            x = np.array([[1.0, rng.uniform(-1, 1), 0.0]], np.float32)  # 0 is right: x0 > 0
            if step == self.broken:
                x[0, 0] = np.nan
            if step == self.far:
                x[0, 0] = 1e6
            (action,) = act(x)
            earned += float(action == 0) * (1 + 0.01 * (seed % 3))
        return earned

    def gate(self, episodes: int = 6) -> Gate:
        return Gate("Line-v0", episodes, 100, self.play)


class Wrong(NumpyRunner):
    """Acts otherwise every time."""

    def act(self, observation: NDArray[Any], action: NDArray[Any]) -> Any:
        status = super().act(observation, action)
        action[...] = 1 - action
        return status


def test_the_same_policy_passes_on_the_same_seeds() -> None:
    line, policy = Line(), tiny_policy(discrete=True)
    result = run_gate(line.gate(), policy, NumpyRunner(policy), "policy.onnx")
    assert result.passed
    assert line.played == [seed for k in range(6) for seed in (100 + k, 100 + k)]
    assert result.policy_returns == result.artefact_returns
    # 10 steps of 1.00, 1.01 or 1.02: worked out by hand.
    assert result.policy_returns == pytest.approx((10.1, 10.2, 10.0, 10.1, 10.2, 10.0))
    assert result.policy_mean == result.artefact_mean == pytest.approx(10.1)
    assert result.policy_low <= 10.1 <= result.policy_high
    assert (result.observations, result.not_finite, result.out_of_range) == (60, 0, 0)
    assert result.largest_difference == 0


def test_what_earns_less_is_refused() -> None:
    policy = tiny_policy(discrete=True)
    with pytest.raises(errors.GateFailed) as caught:
        run_gate(Line().gate(), policy, Wrong(policy), "native/x/libtiny.so")
    for part in ("native/x/libtiny.so earns 0 in Line-v0 over 30 episodes", "95% interval [10."):
        assert part in str(caught.value)


class Chaos(Line):
    """A task in which the smallest difference grows: what is earned from a seed is luck.

    Policy and artefact play in turns; *luck* is what the artefact's n-th episode earns more.
    """

    def __init__(self, luck: Callable[[int], float]) -> None:
        super().__init__()
        self.luck = luck

    def play(self, act: Act, seed: int) -> float:
        earned = super().play(act, seed)
        episode, artefact = divmod(len(self.played) - 1, 2)
        return earned + (self.luck(episode) if artefact else 0.0)


def test_what_earns_less_by_chance_plays_on_and_passes() -> None:
    policy = tiny_policy(discrete=True)
    gate = Chaos(lambda episode: -0.5 if episode < 6 else 0.5 * (-1) ** episode).gate()
    result = run_gate(gate, policy, NumpyRunner(policy), "policy.onnx")
    assert result.episodes == len(result.artefact_returns) == 30
    assert result.artefact_mean == pytest.approx(10.0)  # 3 points less in 30 episodes
    assert result.artefact_mean < result.policy_low
    assert result.difference_low < -0.2
    assert result.difference_high > 0


def test_what_earns_less_from_seed_to_seed_is_refused_after_five_times_as_many() -> None:
    policy, line = tiny_policy(discrete=True), Chaos(lambda episode: -0.5 + 0.3 * (-1) ** episode)
    with pytest.raises(errors.GateFailed, match=r"on the same seeds less by 0\.[34]\d* to 0\.[56]"):
        run_gate(line.gate(), policy, NumpyRunner(policy), "policy.onnx")
    assert len(line.played) == 60


def test_invalid_observations_are_counted_and_answered_as_on_a_vehicle() -> None:
    flag, hold = tiny_policy(discrete=True), tiny_policy(discrete=True, mode="hold")
    # Every episode's third observation is broken. The safe action, 1, earns nothing there; the
    # last action, 0, does.
    with pytest.raises(
        errors.GateFailed, match=r"30 of 300 observations were invalid.*--on-invalid"
    ):
        run_gate(Line(broken=2).gate(), _steady(flag), NumpyRunner(flag), "x")
    result = run_gate(Line(broken=2).gate(), _steady(hold), NumpyRunner(hold), "x")
    assert (result.not_finite, result.out_of_range) == (6, 0)
    assert result.artefact_mean == pytest.approx(10.1)
    result = run_gate(Line(far=5).gate(), hold, NumpyRunner(hold), "x")
    assert (result.not_finite, result.out_of_range) == (0, 6)


def test_hold_begins_with_the_safe_action_in_every_episode() -> None:
    hold = tiny_policy(discrete=True, mode="hold")
    with pytest.raises(errors.GateFailed):
        run_gate(Line(broken=0).gate(), _steady(hold), NumpyRunner(hold), "x")


def test_the_result_goes_into_the_bundle(tmp_path: Path) -> None:
    policy = tiny_policy(discrete=True)
    result = export(policy, "onnx", tmp_path / "b", gate=Line().gate())
    assert result.gate is not None
    value = json.loads(open_bundle(tmp_path / "b").data["gate.json"])
    assert value["artefact"] == "policy.onnx"
    assert value["passed"] is True
    assert value["policy_returns"] == list(result.gate.policy_returns)
    export(policy, "onnx", tmp_path / "again", gate=Line().gate())
    assert (tmp_path / "again" / "gate.json").read_bytes() == (
        tmp_path / "b" / "gate.json"
    ).read_bytes()


def test_a_failed_gate_leaves_nothing(tmp_path: Path) -> None:
    policy = tiny_policy(discrete=True)
    with pytest.raises(errors.GateFailed):
        export(_steady(policy), "onnx", tmp_path / "b", gate=Line(far=3).gate())
    assert list(tmp_path.iterdir()) == []


def _steady(policy: Policy) -> Policy:
    """A reference that earns a point whatever it sees: its first logit always wins."""
    from dataclasses import replace

    layer = replace(
        policy.layers[0], weight=np.zeros((2, 2), np.float32), bias=np.array([1, 0], np.float32)
    )
    return replace(policy, layers=(layer,))
