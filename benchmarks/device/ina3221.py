"""Power rails from the INA3221, the sensor on Jetson modules, through the kernel's files.

From JetPack 5 on the driver is an hwmon device with three channels of millivolts and milliamperes;
JetPack 4 has an iio device that gives milliwatts.
"""

from collections.abc import Iterator
from pathlib import Path

from dspctl.benchmarks.device.files import read_int, read_text

AVERAGING_S = 0.43
"""Seconds over which the sensor averages as JetPack sets it up: readings closer together are not
independent, and a window shorter than this measures what was before it."""

_NOT_CONNECTED = "NC"
_CHANNELS = 3


def read_rails(root: Path) -> dict[str, float]:
    """Power now on each rail that can be read, in watts by the rail's label.

    A channel that is not connected, has no label, or whose value cannot be read is left out: a
    rail without a name cannot be compared, and one without a value is not 0 W. Where two sensors
    use one label, the second's is followed by its address in parentheses.
    """
    return {label: watts for label, watts in _named(root) if watts is not None}


def unreadable_rails(root: Path) -> tuple[str, ...]:
    """Labels of connected channels that give no value now, in the order in which they are found."""
    return tuple(label for label, watts in _named(root) if watts is None)


def _named(root: Path) -> Iterator[tuple[str, float | None]]:
    """Every rail under a name of its own, whether or not it has a value now."""
    seen: set[str] = set()
    for address, label, watts in _readings(root / "sys/bus/i2c/drivers"):
        yield f"{label} ({address})" if label in seen else label, watts
        seen.add(label)


def _readings(drivers: Path) -> Iterator[tuple[str, str, float | None]]:
    for chip in sorted(drivers.glob("ina3221*/*-*")):
        for folder in sorted(chip.glob("hwmon/hwmon*")):
            yield from ((chip.name, *rail) for rail in _hwmon(folder))
        # Some releases show the same device under both names; one of them is enough.
        devices = sorted(chip.glob("iio:device*")) or sorted(chip.glob("iio_device"))
        for folder in devices:
            yield from ((chip.name, *rail) for rail in _iio(folder))


def _hwmon(folder: Path) -> Iterator[tuple[str, float | None]]:
    # Channels 4 and up, where there are any, repeat the first three: shunt voltages and their sum.
    for channel in range(1, _CHANNELS + 1):
        label = read_text(folder / f"in{channel}_label")
        millivolts = read_int(folder / f"in{channel}_input")
        milliamperes = read_int(folder / f"curr{channel}_input")
        if _connected(label):
            missing = millivolts is None or milliamperes is None
            yield str(label), None if missing else (millivolts or 0) * (milliamperes or 0) / 1e6


def _iio(folder: Path) -> Iterator[tuple[str, float | None]]:
    for channel in range(_CHANNELS):
        label = read_text(folder / f"rail_name_{channel}")
        milliwatts = read_int(folder / f"in_power{channel}_input")
        if _connected(label):
            yield str(label), None if milliwatts is None else milliwatts / 1e3


def _connected(label: str | None) -> bool:
    return label is not None and label != _NOT_CONNECTED
