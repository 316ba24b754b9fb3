"""What a student takes over from its teacher before it starts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dspctl.errors import TeacherMismatch
from dspctl.runtime import Normalizer, Policy, load_policy
from dspctl.trainer.distillation.teacher import Teacher
from dspctl.trainer.environments import Task
from dspctl.trainer.ppo.network import Layout, Vector
from dspctl.trainer.ppo.normalize import EPSILON
from dspctl.trainer.pruning import method_named
from dspctl.trainer.runs.checkpoint import RunFolder
from dspctl.trainer.runs.state import TrainState
from dspctl.trainer.settings.config import TrainConfig

Wide = NDArray[np.float64]

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
    names; the critic where the teacher is a run of the same rewards and discount. Features that
    the policy to start from does not read stay unread where nothing is pruned.

    Raises:
        TeacherMismatch: the policy to start from has another architecture.
    """
    network = state.actor.network
    if (normalizer := teacher.policy.normalizer) is not None:
        inputs = teacher.policy.inputs
        state.observations.mean[inputs] = normalizer.mean
        state.observations.variance[inputs] = 1 / normalizer.scale.astype(np.float64) ** 2 - EPSILON
    start = teacher.policy
    if config.start:
        start = _reading(load_policy(Path(config.start)), state.normalizer(config))
    weights = parameters_of(start, network.layout, config.activation)
    if weights is None and config.start:
        raise TeacherMismatch(
            f"{config.start} is no {config.activation} network of the student's widths "
            f"{'-'.join(map(str, network.layout.sizes))}: pass its widths as --actor-hidden"
        )
    if weights is not None:
        network.parameters[: weights.size] = weights
    if config.start and not method_named(config.method).prunes:
        _leave_unread(state, start)
    _take_over_critic(state, Path(teacher.source), config, task)


def _reading(policy: Policy, normalizer: Normalizer | None) -> Policy:
    """*policy*, its first layer rewritten for features that *normalizer* has normalised.

    Compaction may have folded the policy's own normaliser into that layer. What is left is the
    same function wherever no clip acts.

    Args:
        policy: reads raw features, or those of its own normaliser.
        normalizer: over all features of the observation; None for raw features.
    """
    mean, scale = _statistics(policy.normalizer, len(policy.inputs))
    new_mean, new_scale = _statistics(normalizer, policy.observation.size)
    new_mean, new_scale = new_mean[policy.inputs], new_scale[policy.inputs]
    # (x - mean) * scale, with x = z / new_scale + new_mean
    factor, offset = scale / new_scale, (new_mean - mean) * scale
    if np.allclose(factor, 1, rtol=1e-4) and np.allclose(offset, 0, atol=1e-4):
        return policy  # the same statistics, but for rounding
    first = policy.layers[0]
    bias = 0 if first.bias is None else first.bias
    first = replace(
        first,
        weight=(first.weight * factor).astype(np.float32),
        bias=(bias + first.weight @ offset).astype(np.float32),
    )
    return replace(policy, layers=(first, *policy.layers[1:]), normalizer=None)


def _statistics(normalizer: Normalizer | None, size: int) -> tuple[Wide, Wide]:
    """Mean and scale of each feature, float64 [size]."""
    if normalizer is None:
        return np.zeros(size), np.ones(size)
    return normalizer.mean.astype(np.float64), normalizer.scale.astype(np.float64)


def _leave_unread(state: TrainState, start: Policy) -> None:
    """Hold the weights of features that *start* does not read at 0."""
    actor, layout = state.actor, state.actor.network.layout
    unread = ~np.isin(np.arange(layout.sizes[0]), start.inputs)
    if not unread.any():
        return
    mask = np.ones(layout.length, np.float32)
    layout.weights(mask)[0][:, unread] = 0
    actor.pruner.hold(mask, actor.network, actor.optimiser)


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
    if not folder.has_state:  # one of pops has its checkpoints in its stages
        return
    if any(getattr(folder.config, name) != getattr(config, name) for name in _CRITIC_DEPENDS_ON):
        return
    theirs = folder.load_state(task)
    if theirs.critic.network.layout.sizes == state.critic.network.layout.sizes:
        state.critic.network.parameters[:] = theirs.critic.network.parameters
        state.scaler.moments = theirs.scaler.moments
