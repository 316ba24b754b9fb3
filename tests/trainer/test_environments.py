"""What the trainer accepts, and what it says about the rest."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete

from dspctl.errors import (
    ConfigProblem,
    EnvironmentProblem,
    UnknownEnvironment,
    UnsupportedSpace,
)
from dspctl.trainer.environments import describe
from dspctl.trainer.environments.vector import make_vector
from tests.trainer.registered import registered


@pytest.mark.parametrize(
    ("environment", "size", "outputs", "kind"),
    [
        ("CartPole-v1", 4, 2, "argmax"),
        ("LunarLander-v3", 8, 4, "argmax"),
        ("LunarLanderContinuous-v3", 8, 2, "clip"),
        ("Pendulum-v1", 3, 1, "clip_unscale"),
        ("Hopper-v5", 11, 3, "clip"),
        ("Walker2d-v5", 17, 6, "clip"),
    ],
)
def test_tasks(environment: str, size: int, outputs: int, kind: str) -> None:
    task = describe(environment)
    assert (task.observation.size, task.outputs, task.action.kind) == (size, outputs, kind)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("CartPol-v1", "did you mean CartPole-v1"),
        ("hopper", r"did you mean Hopper-v5\?"),
        ("Hopper-v9", r"did you mean Hopper-v5\?"),  # the newest version, and no other
        ("Foo-v1", "pprint_registry"),  # only the version is like another's
    ],
)
def test_unknown_environment_names_the_nearest(given: str, named: str) -> None:
    with pytest.raises(UnknownEnvironment, match=named):
        describe(given)


class Odd(gymnasium.Env[Any, Any]):
    def __init__(self, observation: Any, action: Any) -> None:
        self.observation_space, self.action_space = observation, action


FLAT, PUSH = Box(-1, 1, (3,)), Discrete(2)


@pytest.mark.parametrize(
    ("observation", "action", "message"),
    [
        (Box(0, 255, (8, 8, 3), np.uint8), PUSH, "FlattenObservation"),
        (Dict({"a": FLAT}), PUSH, "FlattenObservation"),
        (FLAT, MultiDiscrete([2, 3]), "Discrete and one-dimensional Box"),
        (FLAT, Box(-1, 1, (2, 2)), "Discrete and one-dimensional Box"),
        (FLAT, Box(-3, 3, (2,), np.int64), "int64.*float32 Box"),
        (FLAT, Discrete(1), "nothing to learn"),
    ],
)
def test_unsupported_spaces_say_what_is_supported(
    observation: Any, action: Any, message: str
) -> None:
    with (
        registered("Odd-v0", lambda: Odd(observation, action)),
        pytest.raises(UnsupportedSpace, match=message),
    ):
        describe("Odd-v0")


@pytest.mark.parametrize("error", [TypeError, KeyError, RuntimeError, ValueError])
def test_an_environment_that_cannot_be_made_says_why(error: type[Exception]) -> None:
    def broken() -> Any:
        raise error("no such track")

    with (
        registered("Broken-v0", broken),
        pytest.raises(EnvironmentProblem, match="no such track"),
    ):
        describe("Broken-v0")


def test_envpool_without_the_task_is_refused() -> None:
    with (
        registered("Odd-v0", lambda: Odd(FLAT, PUSH)),
        pytest.raises(ConfigProblem, match="does not have Odd-v0"),
    ):
        make_vector(describe("Odd-v0"), count=1, seed=0, backend="envpool")
