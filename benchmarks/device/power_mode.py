"""The power mode of a Jetson: how many cores are on, and how fast anything may run."""

import re
from dataclasses import dataclass
from pathlib import Path

from dspctl.benchmarks.device.files import read_text

_STATUS = re.compile(r"\bpmode:\s*([0-9]{1,9})")
_CONFIGURED = re.compile(r"<\s*POWER_MODEL\s+ID=([0-9]{1,9})\s+NAME=(\S+?)\s*>")
_QUERIED = re.compile(
    r"NV Power Mode:[ \t]*(\S+)[ \t]*(?:\r?\n[ \t]*([0-9]{1,9})[ \t]*(?:\r?\n|$))?"
)


@dataclass(frozen=True)
class PowerMode:
    """A mode of ``nvpmodel``.

    Attributes:
        number: as ``nvpmodel -m`` takes it; None where only a name was printed.
        name: such as ``MAXN`` or ``15W``; None where the board's table does not name the number.
    """

    number: int | None
    name: str | None

    @property
    def unlimited(self) -> bool:
        """True for a mode that caps nothing; its number differs by board, its name begins so."""
        return self.name is not None and self.name.upper().startswith("MAXN")

    def __str__(self) -> str:
        if self.name is None:
            return f"mode {self.number}"
        return self.name if self.number is None else f"{self.name} (mode {self.number})"


def read_power_mode(root: Path) -> PowerMode | None:
    """The mode that ``var/lib/nvpmodel/status`` holds, named by ``etc/nvpmodel.conf``."""
    found = _STATUS.search(read_text(root / "var/lib/nvpmodel/status") or "")
    if not found:
        return None
    number = int(found[1])
    configured = _CONFIGURED.findall(read_text(root / "etc/nvpmodel.conf") or "")
    return PowerMode(number, {int(key): name for key, name in configured}.get(number))


def parse_power_mode(text: str) -> PowerMode | None:
    """The mode in what ``nvpmodel -q`` printed; None where it names none."""
    found = _QUERIED.search(text)
    if not found:
        return None
    return PowerMode(None if found[2] is None else int(found[2]), found[1])
