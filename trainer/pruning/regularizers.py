"""Axis 1 of a pruning method: what is added to the loss so that units become dispensable."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from dspctl.compactor.groups import FloatArray, UnitGroups


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


class GroupLasso:
    """``lambda * sum_i ||theta[i,:]||_2`` over the incoming weights of hidden units (Wen 2016).

    A norm, unlike a square, pulls a weak unit as hard as a strong one, so it reaches 0.

    Args:
        first_only: over the units of the first hidden layer alone, whose weights read the inputs.
    """

    def __init__(self, *, first_only: bool = False) -> None:
        self.name = "group-lasso-first" if first_only else "group-lasso"
        self._layers = 1 if first_only else None

    def add_gradient(
        self, groups: Sequence[UnitGroups], gradients: Sequence[UnitGroups], strength: float
    ) -> float:
        """``d ||w|| / d w = w / ||w||``, and 0 where the norm is 0."""
        total = 0.0
        for group, gradient in list(zip(groups, gradients, strict=True))[: self._layers]:
            norm = np.sqrt(group.incoming_energy())
            total += float(norm.sum())
            scale = np.divide(np.float32(strength), norm, out=np.zeros_like(norm), where=norm > 0)
            np.add(gradient.incoming, group.incoming * scale[:, None], out=gradient.incoming)
        return strength * total


class L1Regularizer:
    """``lambda * ||theta||_1`` over every weight, biases left alone (lasso; Li 2022)."""

    name = "l1"

    def add_gradient(
        self, groups: Sequence[UnitGroups], gradients: Sequence[UnitGroups], strength: float
    ) -> float:
        """``d |w| / d w = sign w``, and 0 at 0."""
        total = 0.0
        factor = np.float32(strength)
        for weight, towards in zip(_weights(groups), _weights(gradients), strict=True):
            total += float(np.abs(weight).sum())
            np.add(towards, factor * np.sign(weight), out=towards)
        return strength * total


def _weights(groups: Sequence[UnitGroups]) -> list[FloatArray]:
    """Every layer's weights once: what feeds each hidden layer, then the output layer's."""
    return [*(group.incoming for group in groups), *(group.outgoing for group in groups[-1:])]
