"""The PPO update of one rollout: plain functions, hand-derived gradients.

Actor and critic share no parameter, so each has its own function, its own minibatch order and its
own thread (``docs/decisions/0003``). The gradient of one minibatch comes from a `Gradients`
kernel: `FusedGradients` here, or the torch reference in :mod:`dspctl.trainer.ppo.autograd`.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from dspctl.trainer.ppo.heads import Head, Surrogate
from dspctl.trainer.ppo.learner import Learner
from dspctl.trainer.ppo.network import Network
from dspctl.trainer.pruning.regularizers import Regularizer
from dspctl.trainer.settings.config import TrainConfig

Vector = NDArray[np.float32]
Matrix = NDArray[np.float32]


class ActorBatch(NamedTuple):
    """What the actor learns from; every row is one valid transition.

    Attributes:
        observations: float32 [rows, obs_dim], normalised.
        actions: int64 [rows] or float32 [rows, action_dim].
        log_prob: float32 [rows], of the actions when they were taken.
        advantages: float32 [rows].
        targets: float32 [rows, out], what a teacher does in these states, or None.
    """

    observations: Matrix
    actions: NDArray[Any]
    log_prob: Vector
    advantages: Vector
    targets: Matrix | None = None

    def rows(self, chosen: NDArray[np.int64]) -> "ActorBatch":
        """The transitions at *chosen*."""
        return ActorBatch(
            self.observations.take(chosen, axis=0),
            self.actions.take(chosen, axis=0),
            self.log_prob.take(chosen),
            self.advantages.take(chosen),
            None if self.targets is None else self.targets.take(chosen, axis=0),
        )


class CriticBatch(NamedTuple):
    """What the critic learns from.

    Attributes:
        observations: float32 [rows, obs_dim], normalised.
        returns: float32 [rows], advantage plus value: the regression target (Eq 2).
    """

    observations: Matrix
    returns: Vector


class ActorStats(NamedTuple):
    """Means over the minibatches of one actor update."""

    policy_loss: float
    entropy: float
    kl: float
    clip_fraction: float
    penalty: float
    distillation_loss: float
    epochs: int


class ActorLoss(NamedTuple):
    """The parts of an actor's loss on one minibatch.

    Attributes:
        surrogate: of the policy gradient.
        penalty: the regulariser, weighted.
        distillation: the distance from the teacher, not weighted.
    """

    surrogate: Surrogate
    penalty: float
    distillation: float


class Gradients(Protocol):
    """Fills a network's ``gradients`` for one minibatch."""

    def actor(
        self,
        actor: Network,
        head: Head,
        batch: ActorBatch,
        config: TrainConfig,
        regularizer: Regularizer | None,
        distillation: float = 0.0,
    ) -> ActorLoss:
        """Gradient of Eq 13 with its sign turned, plus *distillation* times the distance from
        the batch's targets."""
        ...

    def critic(
        self,
        critic: Network,
        batch: CriticBatch,
    ) -> float:
        """Gradient of half the mean squared error (Eq 2); returns the mean squared error."""
        ...


class FusedGradients:
    """Forward, loss and backward in NumPy, without a graph."""

    def actor(
        self,
        actor: Network,
        head: Head,
        batch: ActorBatch,
        config: TrainConfig,
        regularizer: Regularizer | None,
        distillation: float = 0.0,
    ) -> ActorLoss:
        """See `Gradients.actor`."""
        outputs = actor.forward(batch.observations)
        scalars, d_outputs, d_extra = head.surrogate(
            outputs,
            actor.extra,
            batch.actions,
            batch.log_prob,
            batch.advantages,
            clip_range=config.clip_range,
            entropy_weight=config.entropy,
        )
        distance = 0.0
        if distillation and batch.targets is not None:
            distance, d_distance = head.imitation(outputs, batch.targets)
            d_distance *= np.float32(distillation)
            d_outputs += d_distance
        actor.backward(d_outputs)
        actor.extra_gradients[:] = d_extra
        return ActorLoss(scalars, _penalise(actor, config, regularizer), distance)

    def critic(
        self,
        critic: Network,
        batch: CriticBatch,
    ) -> float:
        """See `Gradients.critic`."""
        error = critic.forward(batch.observations)[:, 0] - batch.returns
        loss = float(np.dot(error, error)) / len(error)
        error *= np.float32(1 / len(error))
        critic.backward(error[:, None])
        return loss


def _penalise(network: Network, config: TrainConfig, regularizer: Regularizer | None) -> float:
    if regularizer is None or config.penalty == 0:
        return 0.0
    return regularizer.add_gradient(network.groups(), network.gradient_groups(), config.penalty)


def update_actor(
    actor: Learner,
    head: Head,
    batch: ActorBatch,
    config: TrainConfig,
    learning_rate: float,
    gradients: Gradients,
    distillation: float = 0.0,
) -> ActorStats:
    """Improve the actor on one rollout (DSP Eq 3, 13), held to its teacher by *distillation*.

    Stops after the first epoch whose mean KL exceeds ``config.target_kl`` (0 never stops).
    """
    totals = np.zeros(6)
    minibatches = epochs = 0
    while epochs < config.epochs:
        epochs += 1
        epoch_kl, count = 0.0, 0
        for rows in _minibatches(len(batch.advantages), config.minibatch, actor.rng):
            part = batch.rows(rows)
            if config.normalize_advantages:
                part = part._replace(advantages=_standardise(part.advantages))
            loss = gradients.actor(
                actor.network, head, part, config, actor.regularizer, distillation
            )
            actor.optimiser.step(
                actor.network.parameters,
                actor.network.gradients,
                learning_rate=learning_rate,
                max_norm=config.gradient_norm,
            )
            totals += (*loss.surrogate, loss.penalty, loss.distillation)
            epoch_kl += loss.surrogate.kl
            count += 1
        minibatches += count
        if config.target_kl and epoch_kl > config.target_kl * count:
            break
    means = dict(zip(ActorStats._fields, (totals / minibatches).tolist(), strict=False))
    return ActorStats(**means, epochs=epochs)


def update_critic(
    critic: Learner,
    batch: CriticBatch,
    config: TrainConfig,
    learning_rate: float,
    gradients: Gradients,
) -> float:
    """Fit the critic to one rollout's returns (DSP Eq 2); returns the mean squared error."""
    total, minibatches = 0.0, 0
    for _ in range(config.epochs):
        for rows in _minibatches(len(batch.returns), config.minibatch, critic.rng):
            part = CriticBatch(*(array.take(rows, axis=0) for array in batch))
            total += gradients.critic(critic.network, part)
            critic.optimiser.step(
                critic.network.parameters,
                critic.network.gradients,
                learning_rate=learning_rate,
                max_norm=config.gradient_norm,
            )
            minibatches += 1
    return total / minibatches


def _minibatches(rows: int, size: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """A fresh permutation in nearly equal parts of about *size* rows; none is tiny."""
    parts = max(1, round(rows / size))
    order = rng.permutation(rows)
    for part in range(parts):
        yield order[rows * part // parts : rows * (part + 1) // parts]


def _standardise(values: Vector) -> Vector:
    # Sums rather than mean() and std(): those cost more than the arithmetic on a minibatch.
    centred = values - values.sum() / np.float32(len(values))
    deviation = math.sqrt(float(np.dot(centred, centred)) / len(centred))
    centred *= np.float32(1 / (deviation + 1e-8))
    return np.asarray(centred)
