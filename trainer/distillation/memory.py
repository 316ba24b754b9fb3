"""States that a student reached, with what its teacher does there: an aggregated data set.

Learning from the last rollout alone forgets what was learnt in the ones before it; learning from
all of them is what makes imitation converge (DAgger, Ross 2011).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.trainer.runs.carry import Remembered


class Memory:
    """The last *capacity* states and targets, in no order.

    Args:
        capacity: rows kept; the oldest go first.
        inputs: features of a state.
        outputs: numbers in a target.
    """

    def __init__(self, capacity: int, inputs: int, outputs: int) -> None:
        self._observations = np.empty((capacity, inputs), np.float32)
        self._targets = np.empty((capacity, outputs), np.float32)
        self._next = self._filled = 0

    def __len__(self) -> int:
        return self._filled

    def add(self, observations: NDArray[np.float32], targets: NDArray[np.float32]) -> None:
        """Keep *observations* [rows, inputs], normalised, with their *targets* [rows, outputs]."""
        capacity = len(self._targets)
        rows = (self._next + np.arange(len(targets))) % capacity
        self._observations[rows] = observations
        self._targets[rows] = targets
        self._next = (self._next + len(targets)) % capacity
        self._filled = min(capacity, self._filled + len(targets))

    def remembered(self) -> Remembered:
        """All of it, for a checkpoint."""
        filled = self._filled
        return Remembered(self._observations[:filled], self._targets[:filled], self._next)

    def restore(self, held: Remembered) -> None:
        """Take over what `remembered` gave; the memory is empty and as large as that one was."""
        self._filled = len(held.targets)
        self._observations[: self._filled] = held.observations
        self._targets[: self._filled] = held.targets
        self._next = held.next

    def draw(self, rows: int, rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
        """A minibatch of *rows*, drawn with replacement: states and targets."""
        chosen = rng.integers(self._filled, size=rows)
        return self._observations[chosen], self._targets[chosen]
