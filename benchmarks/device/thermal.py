"""Temperatures, and what the kernel slows down because of them."""

import re
from dataclasses import dataclass
from pathlib import Path

from dspctl.benchmarks.device.files import numbered, read_int, read_text

# A fan, a display's brightness and a temperature offset are cooling devices too, and they slow
# nothing down. What is named otherwise is recorded, and not called throttling.
_SLOWS_DOWN = re.compile(r"cpu|gpu|processor|powerclamp|devfreq|throttle|balanced|alert|emc", re.I)

SWITCHED_OFF_MILLIDEGREES = -256_000
"""What a Jetson's sensor reads while its part of the chip has no power."""


@dataclass(frozen=True)
class ThermalZone:
    """A temperature sensor.

    Attributes:
        zone: its number under ``/sys/class/thermal``.
        kind: what it calls itself, such as ``cpu-thermal``.
        millidegrees: temperature in 0.001 °C, or None where it is off or unreadable.
    """

    zone: int
    kind: str | None
    millidegrees: int | None


@dataclass(frozen=True)
class CoolingDevice:
    """Something that the kernel uses against heat.

    Attributes:
        device: its number under ``/sys/class/thermal``.
        kind: what it calls itself, such as ``cpufreq-cpu0`` or ``pwm-fan``.
        state: 0 when it does nothing.
        max_state: the most it can do.
    """

    device: int
    kind: str | None
    state: int | None
    max_state: int | None

    @property
    def throttling(self) -> bool:
        """True where it slows a processor or the memory down now."""
        return bool(
            self.state is not None and self.state > 0 and _SLOWS_DOWN.search(self.kind or "")
        )

    def __str__(self) -> str:
        return f"{self.kind} at {self.state} of {self.max_state}"


def read_zones(root: Path) -> tuple[ThermalZone, ...]:
    """Every temperature sensor, in the order of the zones."""
    found = []
    for folder in numbered(root / "sys/class/thermal", "thermal_zone"):
        value = read_int(folder / "temp")
        if value is not None and value <= SWITCHED_OFF_MILLIDEGREES:
            value = None
        number = int(folder.name.removeprefix("thermal_zone"))
        found.append(ThermalZone(number, read_text(folder / "type"), value))
    return tuple(found)


def read_cooling(root: Path) -> tuple[CoolingDevice, ...]:
    """Every cooling device, in the order of their numbers."""
    return tuple(
        CoolingDevice(
            device=int(folder.name.removeprefix("cooling_device")),
            kind=read_text(folder / "type"),
            state=read_int(folder / "cur_state"),
            max_state=read_int(folder / "max_state"),
        )
        for folder in numbered(root / "sys/class/thermal", "cooling_device")
    )


def read_throttle_events(root: Path) -> int | None:
    """How often x86 cores were slowed down by heat since boot; None where nothing counts it."""
    counts = [
        read_int(folder / "thermal_throttle/core_throttle_count")
        for folder in numbered(root / "sys/devices/system/cpu", "cpu")
    ]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
