"""When training no longer works: the figures that say so, and what to change.

The bounds are far outside what runs that learn have shown: over more than 20,000 updates, the KL of
one was 0.06 at most, and the entropy of discrete policies 0.14 at least (``docs/decisions/0018``).
Nothing here changes a run that goes well.
"""

import math
from collections.abc import Mapping

import numpy as np

from dspctl.errors import TrainingDiverged
from dspctl.trainer.environments import Task
from dspctl.trainer.ppo.network import Vector
from dspctl.trainer.settings.config import TrainConfig

LARGEST_KL = 5.0
"""Mean KL of one update's minibatches; PPO's steps are of the order of 0.01."""
LEAST_ENTROPY = 1e-6
"""Of a discrete policy, in nats, as a mean over the states of an update."""
LEAST_ENTROPY_PER_DIMENSION = -9.0
"""Of a continuous policy: a deviation of 3e-5, where the whole range of actions is 2."""
PATIENCE = 10
"""Updates in a row with too little entropy; a single one may come back."""


class Watch:
    """Looks at every update of a run.

    Args:
        config: its settings, named in what is said.
        task: its environment.

    Attributes:
        collapsed: updates in a row, up to now, with too little entropy; a run that is gone on with
            goes on counting.
    """

    def __init__(self, config: TrainConfig, task: Task) -> None:
        self._config = config
        self._least = LEAST_ENTROPY if task.discrete else LEAST_ENTROPY_PER_DIMENSION * task.outputs
        self.collapsed = 0

    @property
    def suspicious(self) -> bool:
        """Whether the last update looked bad, so that no checkpoint should replace an older one."""
        return self.collapsed > 0

    def actor(self, figures: Mapping[str, float], parameters: Vector) -> None:
        """Judge an update of the actor by its figures, `ActorStats` or `ImitationStats`.

        Raises:
            TrainingDiverged: says which quantity, and what to change.
        """
        for name, value in figures.items():
            if not math.isfinite(value):
                raise TrainingDiverged(f"the actor's {_words(name)} was {value}: {self._slower()}")
        if not np.isfinite(parameters).all():
            raise TrainingDiverged(f"the actor's weights stopped being finite: {self._slower()}")
        if (kl := figures.get("kl", 0.0)) > LARGEST_KL:
            raise TrainingDiverged(
                f"the KL of one update was {kl:.3g}, more than {LARGEST_KL:g}: lower "
                f"--learning-rate (it is {self._config.learning_rate:g}), or stop epochs early "
                f"with --target-kl 0.02 (it is {self._config.target_kl:g})"
            )
        entropy = figures.get("entropy", math.inf)
        self.collapsed = self.collapsed + 1 if entropy < self._least else 0
        if self.collapsed >= PATIENCE:
            raise TrainingDiverged(
                f"the policy's entropy was {entropy:.3g}, less than {self._least:g}, in {PATIENCE} "
                f"updates in a row, so it explores nothing: raise --entropy (it is "
                f"{self._config.entropy:g}) or lower --learning-rate (it is "
                f"{self._config.learning_rate:g})"
            )

    def critic(self, loss: float, parameters: Vector) -> None:
        """Judge an update of the critic by its loss; raises as `actor`."""
        if not math.isfinite(loss):
            raise TrainingDiverged(f"the critic's loss was {loss}: {self._slower()}")
        if not np.isfinite(parameters).all():
            raise TrainingDiverged(f"the critic's weights stopped being finite: {self._slower()}")

    def values(self, explained_variance: float | None) -> None:
        """Judge the critic's values of a rollout by how much of the returns they explain; raises as
        `actor`."""
        if explained_variance is not None and not math.isfinite(explained_variance):
            raise TrainingDiverged(f"the returns grew beyond all numbers: {self._slower()}")

    def _slower(self) -> str:
        config = self._config
        penalty = f" or --penalty (it is {config.penalty:g})" if config.penalty else ""
        return f"lower --learning-rate (it is {config.learning_rate:g}){penalty}"


def _words(name: str) -> str:
    return "KL" if name == "kl" else name.replace("_", " ")
