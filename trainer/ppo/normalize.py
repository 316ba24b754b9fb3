"""Running statistics of observations and of returns."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

EPSILON = 1e-8


class RunningMoments:
    """Mean and variance of a stream, merged batch by batch (Chan, Golub and LeVeque 1983).

    Attributes:
        mean: float64 [size].
        variance: float64 [size], population variance.
        count: number of samples seen.
        frozen: whether they stay as they are; a student's are its teacher's.
    """

    def __init__(self, size: int, *, frozen: bool = False) -> None:
        self.frozen = frozen
        self.mean = np.zeros(size)
        self.variance = np.ones(size)
        self.count = 0.0

    def update(self, batch: NDArray[np.floating[Any]]) -> None:
        """Merge *batch*, float [samples, size]."""
        samples = len(batch)
        if samples == 0 or self.frozen:
            return
        wide = batch.astype(np.float64)
        mean, variance = wide.mean(axis=0), wide.var(axis=0)
        total = self.count + samples
        delta = mean - self.mean
        self.variance = (
            self.variance * self.count
            + variance * samples
            + delta**2 * (self.count * samples / total)
        ) / total
        self.mean = self.mean + delta * (samples / total)
        self.count = total

    def scale(self) -> NDArray[np.float64]:
        """Reciprocal standard deviation, float64 [size]; 1 before anything was seen."""
        return np.asarray(1.0 / np.sqrt(self.variance + EPSILON))


class ReturnScaler:
    """Divides rewards by the standard deviation of the running discounted return.

    Keeps the value targets near one whatever the task pays; never shifts a reward, which would
    change the optimal policy.

    Attributes:
        moments: statistics of the discounted returns.
        returns: float64 [num_envs], the discounted return of each running episode.
    """

    clip = 10.0

    def __init__(self, environments: int, gamma: float) -> None:
        self.moments = RunningMoments(1)
        self.returns = np.zeros(environments)
        self._gamma = gamma

    def __call__(
        self, rewards: NDArray[np.float32], done: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        """Scale one rollout's rewards, float32 [steps, num_envs], after updating the statistics.

        Args:
            rewards: raw rewards.
            done: bool [steps, num_envs], the episode ended with that reward.
        """
        seen = np.empty(rewards.shape)
        carry = self._gamma * ~done
        for t, reward in enumerate(rewards):
            seen[t] = self.returns + reward
            self.returns = carry[t] * seen[t]
        self.moments.update(seen.reshape(-1, 1))
        scaled = rewards * np.float32(self.moments.scale()[0])
        return np.asarray(np.clip(scaled, -self.clip, self.clip))
