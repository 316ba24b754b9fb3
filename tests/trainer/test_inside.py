"""Actions at the very ends of a space, for environments that refuse what is beyond it."""

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box

from dspctl.runtime import ActionRule, NumpyRunner
from dspctl.trainer import Episodes, evaluate, load_run, train
from dspctl.trainer.environments import describe
from dspctl.trainer.environments.inside import clip_into
from tests.trainer.registered import registered
from tests.trainer.tiny import tiny

NARROW = Box(np.float32(-0.6), np.float32(2.7), (2,))
SPACES = [
    NARROW,
    Box(-0.1, 0.1, (2,), np.float64),
    Box(-1.0, 0.3, (2,), np.float64),
    Box(-np.inf, 0.1, (2,), np.float64),
]


class Strict(gymnasium.Env[Any, Any]):
    """Refuses an action outside its space, and counts those at the ends."""

    observation_space = Box(-10.0, 10.0, (3,))

    def __init__(self, space: Box) -> None:
        self.action_space = space

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self._time = 0
        return np.zeros(3, np.float32), {}

    def step(self, action: Any) -> Any:
        assert self.action_space.contains(action), f"{action!r} is not in {self.action_space}"
        self._time += 1
        return np.full(3, self._time % 7, np.float32), 0.0, False, self._time == 12, {}


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_nothing_that_acts_leaves_the_space(tmp_path: Path, space: Box) -> None:
    with registered("Strict-v0", lambda: Strict(space)):
        # With this deviation nearly every action is at an end.
        config = tiny("Strict-v0", method="ppo", steps=512, rollout_steps=32, initial_log_std=3.0)
        run = load_run(train(config, tmp_path / "run").run)
        rule = describe("Strict-v0").action
        ends = rule.apply(np.array([[99, -99], [-99, 99]], np.float32))
        evaluate(lambda x: np.resize(ends, (len(x), 2)), "Strict-v0", episodes=3)
        with Episodes("Strict-v0", run.policy(), seed=0) as episodes:
            for action in ends:
                episodes.apply(action)
        evaluate(NumpyRunner(run.policy()), "Strict-v0", episodes=3)


@pytest.mark.parametrize("space", SPACES, ids=str)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_what_is_inside_is_not_moved(space: Box, kind: Any) -> None:
    clip = clip_into(Strict(space))
    low = np.where(np.isfinite(space.low), space.low, -5)
    for share in np.linspace(0, 1, 101):
        action = (low + share * (space.high - low)).astype(kind)
        for near in (np.nextafter(action, kind(-9)), action, np.nextafter(action, kind(9))):
            moved = clip(near)
            assert moved.dtype == kind
            assert (moved >= space.low).all()
            assert (moved <= space.high).all()
            inside = (near >= space.low) & (near <= space.high)
            np.testing.assert_array_equal(moved[inside], near[inside])


def test_the_policy_itself_does_round_beyond_the_end() -> None:
    rule = ActionRule("clip_unscale", low=NARROW.low, high=NARROW.high)
    assert (rule.apply(np.full(2, 1, np.float32)) > NARROW.high).all()
