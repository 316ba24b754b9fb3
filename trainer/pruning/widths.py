"""Where a method that removes nothing starts: actors that are small from the first step.

They are the controls of pruning. A pruned policy is worth its training only where it does better
than a dense one of the same size.
"""

from collections.abc import Callable

from dspctl.trainer.settings.config import units_kept

Widths = Callable[[tuple[int, ...], float], tuple[int, ...]]
"""From the hidden layers of the unpruned actor and the sparsity to those that the actor starts
with."""


def equal_share(hidden: tuple[int, ...], sparsity: float) -> tuple[int, ...]:
    """What *sparsity* leaves, spread evenly: 9-9 of 128-128 at 0.93.

    A remainder goes to the first layers; entries are 0 where fewer units than layers are left.
    """
    layers = len(hidden)
    kept = units_kept(sum(hidden), sparsity)
    return tuple(kept // layers + (layer < kept % layers) for layer in range(layers))


def no_layer(hidden: tuple[int, ...], sparsity: float) -> tuple[int, ...]:
    """No hidden layer: outputs are a linear map of the observation."""
    return ()
