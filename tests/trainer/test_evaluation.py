"""A runner in the loop: what its policy's guard says happens there too."""

from typing import Any

import gymnasium
import numpy as np
import pytest

from dspctl.runtime import ActionRule, Guard, Layer, NumpyRunner, ObservationSpec, Policy
from dspctl.trainer import evaluate

ENVIRONMENT, EPISODES, SEED = "CartPole-v1", 30, 5


def balancing(on_invalid: Any) -> Policy:
    """Pushes to the side the pole falls to, and distrusts angles beyond half a degree."""
    top = np.full(4, np.finfo(np.float32).max, np.float32)
    low, high = -top, top.copy()
    low[2], high[2] = -0.01, 0.01
    falls_right = np.array([[0, 0, -1, -1], [0, 0, 1, 1]], np.float32)
    return Policy(
        environment=ENVIRONMENT,
        observation=ObservationSpec(-top, top),
        layers=(Layer(falls_right, None, "identity"),),
        action=ActionRule("argmax"),
        inputs=np.arange(4),
        guard=Guard(low, high, np.array([1]), on_invalid),
    )


def played_alone(runner: NumpyRunner, seed: int) -> tuple[int, int]:
    """Steps and invalid observations of one episode, played as on a vehicle."""
    env = gymnasium.make(ENVIRONMENT)
    observation, _ = env.reset(seed=seed)
    action, steps, invalid, over = np.array([1]), 0, 0, False
    while not over:
        invalid += runner.act(observation, action) != 0
        observation, _, terminated, truncated, _ = env.step(int(action[0]))
        over, steps = terminated or truncated, steps + 1
    return steps, invalid


@pytest.mark.parametrize("on_invalid", ["flag", "hold", "zero", "clamp"])
def test_every_lane_is_a_control_loop_of_its_own(on_invalid: str) -> None:
    runner = NumpyRunner(balancing(on_invalid))
    evaluation = evaluate(runner, ENVIRONMENT, episodes=EPISODES, seed=SEED)
    alone = [played_alone(runner, SEED + episode) for episode in range(EPISODES)]
    assert evaluation.lengths == tuple(steps for steps, _ in alone)
    assert evaluation.invalid == sum(invalid for _, invalid in alone) > 0


def test_a_plain_function_has_no_guard() -> None:
    policy = balancing("flag")
    free = evaluate(policy.act, ENVIRONMENT, episodes=3, seed=SEED)
    assert free.invalid == 0
    assert free.mean > evaluate(NumpyRunner(policy), ENVIRONMENT, episodes=3, seed=SEED).mean
