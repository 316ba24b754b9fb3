"""An environment behind observe and apply, as a control loop uses it."""

from typing import Any

import gymnasium
import numpy as np
import pytest

from dspctl.errors import ConfigProblem, UnknownEnvironment
from dspctl.runtime import ControlLoop, LoopSettings, NumpyRunner, Policy
from dspctl.trainer import Episodes
from tests.runtime.loop.virtual import VirtualClock
from tests.runtime.policies import make_policy


def acting(sizes: tuple[int, ...], rule: str = "argmax") -> Policy:
    return make_policy(sizes=sizes, rule=rule, normalizer=False)


def by_hand(policy: Policy, environment: str, seed: int, steps: int) -> list[float]:
    """Returns of the episodes that end within *steps*, with gymnasium alone."""
    env: Any = gymnasium.make(environment)
    runner, returns, total = NumpyRunner(policy), list[float](), 0.0
    observation, _ = env.reset(seed=seed)
    for _ in range(steps):
        action = runner(np.asarray(observation, np.float32))
        observation, reward, terminated, truncated, _ = env.step(
            int(action) if policy.action.discrete else action
        )
        total += float(reward)
        if terminated or truncated:
            returns.append(total)
            total, seed = 0.0, seed + 1
            observation, _ = env.reset(seed=seed)
    env.close()
    return returns


@pytest.mark.parametrize(
    ("environment", "sizes", "rule", "steps"),
    [("CartPole-v1", (4, 6, 2), "argmax", 400), ("Pendulum-v1", (3, 6, 1), "clip", 450)],
)
def test_a_loop_earns_what_gymnasium_pays(
    environment: str, sizes: tuple[int, ...], rule: str, steps: int
) -> None:
    policy = acting(sizes, rule)
    with Episodes(environment, policy, seed=11) as episodes:
        loop = ControlLoop(
            [NumpyRunner(policy)],
            episodes.observe,
            episodes.apply,
            settings=LoopSettings(hz=50.0),
            clock=VirtualClock(),
        )
        assert sum(loop.run(steps=steps).faults.values()) == 0
    expected = by_hand(policy, environment, 11, steps)
    assert episodes.finished == len(expected) > 1
    assert episodes.last_return == pytest.approx(expected[-1])
    assert episodes.mean_return == pytest.approx(np.mean(expected))


def test_an_environment_that_fails_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    with Episodes("CartPole-v1", acting((4, 6, 2)), seed=0) as episodes:
        first = episodes.observe().copy()
        episodes.apply(0)
        assert (episodes.observe() != first).any()
        with pytest.raises(Exception, match=r"99"):
            episodes.apply(99)
        begun = episodes.observe()
        expected, _ = gymnasium.make("CartPole-v1").reset(seed=1)
        np.testing.assert_array_equal(begun, expected)
        with pytest.raises(Exception, match=r"99"):
            episodes.apply(99)
        episodes.apply(1)  # nobody observed in between
        assert episodes.observe().shape == (4,)
        assert episodes.finished == 0


def test_what_does_not_fit() -> None:
    with pytest.raises(ConfigProblem, match="Acrobot-v1 observes 6 features and takes 3 choices"):
        Episodes("Acrobot-v1", acting((4, 6, 2)), 0)
    with pytest.raises(UnknownEnvironment):
        Episodes("NoSuchEnv-v0", acting((4, 6, 2)), 0)
