"""Adam (Kingma and Ba 2015) on one flat vector, with gradient-norm clipping."""

import math

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]


class Adam:
    """The optimiser's state and its step; agrees with ``torch.optim.Adam``.

    Attributes:
        first: float32 [n], running mean of gradients.
        second: float32 [n], running mean of squared gradients.
        step_count: steps taken, for the bias correction.
        mask: float32 [n], 0 for parameters that must not move, or None.
    """

    beta1, beta2, epsilon = 0.9, 0.999, 1e-5

    def __init__(self, length: int) -> None:
        self.step_count = 0
        self.mask: Vector | None = None
        self._adopt(np.zeros(length, np.float32), np.zeros(length, np.float32))

    def _adopt(self, first: Vector, second: Vector) -> None:
        self.first, self.second = first, second
        self._scratch = np.empty_like(first)

    def shrink(self, survivors: NDArray[np.int64]) -> None:
        """Keep only the state of the parameters that survive a live compaction."""
        self._adopt(self.first[survivors], self.second[survivors])

    def hold(self, mask: Vector) -> None:
        """Keep the parameters at which *mask*, float32 [n], is 0 where they are, moments at 0."""
        self.mask = mask
        self.first *= mask
        self.second *= mask

    def restore(self, first: Vector, second: Vector, step_count: int) -> None:
        """Continue from a checkpoint."""
        self.step_count = step_count
        self._adopt(first.copy(), second.copy())

    def step(
        self, parameters: Vector, gradients: Vector, *, learning_rate: float, max_norm: float
    ) -> float:
        """Update *parameters* in place; *gradients* is used as scratch.

        Returns:
            The gradient's norm before clipping.
        """
        if self.mask is not None:
            # Before the norm: what does not move must not make the others' step shorter.
            gradients *= self.mask
        norm = math.sqrt(float(np.dot(gradients, gradients)))
        if norm > max_norm:
            gradients *= np.float32(max_norm / (norm + 1e-6))  # the guard torch uses
        self.step_count += 1
        scratch = self._scratch
        self.first *= np.float32(self.beta1)
        np.multiply(gradients, np.float32(1 - self.beta1), out=scratch)
        self.first += scratch
        self.second *= np.float32(self.beta2)
        np.multiply(gradients, gradients, out=scratch)
        scratch *= np.float32(1 - self.beta2)
        self.second += scratch
        # Both bias corrections are folded into scalars, so the vectors are passed over once.
        root = math.sqrt(1 - self.beta2**self.step_count)
        np.sqrt(self.second, out=scratch)
        scratch += np.float32(self.epsilon * root)
        np.divide(self.first, scratch, out=scratch)
        scratch *= np.float32(learning_rate * root / (1 - self.beta1**self.step_count))
        parameters -= scratch
        return norm
