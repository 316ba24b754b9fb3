"""Axis 2 of a pruning method: what ranks the units, or the single weights."""

from collections.abc import Callable, Sequence

import numpy as np

from dspctl.compactor.groups import FloatArray, UnitGroups

Saliency = Callable[[Sequence[UnitGroups], np.random.Generator], list[FloatArray]]
"""From the unit groups of each hidden layer, and random numbers of this pruning step, to scores;
the lowest leave first. One score per unit, float [units] a hidden layer; or, for methods that
remove single weights, one per weight, float [out, in] a layer."""


def omega(groups: Sequence[UnitGroups], rng: np.random.Generator) -> list[FloatArray]:
    """Neuron importance: incoming times outgoing energy (DSP Eq 12)."""
    return [group.importance() for group in groups]


def incoming_norm(groups: Sequence[UnitGroups], rng: np.random.Generator) -> list[FloatArray]:
    """``||theta[i,:]||_2`` of each unit's incoming weights, what the group lasso shrinks."""
    return [np.sqrt(group.incoming_energy()) for group in groups]


def chance(groups: Sequence[UnitGroups], rng: np.random.Generator) -> list[FloatArray]:
    """Uniform random numbers: every unit is as likely to leave as any other."""
    return [rng.random(len(group.incoming)) for group in groups]


def magnitude(groups: Sequence[UnitGroups], rng: np.random.Generator) -> list[FloatArray]:
    """``|theta|`` of every single weight, the output layer's among them."""
    weights = [*(group.incoming for group in groups), *(group.outgoing for group in groups[-1:])]
    return [np.abs(weight) for weight in weights]
