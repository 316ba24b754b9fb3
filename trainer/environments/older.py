"""Environments that gymnasium once had: the versions that older papers report.

Gymnasium 1.x no longer makes ``LunarLander-v2`` or the MuJoCo tasks at ``v3``; EnvPool does.
Here one of its environments is a `gymnasium.Env`, so that everything else treats it as any other.
What differs between versions (v5 pays for being healthy only while that holds, and Walker2d's feet
slide less) makes their returns different scales: compare a version with itself.
"""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

OLDER = re.compile(
    r"LunarLander(Continuous)?-v2|(Ant|HalfCheetah|Hopper|Humanoid|Swimmer|Walker2d)-v3"
)
"""Names of versions that EnvPool has and gymnasium registers no more, or only to say so."""

_PLACEHOLDER = 1e30
"""EnvPool declares the largest and the smallest float where it knows no bound."""


class OlderEnvironment(gymnasium.Env[NDArray[Any], Any]):
    """One environment of EnvPool.

    Args:
        environment: EnvPool's id.
    """

    def __init__(self, environment: str) -> None:
        self._environment = environment
        self._pool: Any = _pool(environment, 0)
        self.observation_space = _observations(self._pool.observation_space)
        self.action_space = self._pool.action_space
        self.metadata = {"render_modes": []}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """The first observation of an episode; with a seed the same one each time."""
        if seed is not None:  # a pool's seed is given when it is made
            self.close()
            self._pool = _pool(self._environment, seed)
        observations, _ = self._pool.reset()
        return observations[0], {}

    def step(self, action: Any) -> tuple[NDArray[Any], float, bool, bool, dict[str, Any]]:
        """One step; after the last one of an episode `reset` comes next."""
        kind = self.action_space.dtype
        found = self._pool.step(np.asarray(action, kind)[None])
        observations, rewards, terminated, truncated = found[:4]
        return observations[0], float(rewards[0]), bool(terminated[0]), bool(truncated[0]), {}

    def close(self) -> None:
        """Stop the pool."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None


def _pool(environment: str, seed: int) -> Any:
    with quiet():
        import envpool

        return envpool.make_gymnasium(environment, num_envs=1, seed=seed % (1 << 31), num_threads=1)


def is_older(environment: str) -> bool:
    """Whether gymnasium had *environment* once, and EnvPool is installed and has it."""
    return OLDER.fullmatch(environment) is not None and envpool_has(environment)


def envpool_has(environment: str) -> bool:
    """True where EnvPool is installed and registers *environment*."""
    if find_spec("envpool") is None:
        return False
    with quiet():
        import envpool

        return environment in envpool.list_all_envs()


def _observations(space: Any) -> Any:
    """The space of observations; where EnvPool has a placeholder there is no bound."""
    if not isinstance(space, Box) or not (np.abs(space.high) > _PLACEHOLDER).any():
        return space
    unbounded = np.full(space.shape, np.inf, space.dtype)
    return Box(-unbounded, unbounded, dtype=space.dtype.type)


@contextmanager
def quiet() -> Iterator[None]:
    """EnvPool builds its own spaces in float64, and gymnasium warns about rounding them; the
    spaces that count are gymnasium's own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
