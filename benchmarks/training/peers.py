"""Stable-Baselines3's and sbx's PPO, set up like a `TrainConfig`; nothing else imports them.

Both run as their documentation sets them up: ``make_vec_env`` (monitored environments stepped one
after the other), ``VecNormalize`` where the configuration normalises, networks and rates as
configured. A second variant gives them EnvPool's environments through a small adapter.
"""

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dspctl.errors import MissingExtra
from dspctl.trainer import TrainConfig

try:
    import stable_baselines3
    from stable_baselines3.common import env_util, vec_env
except ModuleNotFoundError as error:
    raise MissingExtra("stable-baselines3", "peers", "comparing training speed") from error

Program = Literal["stable-baselines3", "sbx"]

_NORMALIZED_CLIP = 10.0


class Stopwatch:
    """Adds up the seconds spent inside the functions it wraps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, timed."""

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            start = perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += perf_counter() - start

        return timed


@dataclass
class Peer:
    """A peer's PPO, built and ready.

    Attributes:
        model: the algorithm object.
        environments: the vector environment without normalisation.
        stepping: time inside its steps.
        updating: time inside the update.
    """

    model: Any
    environments: Any
    stepping: Stopwatch
    updating: Stopwatch

    def learn(self, steps: int) -> tuple[int, float]:
        """Train for at least *steps* steps; returns steps taken and seconds."""
        self.stepping.seconds = self.updating.seconds = 0.0
        start = perf_counter()
        self.model.learn(total_timesteps=steps)
        return int(self.model.num_timesteps), perf_counter() - start

    @property
    def episode_return(self) -> float | None:
        """Mean return of the last 100 training episodes, None before the first."""
        episodes = self.model.ep_info_buffer
        return float(np.mean([one["r"] for one in episodes])) if episodes else None


def build(program: Program, config: TrainConfig, vector: Literal["gymnasium", "envpool"]) -> Peer:
    """PPO of *program* with the hyperparameters of *config*.

    Raises:
        MissingExtra: sbx or EnvPool is asked for and not installed.
    """
    base = (
        env_util.make_vec_env(config.environment, n_envs=config.environments, seed=config.seed)
        if vector == "gymnasium"
        else _envpool(config)
    )
    stepping, updating = Stopwatch(), Stopwatch()
    base.step_wait = stepping.wrap(base.step_wait)
    environments = base
    if config.normalize_observations or config.normalize_rewards:
        environments = vec_env.VecNormalize(
            base,
            norm_obs=config.normalize_observations,
            norm_reward=config.normalize_rewards,
            clip_obs=_NORMALIZED_CLIP,
            gamma=config.gamma,
        )
    algorithm, activation, options = _algorithm(program, config)
    hidden = list(config.hidden)
    model = algorithm(
        "MlpPolicy",
        environments,
        learning_rate=lambda remaining: remaining * config.learning_rate,
        n_steps=config.rollout_steps,
        batch_size=config.minibatch,
        n_epochs=config.epochs,
        gamma=config.gamma,
        gae_lambda=config.gae_lambda,
        clip_range=config.clip_range,
        ent_coef=config.entropy,
        max_grad_norm=config.gradient_norm,
        target_kl=None,
        seed=config.seed,
        policy_kwargs={
            "net_arch": {"pi": hidden, "vf": hidden},
            "activation_fn": activation,
            "log_std_init": config.initial_log_std,
        },
        **options,
    )
    model.train = updating.wrap(model.train)
    return Peer(model, base, stepping, updating)


def raw_steps_per_s(environments: Any, seconds: float, seed: int) -> float:
    """Steps per second of random actions through a peer's vector environment."""
    environments.reset()
    count = environments.num_envs
    environments.action_space.seed(seed)
    actions = [
        np.stack([environments.action_space.sample() for _ in range(count)]) for _ in range(64)
    ]
    start, steps = perf_counter(), 0
    while (elapsed := perf_counter() - start) < seconds:
        for action in actions:
            environments.step(action)
        steps += count * len(actions)
    return steps / elapsed


def _algorithm(program: Program, config: TrainConfig) -> tuple[Any, Any, dict[str, Any]]:
    """The PPO class, its activation function and what only this program needs."""
    if program == "stable-baselines3":
        import torch

        activation = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}[config.activation]
        return stable_baselines3.PPO, activation, {"device": "cpu"}
    # TensorFlow's libraries, which sbx pulls in, talk about the processor on standard error.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import flax.linen
        import sbx
    except ModuleNotFoundError as error:
        raise MissingExtra("sbx-rl", "peers", "comparing training speed") from error
    activation = {"tanh": flax.linen.tanh, "relu": flax.linen.relu}[config.activation]
    return sbx.PPO, activation, {}


def _envpool(config: TrainConfig) -> Any:
    """EnvPool's environments with the same monitoring that ``make_vec_env`` adds."""
    try:
        import envpool
    except ModuleNotFoundError as error:
        raise MissingExtra("envpool", "envpool", "EnvPool's environments") from error
    pool = envpool.make_gymnasium(
        config.environment,
        num_envs=config.environments,
        seed=config.seed,
        num_threads=min(config.threads, config.environments),
    )
    return vec_env.VecMonitor(EnvPoolVecEnv(pool, config))


class EnvPoolVecEnv(vec_env.VecEnv):  # type: ignore[misc]
    """EnvPool behind Stable-Baselines3's interface, which resets in the step that ends an episode.

    Follows EnvPool's own example (``examples/sb3_examples/ppo.py``), with the finished
    environments reset in one call and no dictionary copied for the others.
    """

    def __init__(self, pool: Any, config: TrainConfig) -> None:
        self._pool = pool
        self._actions: NDArray[Any] = np.empty(0)
        # Bounds come from gymnasium: EnvPool declares placeholders for the Box2D tasks.
        space = env_util.make_vec_env(config.environment, n_envs=1)
        super().__init__(config.environments, space.observation_space, space.action_space)
        space.close()
        self._dtype = pool.action_space.dtype

    def reset(self) -> NDArray[Any]:
        """First observations."""
        observations: NDArray[Any] = self._pool.reset()[0]
        return observations.astype(np.float32)

    def step_async(self, actions: NDArray[Any]) -> None:
        """Keep the actions for `step_wait`."""
        self._actions = actions.astype(self._dtype, copy=False)

    def step_wait(
        self,
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_], list[dict[str, Any]]]:
        """Step, and reset what has ended."""
        observations, rewards, terminated, truncated, _ = self._pool.step(self._actions)
        observations = observations.astype(np.float32)
        done = np.logical_or(terminated, truncated)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if done.any():
            ended = np.flatnonzero(done)
            for index in ended:
                infos[index]["terminal_observation"] = observations[index].copy()
                infos[index]["TimeLimit.truncated"] = bool(
                    truncated[index] and not terminated[index]
                )
            observations[ended] = self._pool.reset(ended.astype(np.int32))[0]
        return observations, rewards.astype(np.float32), done, infos

    def close(self) -> None:
        """Stop the thread pool."""
        self._pool.close()

    def seed(self, seed: int | None = None) -> list[None]:
        """Seeds were given when the pool was made."""
        return [None] * self.num_envs

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Stable-Baselines3 asks for ``render_mode`` only."""
        return [None] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Nothing to set on compiled environments."""

    def env_method(
        self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any
    ) -> list[Any]:
        """Compiled environments have no Python methods."""
        raise NotImplementedError(method_name)

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """None of them is."""
        return [False] * self.num_envs
