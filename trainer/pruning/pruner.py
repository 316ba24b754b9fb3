"""Removing units, or single weights, from a network while it trains.

Units leave by live compaction: the weights and Adam's moments shrink, so later updates are
cheaper; an archive of the original size remembers every parameter's last value, from which the
masked policy, original widths and 0/1 masks, is written. Single weights leave no shape that could
shrink: they are set to 0 and held there.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dspctl.compactor.groups import FloatArray
from dspctl.trainer.ppo.adam import Adam
from dspctl.trainer.ppo.network import Layout, Network
from dspctl.trainer.pruning.methods import Method
from dspctl.trainer.pruning.schedule import Schedule, static
from dspctl.trainer.pruning.threshold import decide, decide_weights
from dspctl.trainer.settings.config import TrainConfig


@dataclass(eq=False)
class Archive:
    """The network at its original size.

    Attributes:
        layout: the original layout.
        parameters: float32 [n], the last value each parameter had.
        positions: int64, where the alive parameters lie in ``parameters``.
        alive: int64 per hidden layer, the original indices of the alive units.
    """

    layout: Layout
    parameters: NDArray[np.float32]
    positions: NDArray[np.int64]
    alive: list[NDArray[np.int64]]

    @classmethod
    def of(cls, network: Network) -> "Archive":
        """An archive of a network from which nothing was removed yet."""
        return cls(
            network.layout,
            network.parameters.copy(),
            np.arange(network.layout.length),
            [np.arange(units) for units in network.hidden],
        )

    def record(self, network: Network) -> None:
        """Take over the current values of the parameters that are alive."""
        self.parameters[self.positions] = network.parameters

    def remove(self, survivors: NDArray[np.int64], keep: list[NDArray[np.bool_]]) -> None:
        """Note that only *survivors* of the alive parameters, and *keep* of the units, remain."""
        self.positions = self.positions[survivors]
        self.alive = [units[kept] for units, kept in zip(self.alive, keep, strict=True)]

    def masks(self) -> list[NDArray[np.bool_]]:
        """Bool [units] per hidden layer at its original width."""
        return [
            np.isin(np.arange(width), alive)
            for width, alive in zip(self.layout.sizes[1:-1], self.alive, strict=True)
        ]


class Pruner:
    """Applies a method's decisions to one network, step by step.

    Attributes:
        archive: the network at its original size.
        original: layout of the unpruned network, against which sparsity is counted; wider than the
            archive's where the actor started small.
        threshold: the last pruning threshold (psi), or None before the first step.
        weight_mask: float32 [n], 0 for each parameter that was removed by itself, or None where
            units leave.
    """

    def __init__(
        self, method: Method, config: TrainConfig, network: Network, sparsity: float
    ) -> None:
        self.archive = Archive.of(network)
        self.threshold: float | None = None
        self.weight_mask: NDArray[np.float32] | None = None
        self._method, self._config = method, config
        sizes = network.layout.sizes
        self.original = Layout((sizes[0], *config.hidden, sizes[-1]), biases=config.biases)
        self._original_units = sum(config.hidden)
        self._original_weights = _weights(self.original)
        self._floor = config.layer_floor(sparsity, len(network.hidden))
        iterations = config.iterations
        self.schedule = Schedule(
            first=int(config.prune_start * iterations),
            last=max(int(config.prune_start * iterations), int(config.prune_end * iterations) - 1),
            every=config.prune_every,
            initial=0.0 if method.curve is static else min(config.initial_sparsity, sparsity),
            target=sparsity,
            curve=method.curve,
        )
        self.active = method.saliency is not None and sparsity > 0

    @property
    def sparsity(self) -> float:
        """Share of the original hidden units that is gone; of the weights, where these leave."""
        if self._method.granularity == "weight":
            left = _weights(self.archive.layout) - self.weights_removed
            return 1 - left / self._original_weights
        alive = sum(units.size for units in self.archive.alive)
        return 1 - alive / self._original_units if self._original_units else 0.0

    @property
    def weights_removed(self) -> int:
        """Single weights that are held at 0."""
        mask = self.weight_mask
        return 0 if mask is None else int(mask.size - np.count_nonzero(mask))

    def hold(self, mask: NDArray[np.float32], network: Network, optimiser: Adam) -> None:
        """Set the parameters at which *mask*, float32 [n], is 0 to 0 and keep them there."""
        self.weight_mask = mask
        network.parameters *= mask
        optimiser.hold(mask)

    @property
    def settled(self) -> int:
        """Iterations after which the units stay; of an unpruned network, half of the run."""
        return self.schedule.last + 1 if self.active else self._config.iterations // 2

    def scheduled(self, iteration: int) -> float:
        """The sparsity that the schedule asks for at *iteration*, 0 for an unpruned network."""
        return self.schedule.sparsity(iteration) if self.active else 0.0

    def phase(self, iteration: int) -> str:
        """``training`` before or without pruning, ``pruning``, or ``recovery`` after it."""
        if not self.active or iteration < self.schedule.first:
            return "training"
        return "pruning" if iteration <= self.schedule.last else "recovery"

    def step(
        self,
        iteration: int,
        network: Network,
        optimiser: Adam,
        observations: NDArray[np.float32],
    ) -> int:
        """Prune if *iteration* is a pruning step; returns the number of units or weights removed.

        Args:
            iteration: number of the current training iteration, from 0.
            network: shrunk in place, or its weights set to 0.
            optimiser: its state shrinks alike.
            observations: float32 [rows, in], recent inputs of the network, for the units' means.
        """
        saliency = self._method.saliency
        if not self.active or saliency is None or not self.schedule.due(iteration):
            return 0
        # From the iteration, not from a stream, so that a resumed run draws the same.
        rng = np.random.default_rng([self._config.seed, iteration])
        scores = saliency(network.groups(), rng)
        if self._method.granularity == "weight":
            return self._remove_weights(iteration, scores, network, optimiser)
        return self._remove_units(iteration, scores, network, optimiser, observations)

    def _remove_weights(
        self, iteration: int, scores: list[FloatArray], network: Network, optimiser: Adam
    ) -> int:
        before = self.weights_removed
        mask = self.weight_mask
        mask = np.ones(network.layout.length, np.float32) if mask is None else mask.copy()
        keep, self.threshold = decide_weights(
            scores,
            [part != 0 for part in network.layout.weights(mask)],
            sparsity=self.schedule.sparsity(iteration),
            original_weights=self._original_weights,
            reading=self._config.threshold,
            ranking=self._config.ranking,
        )
        for part, kept in zip(network.layout.weights(mask), keep, strict=True):
            part *= kept
        self.hold(mask, network, optimiser)
        return self.weights_removed - before

    def _remove_units(
        self,
        iteration: int,
        scores: list[FloatArray],
        network: Network,
        optimiser: Adam,
        observations: NDArray[np.float32],
    ) -> int:
        config = self._config
        keep, self.threshold = decide(
            scores,
            sparsity=self.schedule.sparsity(iteration),
            original_units=self._original_units,
            floor=self._floor,
            reading=config.threshold,
            ranking=config.ranking,
        )
        removed = sum(int((~kept).sum()) for kept in keep)
        if removed:
            if config.fold_means and config.biases:
                self._fold_means(network, keep, observations)
            self.archive.record(network)
            survivors = network.shrink(keep)
            optimiser.shrink(survivors)
            self.archive.remove(survivors, keep)
        return removed

    @staticmethod
    def _fold_means(
        network: Network, keep: list[NDArray[np.bool_]], observations: NDArray[np.float32]
    ) -> None:
        """Give the next layer what it received from the leaving units on average."""
        means = network.mean_activations(observations)
        for layer, kept in enumerate(keep):
            bias = network.biases[layer + 1]
            if bias is not None and not kept.all():
                bias += network.weights[layer + 1][:, ~kept] @ means[layer][~kept]


def _weights(layout: Layout) -> int:
    return sum(a * b for a, b in pairwise(layout.sizes))
