"""A network together with what trains and prunes it."""

from dataclasses import dataclass

import numpy as np

from dspctl.trainer.ppo.adam import Adam
from dspctl.trainer.ppo.network import Network
from dspctl.trainer.pruning.pruner import Pruner
from dspctl.trainer.pruning.regularizers import Regularizer


@dataclass(eq=False)
class Learner:
    """Actor or critic.

    Attributes:
        network: its parameters and gradients.
        optimiser: its Adam state, of the same length.
        pruner: decides what leaves, and remembers what did.
        regularizer: what is added to its loss, or None: only a pruned actor has one.
        rng: the order of its minibatches.
    """

    network: Network
    optimiser: Adam
    pruner: Pruner
    regularizer: Regularizer | None
    rng: np.random.Generator
