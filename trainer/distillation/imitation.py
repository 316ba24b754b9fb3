"""The update of a phase in which the teacher alone teaches."""

from typing import NamedTuple

from dspctl.trainer.distillation.memory import Memory
from dspctl.trainer.ppo.heads import Head
from dspctl.trainer.ppo.learner import Learner


class ImitationStats(NamedTuple):
    """Means over the minibatches of one update."""

    distillation_loss: float
    penalty: float


def imitate(
    actor: Learner,
    head: Head,
    memory: Memory,
    *,
    minibatches: int,
    rows: int,
    learning_rate: float,
    max_norm: float,
    penalty: float,
) -> ImitationStats:
    """Fit the actor to its teacher on states that it reached itself.

    Args:
        actor: what learns.
        head: says how far its outputs are from the targets.
        memory: states and targets.
        minibatches: gradient steps.
        rows: states in each of them.
        learning_rate: Adam's step size.
        max_norm: of the gradient.
        penalty: lambda of the actor's regulariser.
    """
    network, total, penalties = actor.network, 0.0, 0.0
    for _ in range(minibatches):
        observations, targets = memory.draw(rows, actor.rng)
        loss, d_outputs = head.imitation(network.forward(observations), targets)
        network.backward(d_outputs)
        network.extra_gradients[:] = 0
        if actor.regularizer is not None and penalty:
            penalties += actor.regularizer.add_gradient(
                network.groups(), network.gradient_groups(), penalty
            )
        actor.optimiser.step(
            network.parameters, network.gradients, learning_rate=learning_rate, max_norm=max_norm
        )
        total += loss
    return ImitationStats(total / minibatches, penalties / minibatches)
