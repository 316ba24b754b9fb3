"""Collecting experience: the actor acts, the environments step, everything is kept.

Only the actor is needed here. The critic values the states afterwards in one batch, which is what
lets its update run beside the next rollout (``docs/decisions/0003``).
"""

from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dspctl.errors import TrainingDiverged
from dspctl.runtime import Normalizer
from dspctl.trainer.environments import Task
from dspctl.trainer.environments.vector import VectorEnvironment
from dspctl.trainer.ppo.heads import Head
from dspctl.trainer.ppo.network import Network


class Rollout(NamedTuple):
    """One rollout of T steps in N environments.

    Attributes:
        raw: float32 [T + 1, N, obs_dim], observations as the environment gave them.
        observations: float32 [T + 1, N, obs_dim], normalised: what the networks read.
        actions: int64 [T, N] or float32 [T, N, action_dim], before the action rule.
        outputs: float32 [T, N, out], the actor's outputs when it acted.
        rewards: float32 [T, N], raw.
        terminated: bool [T, N].
        done: bool [T, N], terminated or truncated.
        valid: bool [T, N], False for the resetting step after an episode's end.
    """

    raw: NDArray[np.float32]
    observations: NDArray[np.float32]
    actions: NDArray[Any]
    outputs: NDArray[np.float32]
    rewards: NDArray[np.float32]
    terminated: NDArray[np.bool_]
    done: NDArray[np.bool_]
    valid: NDArray[np.bool_]


class Seconds(NamedTuple):
    """Where a rollout's time went."""

    environment: float
    inference: float


class Collector:
    """Steps the environments with the current actor, carrying on where the last rollout ended."""

    def __init__(self, task: Task, vector: VectorEnvironment, environments: int, steps: int):
        self._task, self._vector, self._steps = task, vector, steps
        shape = (steps + 1, environments, task.observation.size)
        self._raw = np.empty(shape, np.float32)
        self._observations = np.empty(shape, np.float32)
        self._outputs = np.empty((steps, environments, task.outputs), np.float32)
        self._rewards = np.empty((steps, environments), np.float32)
        self._terminated = np.empty((steps, environments), bool)
        self._done = np.empty((steps, environments), bool)
        self._next = vector.reset().astype(np.float32)
        self._just_done = np.zeros(environments, bool)

    @property
    def next_observations(self) -> NDArray[np.float32]:
        """What the actor sees next, float32 [num_envs, obs_dim]."""
        return self._next

    @property
    def just_done(self) -> NDArray[np.bool_]:
        """Whose next step only resets, bool [num_envs]."""
        return self._just_done

    def restore(self, observations: NDArray[np.float32], just_done: NDArray[np.bool_]) -> None:
        """Carry on where another process ended, in environments that do the same."""
        self._next, self._just_done = observations.copy(), just_done.copy()

    def collect(
        self,
        actor: Network,
        head: Head,
        normalizer: Normalizer | None,
        rng: np.random.Generator,
    ) -> tuple[Rollout, Seconds]:
        """Act for the rollout's length.

        The arrays returned are overwritten by the next call.

        Raises:
            TrainingDiverged: the environments returned a NaN or infinite observation.
        """
        noise = head.noise(self._steps, len(self._next), rng)
        actions = np.empty(
            noise.shape[:2] if self._task.discrete else noise.shape,
            np.int64 if self._task.discrete else np.float32,
        )
        raw, observations, extra = self._raw, self._observations, actor.extra.copy()
        started, environment_s = perf_counter(), 0.0
        raw[0] = self._next
        self._check(raw[0])
        for t in range(self._steps):
            observations[t] = raw[t] if normalizer is None else normalizer.apply(raw[t])
            outputs = actor.forward(observations[t])
            self._outputs[t] = outputs
            actions[t] = head.sample(outputs, extra, noise[t])
            chosen = self._environment_actions(actions[t])
            before = perf_counter()
            step = self._vector.step(chosen)
            environment_s += perf_counter() - before
            raw[t + 1] = step.observations
            self._check(raw[t + 1])  # before the actor, and with it the simulator, sees it
            self._rewards[t] = step.rewards
            self._terminated[t] = step.terminated
            np.logical_or(step.terminated, step.truncated, out=self._done[t])
        self._next = raw[-1].copy()
        observations[-1] = raw[-1] if normalizer is None else normalizer.apply(raw[-1])
        valid = np.empty_like(self._done)
        valid[0] = ~self._just_done
        np.logical_not(self._done[:-1], out=valid[1:])
        self._just_done = self._done[-1].copy()
        rollout = Rollout(
            raw,
            observations,
            actions,
            self._outputs,
            self._rewards,
            self._terminated,
            self._done,
            valid,
        )
        return rollout, Seconds(environment_s, perf_counter() - started - environment_s)

    def _check(self, observations: NDArray[np.float32]) -> None:
        if not np.isfinite(observations).all():
            raise TrainingDiverged(
                f"{self._task.environment} returned an observation that is not finite: lower the "
                "learning rate, or check the environment"
            )

    def _environment_actions(self, actions: NDArray[Any]) -> NDArray[Any]:
        rule = self._task.action
        return actions + rule.start if rule.discrete else rule.apply(actions)
