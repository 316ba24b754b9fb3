"""What a student takes over from its teacher before it starts."""

from pathlib import Path

import numpy as np

from dspctl.trainer.checkpoint import RunFolder
from dspctl.trainer.config import TrainConfig
from dspctl.trainer.distillation.teacher import Teacher
from dspctl.trainer.environments import Task
from dspctl.trainer.normalize import EPSILON
from dspctl.trainer.state import TrainState

_CRITIC_DEPENDS_ON = (
    "hidden",
    "activation",
    "biases",
    "gamma",
    "normalize_observations",
    "normalize_rewards",
)


def take_over(state: TrainState, teacher: Teacher, config: TrainConfig, task: Task) -> None:
    """Give a fresh student its teacher's weights, statistics and critic, where they fit.

    The observation statistics always are the teacher's: both then read the same numbers. Weights
    are taken over by a student of the same architecture, the critic where the teacher is a run of
    the same rewards and discount.
    """
    network = state.actor.network
    weights = teacher.parameters_for(network.layout, config.activation)
    if weights is not None:
        network.parameters[: weights.size] = weights
    if (normalizer := teacher.policy.normalizer) is not None:
        inputs = teacher.policy.inputs
        state.observations.mean[inputs] = normalizer.mean
        state.observations.variance[inputs] = 1 / normalizer.scale.astype(np.float64) ** 2 - EPSILON
    _take_over_critic(state, Path(teacher.source), config, task)


def _take_over_critic(state: TrainState, source: Path, config: TrainConfig, task: Task) -> None:
    if not source.is_dir():
        return
    folder = RunFolder.reopen(source, {})
    if any(getattr(folder.config, name) != getattr(config, name) for name in _CRITIC_DEPENDS_ON):
        return
    theirs = folder.load_state(task)
    if theirs.critic.network.layout.sizes == state.critic.network.layout.sizes:
        state.critic.network.parameters[:] = theirs.critic.network.parameters
        state.scaler.moments = theirs.scaler.moments
