"""Collecting at episode ends, on an environment whose every number is known."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from dspctl.errors import TrainingDiverged
from dspctl.trainer.environments import describe
from dspctl.trainer.environments.older import envpool_has
from dspctl.trainer.environments.vector import make_vector
from dspctl.trainer.ppo.heads import Categorical, head_of
from dspctl.trainer.ppo.network import Layout, Network
from dspctl.trainer.ppo.rollout import Collector, Rollout
from dspctl.trainer.runs.metrics import EpisodeStatistics
from tests.trainer.registered import registered


class Counting(gymnasium.Env[Any, Any]):
    """Observes the step number, pays it, and ends after *length* steps in the way it is told."""

    observation_space = Box(-100.0, 100.0, (1,))
    action_space: Any = Discrete(2, start=3)

    def __init__(self, length: int, terminates: bool) -> None:
        self._length, self._terminates = length, terminates

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self._time = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> Any:
        assert action in (3, 4), "the action rule's start must be applied"
        self._time += 1
        over = self._time == self._length
        observation = np.full(1, self._time, np.float32)
        return observation, float(self._time), over and self._terminates, over, {}


@pytest.fixture(params=[True, False], ids=["terminates", "truncates"])
def rollout(request: pytest.FixtureRequest) -> Rollout:
    with registered("Counting-v0", lambda: Counting(3, request.param)):
        task = describe("Counting-v0")
        vector = make_vector(task, count=2, seed=0, backend="gymnasium")
    actor = Network.initialise(
        Layout((1, 2), biases=True),
        "tanh",
        np.random.default_rng(0),
        hidden_gain=1.0,
        output_gain=1.0,
    )
    collector = Collector(task, vector, environments=2, steps=6)
    first, _ = collector.collect(actor, Categorical(2), None, np.random.default_rng(0))
    # 3 steps, the reset, 2 steps: the second rollout starts in the middle of an episode
    np.testing.assert_array_equal(first.raw[:, 0, 0], [0, 1, 2, 3, 0, 1, 2])
    second, _ = collector.collect(actor, Categorical(2), None, np.random.default_rng(1))
    assert second.terminated.any() == request.param
    return second


def test_observations_rewards_and_masks(rollout: Rollout) -> None:
    np.testing.assert_array_equal(rollout.raw[:, 1, 0], [2, 3, 0, 1, 2, 3, 0])
    np.testing.assert_array_equal(rollout.rewards[:, 1], [3, 0, 1, 2, 3, 0])
    np.testing.assert_array_equal(rollout.done[:, 0], [True, False, False, False, True, False])
    # The step after an episode's end only resets: it is no transition.
    np.testing.assert_array_equal(rollout.valid[:, 0], [True, False, True, True, True, False])


def test_episode_statistics_leave_the_reset_out(rollout: Rollout) -> None:
    statistics = EpisodeStatistics(2)
    statistics.update(rollout)
    # The first episode is seen from its last step on (return 3, length 1), the second whole (6, 3).
    assert statistics.mean_return == pytest.approx((3 + 6) / 2)
    assert statistics.mean_length == pytest.approx((1 + 3) / 2)


class Breaking(Counting):
    """Observes *value* after *length* steps, and must not be stepped from there."""

    action_space: Any = Box(-1.0, 1.0, (1,))

    def __init__(self, length: int, value: float) -> None:
        super().__init__(length, terminates=False)
        self._value = value

    def step(self, action: Any) -> Any:
        assert np.isfinite(action).all()
        self._time += 1
        observed = self._value if self._time == self._length else self._time
        return np.full(1, observed, np.float32), 0.0, False, False, {}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nothing_acts_on_an_observation_that_is_not_finite(value: float) -> None:
    with registered("Breaking-v0", lambda: Breaking(3, value)):
        task = describe("Breaking-v0")
        vector = make_vector(task, count=2, seed=0, backend="gymnasium")
    actor = Network.initialise(
        Layout((1, 1), biases=True, extra=1),
        "tanh",
        np.random.default_rng(0),
        hidden_gain=1.0,
        output_gain=1.0,
    )
    collector = Collector(task, vector, environments=2, steps=6)
    head = head_of(task.action, task.outputs)
    with pytest.raises(TrainingDiverged, match="Breaking-v0 returned an observation that is not"):
        collector.collect(actor, head, None, np.random.default_rng(0))
    envs: Any = vector
    assert [env.unwrapped._time for env in envs._env.envs] == [3, 3]


@pytest.mark.parametrize("environment", ["CartPole-v1", "Pendulum-v1"])
def test_both_libraries_reset_on_the_step_after_the_end(environment: str) -> None:
    if not envpool_has(environment):
        pytest.skip("EnvPool is not installed")
    task = describe(environment)
    seen = []
    for backend in ("gymnasium", "envpool"):
        vector = make_vector(task, count=1, seed=0, backend=backend)
        vector.reset()
        action = np.zeros(1, np.int64) if task.discrete else np.zeros((1, 1), np.float32)
        length, over = 0, False
        while not over:
            step = vector.step(action)
            length += 1
            over = bool(step.terminated[0] or step.truncated[0])
        last, reset = step, vector.step(action)
        assert reset.rewards[0] == 0
        assert not reset.terminated[0]
        assert not reset.truncated[0]
        # Both start near upright (CartPole) or on the unit circle; the end is far from the start.
        assert not np.allclose(last.observations, reset.observations)
        seen.append((length, bool(last.terminated[0]), bool(last.truncated[0])))
        vector.close()
    if environment == "Pendulum-v1":
        assert seen[0] == seen[1] == (200, False, True)
    else:
        assert all(terminated for _, terminated, _ in seen)
