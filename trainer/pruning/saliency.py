"""Axis 2 of a pruning method: what ranks the units."""

from collections.abc import Callable, Sequence

from dspctl.compactor.groups import FloatArray, UnitGroups

Saliency = Callable[[Sequence[UnitGroups]], list[FloatArray]]
"""From the unit groups of each hidden layer to one score per unit, float [units] a layer; the
lowest leave first."""


def omega(groups: Sequence[UnitGroups]) -> list[FloatArray]:
    """Neuron importance: incoming times outgoing energy (DSP Eq 12)."""
    return [group.importance() for group in groups]
