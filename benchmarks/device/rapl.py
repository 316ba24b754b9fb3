"""Energy counters of x86 processors (RAPL), through the kernel's powercap files.

Linux lets only root read them since version 5.10, because they leak what other programs compute.
A counter that cannot be read is kept, with the reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dspctl.benchmarks.device.files import read_int, read_text


@dataclass(frozen=True)
class EnergyCounter:
    """One domain's counter at one moment.

    Attributes:
        domain: the kernel's name of it, such as ``intel-rapl:0``; parts have one number more.
        name: what it measures, such as ``package-0``, ``core``, ``dram`` or ``psys``.
        energy_uj: microjoules since some moment; None where unreadable.
        range_uj: where the counter starts again from 0; None where unreadable.
        reason: why there is no energy, and what to do; None where there is.
    """

    domain: str
    name: str | None
    energy_uj: int | None
    range_uj: int | None
    reason: str | None

    @property
    def package(self) -> bool:
        """True for a whole processor: its parts are in it, and ``psys`` is more than it."""
        return self.name is not None and self.name.startswith("package")


@dataclass(frozen=True)
class PackageEnergy:
    """Energy of all processors between two readings.

    Attributes:
        joules: the sum; None where any of them could not be read, as a part is not the whole.
        domains: what was added, by the kernel's names.
        reason: why there is no figure; None where there is.
    """

    joules: float | None
    domains: tuple[str, ...]
    reason: str | None


def read_counters(root: Path) -> tuple[EnergyCounter, ...]:
    """Every domain, sorted by name; none where the machine or its kernel has no counters."""
    folders = sorted((root / "sys/class/powercap").glob("intel-rapl:*"))
    return tuple(_counter(folder) for folder in folders)


def joules_between(before: EnergyCounter, after: EnergyCounter) -> float | None:
    """Energy that one domain used between two readings; None where either is missing.

    A counter that went down has started again once. Twice cannot be seen: read it more often than
    it wraps, which takes a processor of 100 W about three quarters of an hour for a usual range.
    """
    if before.domain != after.domain or before.energy_uj is None or after.energy_uj is None:
        return None
    used = after.energy_uj - before.energy_uj
    if used < 0:
        if after.range_uj is None:
            return None
        used += after.range_uj
    return used / 1e6 if used >= 0 else None


def package_energy(
    before: Sequence[EnergyCounter], after: Sequence[EnergyCounter]
) -> PackageEnergy:
    """Energy of all packages between two readings of `read_counters`."""
    earlier = {counter.domain: counter for counter in before}
    packages = [counter for counter in after if counter.package]
    names = tuple(counter.domain for counter in packages)
    if not packages:
        return PackageEnergy(None, (), "this machine shows no energy counters (intel-rapl)")
    total = 0.0
    for counter in packages:
        start = earlier.get(counter.domain)
        used = None if start is None else joules_between(start, counter)
        if used is None:
            reason = counter.reason or (start.reason if start else None)
            return PackageEnergy(
                None, names, reason or f"{counter.domain} did not give two readings that fit"
            )
        total += used
    return PackageEnergy(total, names, None)


def _counter(folder: Path) -> EnergyCounter:
    energy = read_int(folder / "energy_uj")
    return EnergyCounter(
        domain=folder.name,
        name=read_text(folder / "name"),
        energy_uj=energy,
        range_uj=read_int(folder / "max_energy_range_uj"),
        reason=None if energy is not None else _reason(folder),
    )


def _reason(folder: Path) -> str:
    path = folder / "energy_uj"
    try:
        path.read_bytes()
    except PermissionError:
        return f"only root may read {path.name} of {folder.name}: run as root to measure energy"
    except OSError as error:
        return f"{path.name} of {folder.name} cannot be read: {error.strerror}"
    return f"{path.name} of {folder.name} holds no number"
