"""Stepping several copies of an environment side by side.

Both libraries reset on the step *after* an episode ends: the observation returned with ``done`` is
the true last one of the episode, and the step after it ignores the action, pays nothing and returns
the first observation of the next episode. That step is no transition and is masked out of GAE.
"""

import importlib.util
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from dspctl.errors import ConfigProblem, MissingExtra
from dspctl.trainer.environments import Task, make
from dspctl.trainer.environments.inside import clip_into
from dspctl.trainer.environments.older import envpool_has, quiet
from dspctl.trainer.environments.state import restorable, restore, states_of


class Step(NamedTuple):
    """What one step of every environment gives; all arrays have length num_envs.

    Attributes:
        observations: float [num_envs, obs_dim], raw.
        rewards: float [num_envs].
        terminated: bool [num_envs], the task ended: nothing follows, the value is 0.
        truncated: bool [num_envs], a time limit cut the episode: bootstrap from the observation.
    """

    observations: NDArray[Any]
    rewards: NDArray[Any]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]


class VectorEnvironment(Protocol):
    """Several environments of one task."""

    backend: str

    def reset(self) -> NDArray[Any]:
        """First observations, float [num_envs, obs_dim]."""
        ...

    def step(self, actions: NDArray[Any]) -> Step:
        """Apply one action per environment: int64 [num_envs] or float32 [num_envs, action_dim]."""
        ...

    def state(self) -> list[dict[str, Any]] | None:
        """Everything that decides what the environments do next, JSON values; None where the
        simulators do not tell."""
        ...

    def restore(self, state: list[dict[str, Any]]) -> bool:
        """Go on from a `state`, after a `reset`; False where that is not possible, and then the
        environments are as they were."""
        ...

    def close(self) -> None:
        """Free the simulators."""
        ...


class EnvPoolVector:
    """EnvPool: C++ environments stepped by a pool of threads."""

    backend = "envpool"

    def __init__(self, task: Task, count: int, seed: int, threads: int) -> None:
        with quiet():
            import envpool

            self._env = envpool.make_gymnasium(
                task.environment, num_envs=count, seed=seed, num_threads=min(threads, count)
            )
            shape = self._env.observation_space.shape
            self._action_dtype = self._env.action_space.dtype
        if shape != (task.observation.size,):
            raise ConfigProblem(
                f"EnvPool's {task.environment} observes {shape}, "
                f"gymnasium's ({task.observation.size},): pass --vector-backend gymnasium"
            )

    def reset(self) -> NDArray[Any]:
        """First observations."""
        observations: NDArray[Any] = self._env.reset()[0]
        return observations

    def step(self, actions: NDArray[Any]) -> Step:
        """Step all environments."""
        return Step(*self._env.step(actions.astype(self._action_dtype, copy=False))[:4])

    def state(self) -> list[dict[str, Any]] | None:
        """EnvPool does not tell."""
        return None

    def restore(self, state: list[dict[str, Any]]) -> bool:
        """Not possible."""
        return False

    def close(self) -> None:
        """Stop the thread pool."""
        self._env.close()


class GymnasiumVector:
    """Gymnasium's own vectorisation: the definition, one environment after the other."""

    backend = "gymnasium"

    def __init__(self, task: Task, count: int, seed: int) -> None:
        from gymnasium.vector import AutoresetMode, SyncVectorEnv

        self._env = SyncVectorEnv(
            [lambda: make(task.environment) for _ in range(count)],
            autoreset_mode=AutoresetMode.NEXT_STEP,
        )
        self._seed = seed
        self._clip = clip_into(self._env.envs[0])

    def reset(self) -> NDArray[Any]:
        """First observations."""
        observations: NDArray[Any] = self._env.reset(seed=self._seed)[0]
        return observations.copy()

    def step(self, actions: NDArray[Any]) -> Step:
        """Step all environments."""
        return Step(*self._env.step(self._clip(actions))[:4])

    def state(self) -> list[dict[str, Any]] | None:
        """Of every environment, and whether its next step only resets."""
        states = states_of(self._env.envs)
        if states is None:
            return None
        resets = self._env._autoreset_envs.tolist()
        return [{**one, "resets": each} for one, each in zip(states, resets, strict=True)]

    def restore(self, state: list[dict[str, Any]]) -> bool:
        """See `VectorEnvironment.restore`."""
        envs = self._env.envs
        if len(state) != len(envs) or not restorable(envs, state):
            return False
        for env, one in zip(envs, state, strict=True):
            restore(env, one)
        self._env._autoreset_envs[:] = [one["resets"] for one in state]
        return True

    def close(self) -> None:
        """Close every environment."""
        self._env.close()


def make_vector(
    task: Task, *, count: int, seed: int, backend: str = "auto", threads: int = 1
) -> VectorEnvironment:
    """Environments of *task* from EnvPool where it is installed and has the task.

    Args:
        task: what to step.
        count: number of environments.
        seed: seed of the first; the others follow from it.
        backend: ``auto``, ``envpool`` or ``gymnasium``.
        threads: threads EnvPool may step with.

    Raises:
        MissingExtra: EnvPool was asked for and is not installed.
        ConfigProblem: EnvPool was asked for and does not have the task.
    """
    if backend == "gymnasium" or (backend == "auto" and not envpool_has(task.environment)):
        return GymnasiumVector(task, count, seed)
    if importlib.util.find_spec("envpool") is None:
        raise MissingExtra("envpool", "envpool", "--vector-backend envpool")
    if not envpool_has(task.environment):
        raise ConfigProblem(
            f"EnvPool does not have {task.environment}: pass --vector-backend gymnasium or auto"
        )
    return EnvPoolVector(task, count, seed, threads)
