"""What an environment asks of a policy, as gymnasium defines it.

Gymnasium is the definition: spaces, bounds and step limits are read from there even when another
library steps the environment (EnvPool declares placeholder bounds for the Box2D tasks, for
example).
"""

import difflib
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from dspctl.errors import EnvironmentProblem, MissingExtra, UnknownEnvironment, UnsupportedSpace
from dspctl.runtime import ActionRule, ObservationSpec

try:
    import gymnasium
    from gymnasium.envs.registration import EnvSpec
    from gymnasium.spaces import Box, Discrete
except ModuleNotFoundError as error:  # pragma: no cover - exercised in an environment without it
    raise MissingExtra("gymnasium", "train", "training and evaluation") from error

from dspctl.trainer.environments.older import OLDER, OlderEnvironment, is_older

_VERSION = re.compile(r"-v\d+$")


@dataclass(frozen=True, eq=False)
class Task:
    """One environment as the trainer sees it.

    Attributes:
        environment: gymnasium id.
        observation: bounds of the flat observation.
        action: the rule that turns network outputs into environment actions.
        outputs: network outputs: number of discrete actions, or action dimensions.
    """

    environment: str
    observation: ObservationSpec
    action: ActionRule
    outputs: int

    @property
    def discrete(self) -> bool:
        """True for a Discrete action space."""
        return self.action.discrete


def describe(environment: str) -> Task:
    """The `Task` behind a gymnasium id.

    Raises:
        UnknownEnvironment: no such id; the message names the nearest ones.
        UnsupportedSpace: the spaces are not a flat Box observation with a Discrete or Box action.
        EnvironmentProblem: gymnasium could not make it (a missing simulator, for instance).
    """
    env = make(environment)
    try:
        return Task(
            environment=environment,
            observation=_observation_spec(environment, env.observation_space),
            action=_action_rule(environment, env.action_space),
            outputs=(
                int(env.action_space.n)
                if isinstance(env.action_space, Discrete)
                else int(np.prod(env.action_space.shape or ()))
            ),
        )
    finally:
        env.close()


def make(environment: str, **options: Any) -> "gymnasium.Env[Any, Any]":
    """``gymnasium.make`` with dspctl's errors; raises as `describe`.

    A version that gymnasium no longer has comes from EnvPool, where that is installed.
    """
    if OLDER.fullmatch(environment):
        if is_older(environment):
            return OlderEnvironment(environment)
        raise EnvironmentProblem(
            f"gymnasium no longer has {environment}, and EnvPool, which has it, is not installed: "
            "run  pip install 'dspctl[envpool]', or take the newest version of this environment"
        )
    try:
        return gymnasium.make(environment, **options)
    except gymnasium.error.DependencyNotInstalled as error:
        raise EnvironmentProblem(
            f"{environment} needs a simulator that is not installed ({error}): "
            "run  pip install 'dspctl[train]'"
        ) from error
    except gymnasium.error.UnregisteredEnv as error:
        raise UnknownEnvironment(
            f"there is no environment {environment!r}{_nearest(environment)}"
        ) from error
    except (gymnasium.error.Error, ImportError, ValueError) as error:
        raise EnvironmentProblem(
            f"gymnasium could not make {environment!r}: {error} — check the id, and that the "
            "package which registers it is installed"
        ) from error
    except Exception as error:  # an environment is anybody's code, which may raise anything
        raise EnvironmentProblem(
            f"{environment} could not be made, its own code raised {type(error).__name__} "
            f"({error}): correct it there, or check what it is registered with"
        ) from error


def _nearest(environment: str) -> str:
    """What to try instead: the newest version of names that are close.

    Versions are left out of the comparison: they make short names look alike.
    """
    newest: dict[str, EnvSpec] = {}
    for spec in gymnasium.registry.values():
        name = _VERSION.sub("", spec.id.lower())
        if name not in newest or (spec.version or 0) >= (newest[name].version or 0):
            newest[name] = spec
    close = difflib.get_close_matches(_VERSION.sub("", environment.lower()), newest, n=3)
    if not close:
        return ": `python -c 'import gymnasium; gymnasium.pprint_registry()'` lists them all"
    return f": did you mean {' or '.join(newest[name].id for name in close)}?"


def _observation_spec(environment: str, space: Any) -> ObservationSpec:
    if not isinstance(space, Box) or len(space.shape) != 1:
        raise UnsupportedSpace(
            f"{environment} observes {space}, but dspctl trains on flat vectors (a one-dimensional "
            "Box): wrap it with gymnasium.wrappers.FlattenObservation under an id of its own"
        )
    return ObservationSpec(low=_float32(space.low), high=_float32(space.high))


def _action_rule(environment: str, space: Any) -> ActionRule:
    if isinstance(space, Discrete):
        if space.n < 2:
            raise UnsupportedSpace(
                f"{environment} acts with {space}, a single action, so there is nothing to learn: "
                "give it two actions or more"
            )
        return ActionRule("argmax", start=int(space.start))
    if not isinstance(space, Box) or len(space.shape) != 1:
        raise UnsupportedSpace(
            f"{environment} acts with {space}, but dspctl supports Discrete and one-dimensional "
            "Box actions: wrap the environment so that its action is one of these"
        )
    if not np.issubdtype(space.dtype, np.floating):
        raise UnsupportedSpace(
            f"{environment} acts with {space}, whose numbers are {space.dtype}, but dspctl's "
            "continuous actions are fractions: wrap the environment in one with a float32 Box, or "
            "with Discrete actions"
        )
    low, high = _float32(space.low), _float32(space.high)
    # A unit Gaussian should reach the whole range whatever its units, so bounds other than ±1 are
    # mapped. Infinite ones cannot be.
    bounded = np.isfinite(low).all() and np.isfinite(high).all()
    unit = (low == -1).all() and (high == 1).all()
    return ActionRule("clip_unscale" if bounded and not unit else "clip", low=low, high=high)


def _float32(bounds: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    # float64 spaces declare ±1.8e308, which float32 turns into the infinity that is meant.
    with np.errstate(over="ignore"):
        return np.asarray(bounds).astype(np.float32)
