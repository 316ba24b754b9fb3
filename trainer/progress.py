"""What a training run tells about itself after every iteration."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """What a progress bar shows; one after every iteration.

    Attributes:
        iteration: iterations finished.
        iterations: iterations in all.
        steps: environment steps taken.
        total_steps: environment steps in all.
        episode_return: mean return of the last 100 training episodes, None before the first.
        units: the actor's hidden units, per layer.
        threshold: the last pruning threshold, None before the first pruning step.
        sparsity: share of the actor's hidden units that is gone, or of its weights where the
            method removes these.
        steps_per_s: speed of this iteration.
        phase: ``training``, ``pruning`` or ``recovery``; of stages of pops ``pruning`` or
            ``distillation``.
        seconds: time spent training so far.
    """

    iteration: int
    iterations: int
    steps: int
    total_steps: int
    episode_return: float | None
    units: tuple[int, ...]
    threshold: float | None
    sparsity: float
    steps_per_s: float
    phase: str
    seconds: float
