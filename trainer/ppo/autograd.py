"""The reference gradients: the same losses in torch, differentiated by autograd.

``--update autograd`` trains with it; the tests hold `FusedGradients` against it. Parameters are
torch views on the network's own flat vector, so nothing is copied back and forth.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch

from dspctl.errors import ConfigProblem
from dspctl.trainer.ppo.heads import Categorical, Gaussian, Head, Surrogate
from dspctl.trainer.ppo.network import Network
from dspctl.trainer.ppo.update import ActorBatch, ActorLoss, CriticBatch
from dspctl.trainer.pruning.regularizers import Regularizer
from dspctl.trainer.settings.config import TrainConfig


class AutogradGradients:
    """Gradients by torch; see `dspctl.trainer.ppo.update.Gradients`."""

    def actor(
        self,
        actor: Network,
        head: Head,
        batch: ActorBatch,
        config: TrainConfig,
        regularizer: Regularizer | None,
        distillation: float = 0.0,
    ) -> ActorLoss:
        """Gradient of Eq 13 with its sign turned, and of the distance from a teacher."""
        vector = _leaf(actor)
        outputs = _forward(actor, vector, batch.observations)
        extra = vector[actor.layout.extra_slice]
        actions = torch.from_numpy(batch.actions)
        distribution: torch.distributions.Distribution
        if isinstance(head, Categorical):
            distribution = torch.distributions.Categorical(logits=outputs)
        elif isinstance(head, Gaussian):
            normal = torch.distributions.Normal(outputs, extra.exp())
            distribution = torch.distributions.Independent(normal, 1)
        else:
            raise ConfigProblem(f"autograd has no head {type(head).__name__}: pass --update fused")
        log_ratio = distribution.log_prob(actions) - torch.from_numpy(batch.log_prob)
        ratio, advantage = log_ratio.exp(), torch.from_numpy(batch.advantages)
        low, high = 1 - config.clip_range, 1 + config.clip_range
        surrogate = torch.min(ratio * advantage, ratio.clamp(low, high) * advantage).mean()
        entropy = distribution.entropy().mean()
        penalty = _penalty(actor, vector, config, regularizer)
        distance = torch.zeros(())
        if distillation and batch.targets is not None:
            distance = _imitation(head, outputs, torch.from_numpy(batch.targets))
        (penalty - surrogate - config.entropy * entropy + distillation * distance).backward()
        _store(actor, vector)
        scalars = Surrogate(
            -surrogate.item(),
            entropy.item(),
            (ratio - 1 - log_ratio).mean().item(),
            ((ratio - 1).abs() > config.clip_range).float().mean().item(),
        )
        return ActorLoss(scalars, penalty.item(), distance.item())

    def critic(
        self,
        critic: Network,
        batch: CriticBatch,
    ) -> float:
        """Gradient of half the mean squared error (Eq 2)."""
        vector = _leaf(critic)
        values = _forward(critic, vector, batch.observations)[:, 0]
        loss = (values - torch.from_numpy(batch.returns)).square().mean()
        (0.5 * loss).backward()
        _store(critic, vector)
        return loss.item()


def _imitation(head: Head, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    if isinstance(head, Categorical):
        return torch.nn.functional.cross_entropy(outputs, targets)
    if not isinstance(head, Gaussian):
        raise ConfigProblem(f"autograd has no head {type(head).__name__}: pass --update fused")
    alike = torch.from_numpy(head.act_alike(outputs.detach().numpy(), targets.numpy()))
    return (outputs - targets).masked_fill(alike, 0).square().sum(1).mean()


def _leaf(network: Network) -> torch.Tensor:
    return torch.from_numpy(network.parameters).detach().requires_grad_()


def _store(network: Network, vector: torch.Tensor) -> None:
    if vector.grad is not None:
        network.gradients[:] = vector.grad.numpy()


def _weights(network: Network, vector: torch.Tensor) -> list[torch.Tensor]:
    sizes = network.layout.sizes
    return [
        vector[where].view(sizes[layer + 1], sizes[layer])
        for layer, where in enumerate(network.layout.weight_slices)
    ]


def _forward(network: Network, vector: torch.Tensor, observations: Any) -> torch.Tensor:
    h = torch.from_numpy(observations)
    activation = torch.tanh if network.activation == "tanh" else torch.relu
    weights = _weights(network, vector)
    for layer, weight in enumerate(weights):
        where = network.layout.bias_slices[layer]
        bias = None if where is None else vector[where]
        h = torch.nn.functional.linear(h, weight, bias)
        if layer < len(weights) - 1:
            h = activation(h)
    return h


def _penalty(
    network: Network,
    vector: torch.Tensor,
    config: TrainConfig,
    regularizer: Regularizer | None,
) -> torch.Tensor:
    if regularizer is None:
        return torch.zeros(())
    penalty = _PENALTIES.get(regularizer.name)
    if penalty is None:
        raise ConfigProblem(
            f"autograd does not know the regulariser {regularizer.name!r}: pass --update fused"
        )
    return config.penalty * penalty(_weights(network, vector))


def _omega(weights: list[torch.Tensor]) -> torch.Tensor:
    total = torch.zeros(())
    for incoming, outgoing in pairwise(weights):
        total = total + (incoming.square().sum(1) * outgoing.square().sum(0)).sum()
    return total


def _group_lasso(weights: list[torch.Tensor]) -> torch.Tensor:
    return torch.stack([weight.norm(dim=1).sum() for weight in weights]).sum()


_PENALTIES: dict[str, Callable[[list[torch.Tensor]], torch.Tensor]] = {
    "omega": _omega,
    "group-lasso": lambda weights: _group_lasso(weights[:-1]),
    "group-lasso-first": lambda weights: _group_lasso(weights[:1]),
    "l1": lambda weights: torch.stack([weight.abs().sum() for weight in weights]).sum(),
}
