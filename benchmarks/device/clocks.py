"""The clock of every CPU: what sets it, and between which limits."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dspctl.benchmarks.device.files import numbered, read_int, read_text

_HZ_PER_KHZ = 1000


@dataclass(frozen=True)
class CpuClock:
    """One CPU's frequency policy.

    Attributes:
        cpu: its number.
        governor: what chooses the frequency, such as ``schedutil``.
        min_hz: the lowest frequency that the governor may choose now.
        max_hz: the highest one.
        current_hz: what the kernel last set or read.
    """

    cpu: int
    governor: str | None
    min_hz: int | None
    max_hz: int | None
    current_hz: int | None

    @property
    def locked(self) -> bool:
        """True where the frequency cannot follow the load.

        ``jetson_clocks`` leaves the governor as it is and raises the lower limit to the upper one.
        """
        return self.governor == "performance" or (
            self.min_hz is not None and self.min_hz == self.max_hz
        )


def read_clocks(root: Path) -> tuple[CpuClock, ...]:
    """One entry per CPU that has a frequency policy: none in most virtual machines."""
    found = []
    for folder in numbered(root / "sys/devices/system/cpu", "cpu"):
        policy = folder / "cpufreq"
        if policy.is_dir():  # an offline CPU has none
            found.append(
                CpuClock(
                    cpu=int(folder.name.removeprefix("cpu")),
                    governor=read_text(policy / "scaling_governor"),
                    min_hz=_hertz(policy / "scaling_min_freq"),
                    max_hz=_hertz(policy / "scaling_max_freq"),
                    current_hz=_hertz(policy / "scaling_cur_freq"),
                )
            )
    return tuple(found)


def clock_notes(clocks: Sequence[CpuClock], *, jetson: bool) -> tuple[str, ...]:
    """What the clocks do to a measurement, and the remedy; nothing where all are locked."""
    if not clocks:
        return (
            "this system shows no limits of its CPU clocks (cpufreq), so whether they were locked "
            "is unknown: compare only figures that were measured in turns in one run",
        )
    free = [clock for clock in clocks if not clock.locked]
    command = "sudo jetson_clocks" if jetson else "sudo cpupower frequency-set -g performance"
    governors = Counter(clock.governor or "unknown" for clock in free)
    return tuple(
        f"clocks not locked: governor {governor} on {count} of {len(clocks)} CPUs: run  {command}  "
        "and repeat"
        for governor, count in sorted(governors.items())
    )


def _hertz(path: Path) -> int | None:
    kilohertz = read_int(path)
    return None if kilohertz is None else kilohertz * _HZ_PER_KHZ
