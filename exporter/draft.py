"""A bundle while it is made: files in memory, until everything is proved."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dspctl.runtime.bundle.artefacts import Artefact
from dspctl.runtime.bundle.manifest import Build
from dspctl.runtime.policy import Policy
from dspctl.runtime.reference.golden import Golden


class Footprint(NamedTuple):
    """What one native build needs: instructions and constants, and stack of the deepest call."""

    flash_bytes: int
    stack_bytes: int


Recorded = NDArray[np.floating[Any]] | None


@dataclass(eq=False)
class Draft:
    """What is exported, and what has been made of it so far.

    Attributes:
        policy: as stored: what the target gets, not what was in memory.
        name: prefix of the C functions.
        strict: numeric mode of native code.
        recorded: float [n, obs_dim], raw, from episodes; or None.
        golden: the vectors that travel with the bundle.
        compared: the many more that artefacts are compared on here.
        files: contents by path.
        executables: those that are programs.
        builds: how native code was made, by folder under ``native/``.
        footprints: what native code needs, by folder.
        artefacts: what was compared.
    """

    policy: Policy
    name: str
    strict: bool
    recorded: Recorded
    golden: Golden
    compared: Golden
    files: dict[str, bytes] = field(default_factory=dict)
    executables: set[str] = field(default_factory=set)
    builds: dict[str, Build] = field(default_factory=dict)
    footprints: dict[str, Footprint] = field(default_factory=dict)
    artefacts: list[Artefact] = field(default_factory=list)

    def add(self, files: Mapping[str, bytes], executables: frozenset[str] = frozenset()) -> None:
        """Add files, and say which of them are programs."""
        self.files.update(files)
        self.executables |= executables
