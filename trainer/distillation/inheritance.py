"""What a student takes over from its teacher before it starts."""

from pathlib import Path

import numpy as np

from dspctl.errors import TeacherMismatch
from dspctl.runtime import Policy, load_policy
from dspctl.trainer.checkpoint import RunFolder
from dspctl.trainer.config import TrainConfig
from dspctl.trainer.distillation.teacher import Teacher
from dspctl.trainer.environments import Task
from dspctl.trainer.network import Layout, Vector
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
    are taken over by a student of the same architecture, or from the policy that ``config.start``
    names; the critic where the teacher is a run of the same rewards and discount.

    Raises:
        TeacherMismatch: the policy to start from has another architecture.
    """
    network = state.actor.network
    start = load_policy(Path(config.start)) if config.start else teacher.policy
    weights = parameters_of(start, network.layout, config.activation)
    if weights is None and config.start:
        raise TeacherMismatch(
            f"{config.start} is no {config.activation} network of the student's widths "
            f"{'-'.join(map(str, network.layout.sizes))}: pass its widths as --actor-hidden"
        )
    if weights is not None:
        network.parameters[: weights.size] = weights
    if (normalizer := teacher.policy.normalizer) is not None:
        inputs = teacher.policy.inputs
        state.observations.mean[inputs] = normalizer.mean
        state.observations.variance[inputs] = 1 / normalizer.scale.astype(np.float64) ** 2 - EPSILON
    _take_over_critic(state, Path(teacher.source), config, task)


def parameters_of(policy: Policy, layout: Layout, activation: str) -> Vector | None:
    """A policy's weights and biases as one flat vector, or None for another architecture.

    Args:
        policy: with masks or without; masked units get outgoing weights of 0.
        layout: the network that is to compute the same; its extra parameters are left out.
        activation: of that network's hidden layers.
    """
    sizes = (policy.observation.size, *(layer.width for layer in policy.layers))
    kinds = {layer.activation for layer in policy.layers[:-1]}
    if sizes != layout.sizes or not kinds <= {activation}:
        return None
    parts: list[Vector] = []
    for index, layer in enumerate(policy.layers):
        if layer.bias is not None and not layout.biases:
            return None
        weight = layer.weight
        if index == 0 and policy.inputs.size < sizes[0]:
            weight = np.zeros((layer.width, sizes[0]), np.float32)
            weight[:, policy.inputs] = layer.weight
        if index and (mask := policy.layers[index - 1].mask) is not None:
            weight = weight * mask
        parts.append(np.asarray(weight, np.float32).ravel())
        if layout.biases:
            parts.append(np.zeros(layer.width, np.float32) if layer.bias is None else layer.bias)
    return np.concatenate(parts)


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
