"""What processor this machine has, and whether code built for another one may run on it.

A library that uses an instruction the processor lacks ends the process; there is no error to
catch. So a library is opened only where ``/proc/cpuinfo`` lists everything that it was built for.
"""

from __future__ import annotations

import itertools
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path

from dspctl.runtime.on_demand import errors
from dspctl.runtime.records import record

_ROOT = Path("/")
_UNKNOWN = "unknown"

_BOARDS = {
    "tegra194": "jetson-xavier",
    "tegra234": "jetson-orin",
    "tegra264": "jetson-thor",
}


@record(frozen=True)
class Machine:
    """A processor as its operating system describes it.

    Attributes:
        architecture: ``x86_64``, ``aarch64`` or what else the system calls it.
        features: instruction set extensions that every core has, as ``/proc/cpuinfo`` names them.
        model: what the processor or the board calls itself.
        chip: the system on a chip, such as ``tegra234``; empty where no device tree names one.
    """

    architecture: str
    features: frozenset[str]
    model: str
    chip: str = ""

    @property
    def board(self) -> str:
        """The export target made for exactly this chip, or empty."""
        return _BOARDS.get(self.chip, "")

    def missing(self, requires: Iterable[str]) -> tuple[str, ...]:
        """The required features that this processor lacks, sorted."""
        return tuple(sorted(set(requires) - self.features))

    def runs(self, architecture: str, requires: Iterable[str]) -> bool:
        """True when code for *architecture* that uses the features *requires* may run here."""
        return architecture == self.architecture and not self.missing(requires)

    def check(self, name: str, architecture: str, requires: Iterable[str]) -> None:
        """Refuse code that may not run here; *name* is what to call it.

        Raises:
            WrongProcessor: another architecture, or a feature is missing; says which.
        """
        if architecture != self.architecture:
            raise errors.WrongProcessor(
                f"{name} is for {architecture}, but this machine is {self}: export for this kind "
                "of machine, or use another backend"
            )
        missing = self.missing(requires)
        if missing:
            raise errors.WrongProcessor(
                f"{name} needs {', '.join(missing)}, which this processor does not have ({self}): "
                "export for an older processor, or use another backend"
            )

    def __str__(self) -> str:
        return f"{self.architecture}, {self.model}"


def this_machine(root: Path = _ROOT) -> Machine:
    """The processor described under *root*; another folder than ``/`` holds a recorded tree.

    Features are those that all cores list: a program does not choose the core it runs on. What
    cannot be read is unknown, and then nothing that needs a feature runs.
    """
    flags, named = _cpuinfo(root / "proc" / "cpuinfo")
    every = [set(words.split()) for words in flags]
    chip, board = _device_tree(root / "proc" / "device-tree")
    return Machine(
        architecture=_architecture(flags, recorded=root != _ROOT),
        features=frozenset(set.intersection(*every)) if every else frozenset(),
        model=board or named or _UNKNOWN,
        chip=chip,
    )


def _cpuinfo(path: Path) -> tuple[dict[str, str], str]:
    """What the cores list: features, each list once, with the name of the entry (``flags`` on x86,
    ``Features`` on Arm); and the first model. Nothing where the file cannot be read.

    Read line by line, since a server's file has two hundred cores with the same features.
    """
    flags: dict[str, str] = {}
    model = ""
    core: dict[str, str] = {}
    try:
        with path.open(errors="replace") as file:
            for line in itertools.chain(file, ("\n",)):
                key, colon, value = line.partition(":")
                if colon:
                    core[key.strip()] = value.strip()
                elif line == "\n":  # the end of a core
                    entry = "flags" if "flags" in core else "Features"
                    if entry in core:
                        flags.setdefault(core[entry], entry)
                    model = model or core.get("model name", "") or core.get("Model", "")
                    core = {}
    except OSError:
        return {}, ""
    return flags, model


def _architecture(flags: Mapping[str, str], *, recorded: bool) -> str:
    """Of the running system as it says so itself; of a recorded tree by the form of cpuinfo."""
    if not recorded:
        name = platform.machine().lower()
        return {"amd64": "x86_64", "arm64": "aarch64"}.get(name, name or _UNKNOWN)
    for words, entry in flags.items():
        if entry == "flags":
            return "x86_64" if "lm" in words.split() else "i686"
        # A 64-bit Arm kernel lists asimd where a 32-bit one lists neon.
        return "aarch64" if "asimd" in words.split() else "arm"
    return _UNKNOWN


def _device_tree(folder: Path) -> tuple[str, str]:
    """The chip and the board, empty where there is no device tree; entries end in NUL."""
    try:
        compatible = (folder / "compatible").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return "", ""
    try:
        board = (folder / "model").read_bytes().decode(errors="replace").strip("\0 \n")
    except OSError:
        board = ""
    chips = [entry.split(",", 1)[-1] for entry in compatible if entry]
    return (chips[-1] if chips else ""), board
