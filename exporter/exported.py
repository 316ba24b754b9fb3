"""What an export reports: while it goes on, and when it is done."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dspctl.exporter.draft import Footprint
from dspctl.exporter.gate import GateResult
from dspctl.runtime.bundle.artefacts import Artefact
from dspctl.runtime.bundle.manifest import Manifest


@dataclass(frozen=True)
class Progress:
    """How far an export is: *done* of *total* parts, and the one being made."""

    done: int
    total: int
    part: str


@dataclass(frozen=True)
class Export:
    """What was exported.

    Attributes:
        path: the bundle folder.
        manifest: its description.
        artefacts: what was compared with the reference, and what could not be run here.
        gate: what the artefact earned, if it played.
        footprints: what native code needs, by target.
    """

    path: Path
    manifest: Manifest
    artefacts: tuple[Artefact, ...]
    gate: GateResult | None
    footprints: dict[str, Footprint]

    @property
    def name(self) -> str:
        """Prefix of the C functions."""
        return self.manifest.name

    @property
    def files(self) -> dict[str, int]:
        """Size in bytes of every file but the manifest, by path."""
        return {path: entry.size_bytes for path, entry in self.manifest.files.items()}

    @property
    def size_bytes(self) -> int:
        """All of these together."""
        return sum(self.files.values())

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            "path": str(self.path),
            "name": self.name,
            "version": self.manifest.version,
            "targets": list(self.manifest.targets),
            "size_bytes": self.size_bytes,
            "files": self.files,
            "native": {target: each._asdict() for target, each in self.footprints.items()},
            "artefacts": [artefact.to_json() for artefact in self.artefacts],
            "gate": None if self.gate is None else self.gate.to_json(),
        }
