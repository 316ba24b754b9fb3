"""Axis 3 of a pruning method: how much is to be gone, and when."""

from collections.abc import Callable
from dataclasses import dataclass

Curve = Callable[[float], float]
"""From the progress through the pruning phase, in [0, 1], to the share of the way from the initial
to the target sparsity, in [0, 1]."""


def cubic(progress: float) -> float:
    """``1 - (1 - x)^3``: fast while there is much to spare, slow at the end (DSP Eq 17)."""
    return 1 - (1 - progress) ** 3


def static(progress: float) -> float:
    """0 until the end of the pruning phase and 1 there: the whole target leaves at once.

    Until then the regulariser has worked on the full network.
    """
    return float(progress >= 1)


@dataclass(frozen=True)
class Schedule:
    """Target sparsity over a run's iterations.

    Attributes:
        first: iteration of the first pruning step (t_0).
        last: iteration of the last one, ``t_0 + N dt``.
        every: iterations between steps (dt).
        initial: sparsity at the first step (p_i).
        target: sparsity at the last step (p_f).
        curve: the shape in between.
    """

    first: int
    last: int
    every: int
    initial: float
    target: float
    curve: Curve = cubic

    def due(self, iteration: int) -> bool:
        """True when *iteration* is one of the N + 1 pruning steps; the last one always is."""
        if not self.first <= iteration <= self.last:
            return False
        return (iteration - self.first) % self.every == 0 or iteration == self.last

    def sparsity(self, iteration: int) -> float:
        """p_t (DSP Eq 17): 0 before the first step, the target from the last one on."""
        if iteration < self.first:
            return 0.0
        span = max(1, self.last - self.first)
        progress = min(1.0, (iteration - self.first) / span) if iteration < self.last else 1.0
        return self.initial + (self.target - self.initial) * self.curve(progress)
