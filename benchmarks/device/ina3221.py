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
    found: dict[str, float] = {}
    for address, label, watts in _readings(root / "sys/bus/i2c/drivers"):
        found[f"{label} ({address})" if label in found else label] = watts
    return found


def _readings(drivers: Path) -> Iterator[tuple[str, str, float]]:
    for chip in sorted(drivers.glob("ina3221*/*-*")):
        for folder in sorted(chip.glob("hwmon/hwmon*")):
            yield from ((chip.name, *rail) for rail in _hwmon(folder))
        # Some releases show the same device under both names; one of them is enough.
        devices = sorted(chip.glob("iio:device*")) or sorted(chip.glob("iio_device"))
        for folder in devices:
            yield from ((chip.name, *rail) for rail in _iio(folder))


def _hwmon(folder: Path) -> Iterator[tuple[str, float]]:
    # Channels 4 and up, where there are any, repeat the first three: shunt voltages and their sum.
    for channel in range(1, _CHANNELS + 1):
        label = read_text(folder / f"in{channel}_label")
        millivolts = read_int(folder / f"in{channel}_input")
        milliamperes = read_int(folder / f"curr{channel}_input")
        if _connected(label) and millivolts is not None and milliamperes is not None:
            yield str(label), millivolts * milliamperes / 1e6


def _iio(folder: Path) -> Iterator[tuple[str, float]]:
    for channel in range(_CHANNELS):
        label = read_text(folder / f"rail_name_{channel}")
        milliwatts = read_int(folder / f"in_power{channel}_input")
        if _connected(label) and milliwatts is not None:
            yield str(label), milliwatts / 1e3


def _connected(label: str | None) -> bool:
    return label is not None and label != _NOT_CONNECTED
