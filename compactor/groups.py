"""A unit group: the parameters that leave together when one hidden unit is removed.

The row of the layer, its bias, and the column of the next layer. Training's penalty and
importance (DSP Eq 12, 13) and the removal itself are all defined on this one type, so they
cannot disagree about what a unit is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class UnitGroups:
    """All units of one hidden layer, as views on the parameters around it.

    Attributes:
        incoming: float [units, in], row i feeds unit i.
        bias: float [units] or None.
        outgoing: float [out, units], column i carries unit i on.
    """

    incoming: FloatArray
    bias: FloatArray | None
    outgoing: FloatArray

    def incoming_energy(self) -> FloatArray:
        """``sum_j theta_l[i, j]^2``, float [units]."""
        return np.asarray(np.einsum("ij,ij->i", self.incoming, self.incoming))

    def outgoing_energy(self) -> FloatArray:
        """``sum_k theta_{l+1}[k, i]^2``, float [units]."""
        return np.asarray(np.einsum("ki,ki->i", self.outgoing, self.outgoing))

    def importance(self) -> FloatArray:
        """Omega of every unit: incoming times outgoing energy (DSP Eq 12), float [units]."""
        return self.incoming_energy() * self.outgoing_energy()

    def keep(self, units: NDArray[np.integer[Any]] | NDArray[np.bool_]) -> "UnitGroups":
        """Only *units* (indices or a mask): rows, biases and columns leave together."""
        bias = None if self.bias is None else self.bias[units]
        return UnitGroups(self.incoming[units], bias, self.outgoing[:, units])


def unit_groups(
    weights: Sequence[FloatArray], biases: Sequence[FloatArray | None]
) -> list[UnitGroups]:
    """One `UnitGroups` per hidden layer of a network given as [out, in] weights and biases."""
    return [
        UnitGroups(weights[layer], biases[layer], weights[layer + 1])
        for layer in range(len(weights) - 1)
    ]
