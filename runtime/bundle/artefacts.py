"""``parity.json``: for every artefact of a bundle, how far it was from the reference at export.

What could not run on the exporting machine is listed too, with the reason: a reader must see what
nobody has checked yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast, get_args

from dspctl.runtime.bundle.manifest import canonical_json
from dspctl.runtime.records import field, record
from dspctl.runtime.strict_json import Fields, fields_from_json
from dspctl.runtime.untrusted import check_name

PARITY = "parity.json"

Ran = Literal["here", "emulated", "not run"]
RAN: tuple[str, ...] = get_args(Ran)


@record(frozen=True)
class Artefact:
    """One artefact and what comparing it with the reference gave.

    Attributes:
        name: its path in the bundle.
        ran: on the exporting machine's processor, under an emulator, or not at all.
        note: how it was run or why it was not, and by which tolerance it was judged.
        passed: it computes what the policy does; None if it did not run.
        figures: what was measured, numbers and texts by name; the names depend on the artefact.
    """

    name: str
    ran: Ran
    note: str
    passed: bool | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            "artefact": self.name,
            "ran": self.ran,
            "note": self.note,
            "passed": self.passed,
            "figures": dict(self.figures),
        }

    @staticmethod
    def from_json(value: Any) -> Artefact:
        """The inverse of `to_json`. Raises ValueError on anything else."""
        fields = Fields(value, f"{PARITY}: an artefact")
        name, ran, note = fields.name("artefact"), fields.text("ran"), fields.text("note")
        passed, figures = fields.take("passed"), fields.entries("figures")
        fields.finish()
        if ran not in RAN or type(passed) is not (type(None) if ran == "not run" else bool):
            raise ValueError(f"{PARITY}: {name} has no valid result")
        for figure, each in figures.items():
            check_name(figure, f"{PARITY}: a figure of {name}")
            if type(each) not in (int, float, str):
                raise ValueError(f"{PARITY}: the figures of {name} are not numbers and texts")
        return Artefact(name, cast(Ran, ran), note, passed, figures)


def bytes_from_artefacts(artefacts: Sequence[Artefact]) -> bytes:
    """The file."""
    return canonical_json({"artefacts": [artefact.to_json() for artefact in artefacts]})


def artefacts_from_bytes(data: bytes) -> tuple[Artefact, ...]:
    """Parse the file. Raises ValueError on anything that `bytes_from_artefacts` does not write."""
    fields = fields_from_json(data, PARITY)
    artefacts = fields.take("artefacts")
    fields.finish()
    if not isinstance(artefacts, list):
        raise ValueError(f"{PARITY}: 'artefacts' is not a list")
    return tuple(Artefact.from_json(artefact) for artefact in artefacts)
