"""Axis 1 of a pruning method: what is added to the loss so that units become dispensable."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from dspctl.compactor.groups import UnitGroups


class Regularizer(Protocol):
    """A penalty over unit groups."""

    name: str

    def add_gradient(
        self, groups: Sequence[UnitGroups], gradients: Sequence[UnitGroups], strength: float
    ) -> float:
        """Add ``strength * d penalty`` to *gradients* in place and return the weighted penalty."""
        ...


class OmegaRegularizer:
    """``lambda * sum_l sum_i Omega_i`` (DSP Eq 13): shrinks units in proportion to the energy
    of *both* sides, so that a unit dies as a whole.
    """

    name = "omega"

    def add_gradient(
        self, groups: Sequence[UnitGroups], gradients: Sequence[UnitGroups], strength: float
    ) -> float:
        """``d Omega_i / d incoming[i, j] = 2 incoming[i, j] * outgoing_energy_i``, and mirrored."""
        total = 0.0
        factor = np.float32(2 * strength)
        for group, gradient in zip(groups, gradients, strict=True):
            incoming, outgoing = group.incoming_energy(), group.outgoing_energy()
            total += float(incoming @ outgoing)
            for towards, weight, scale in (
                (gradient.incoming, group.incoming, (factor * outgoing)[:, None]),
                (gradient.outgoing, group.outgoing, factor * incoming),
            ):
                np.add(towards, weight * scale, out=towards)
        return strength * total
