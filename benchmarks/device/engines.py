"""The clocks of what is not a CPU: the GPU, the memory controller, video engines."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dspctl.benchmarks.device.files import read_int, read_text

# The kernel names a GPU by its address and its kind; only newer releases call it gpu.
_GPU = re.compile(r"gpu|gm20b|gp10b|gv11b|ga10b|gb10b", re.I)


@dataclass(frozen=True)
class EngineClock:
    """One engine's frequency policy.

    Attributes:
        name: the kernel's, such as ``17000000.gpu``.
        governor: what chooses the frequency, such as ``nvhost_podgov``.
        min_hz: the lowest frequency that the governor may choose now.
        max_hz: the highest one.
        current_hz: the frequency now.
    """

    name: str
    governor: str | None
    min_hz: int | None
    max_hz: int | None
    current_hz: int | None

    @property
    def gpu(self) -> bool:
        """True for a graphics processor of a Jetson."""
        return _GPU.search(self.name) is not None

    @property
    def locked(self) -> bool:
        """True where the frequency cannot follow the load."""
        return self.governor == "performance" or (
            self.min_hz is not None and self.min_hz == self.max_hz
        )


def read_engines(root: Path) -> tuple[EngineClock, ...]:
    """Every engine with a frequency policy, by name; none on most PCs."""
    return tuple(
        EngineClock(
            name=folder.name,
            governor=read_text(folder / "governor"),
            min_hz=read_int(folder / "min_freq"),
            max_hz=read_int(folder / "max_freq"),
            current_hz=read_int(folder / "cur_freq"),
        )
        for folder in sorted((root / "sys/class/devfreq").glob("*"))
    )


def engine_notes(engines: Sequence[EngineClock]) -> tuple[str, ...]:
    """What a GPU's clock does to a measurement, and the remedy; nothing where it is locked."""
    free = [engine.name for engine in engines if engine.gpu and not engine.locked]
    if not free:
        return ()
    return (
        f"GPU clock not locked ({', '.join(free)}), which matters where the GPU is measured: run  "
        "sudo jetson_clocks  and repeat",
    )
