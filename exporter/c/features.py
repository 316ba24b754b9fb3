"""How the features that a policy reads get from the observation to its first layer.

A policy may read some of an observation's features only. Gathering them through a table, one by
one, keeps the compiler from using vectors for the check and the normaliser. Where lanes hold
outputs, the first layer takes its inputs one by one anyway: then every feature up to the last that
is read is checked and normalised, a vector at a time, and the layer picks its own (decision 0008).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dspctl.exporter.c.layout import Affine
from dspctl.runtime.policy import Policy

_FEWEST = 4
"""Features that are read, at least, for vectors to be worth it."""

_MOST_SKIPPED = 4
"""Features that are looked at for each one that is read, at most: the lanes of a narrow vector."""


@dataclass(frozen=True)
class Features:
    """Which features of an observation the code goes through.

    Attributes:
        read: int [inputs], indices of the features that are read, rising.
        spread: it goes through all of the first ``count``, read or not; else it gathers ``read``.
        count: how many it goes through.
        selected: some feature of the observation is not read.
    """

    read: NDArray[np.intp]
    spread: bool
    count: int
    selected: bool

    @property
    def gathers(self) -> bool:
        """What is read is looked up in a table."""
        return self.selected and not self.spread

    @property
    def index(self) -> str:
        """C expression: feature number *i* of those that are gone through."""
        return "FEATURE[i]" if self.gathers else "i"

    @property
    def skips(self) -> bool:
        """Some of those that are gone through are not read."""
        return self.spread and len(self.read) < self.count

    @property
    def skipped(self) -> list[str]:
        """Of each that is gone through, C text: 1 where it is not read."""
        found = np.ones(self.count, np.int64)
        found[self.read] = 0
        return [f"{each}U" for each in found]

    def along(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 [inputs] → float32 [count]: zero for a feature that is not read."""
        if not self.spread:
            return values
        found = np.zeros(self.count, np.float32)
        found[self.read] = values
        return found


def features_of(policy: Policy, first: Affine) -> Features:
    """How the features get to a layer that is laid out as *first*."""
    read = policy.inputs
    selected = read.size < policy.observation.size
    upto = int(read[-1]) + 1 if read.size else 0
    worth = read.size >= _FEWEST and upto <= _MOST_SKIPPED * read.size
    spread = selected and worth and bool(first.columns)
    return Features(read, spread, upto if spread else int(read.size), selected)
