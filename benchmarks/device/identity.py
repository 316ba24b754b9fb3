"""Which device this is, and in which state: board, system, power mode, clocks, heat.

`dspctl.benchmarks.record.machine` says what a program sees of the machine (cores, libraries);
this says what a vehicle's engineer asks about the hardware under it.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dspctl.benchmarks.device.clocks import CpuClock, clock_notes, read_clocks
from dspctl.benchmarks.device.engines import EngineClock, engine_notes, read_engines
from dspctl.benchmarks.device.files import read_text
from dspctl.benchmarks.device.power_mode import PowerMode, parse_power_mode, read_power_mode
from dspctl.benchmarks.device.processor import (
    processor_notes,
    read_cpu_hz,
    read_features,
    read_hypervisor,
    read_name,
    read_turbo,
)
from dspctl.benchmarks.device.thermal import (
    CoolingDevice,
    ThermalZone,
    read_cooling,
    read_throttle_events,
    read_zones,
)
from dspctl.runtime.l4t import jetpack_of, l4t_release
from dspctl.runtime.machine import this_machine


@dataclass(frozen=True)
class Device:
    """A device and its state at one moment.

    Attributes:
        board: what the device tree calls the board; None without one.
        chip: the system on a chip, such as ``tegra234``; None without a device tree.
        l4t: a Jetson's system release, such as ``36.4.3``.
        jetpack: the JetPack of that release, or None where it is not known.
        power_mode: a Jetson's mode, or None where it could not be read.
        cpu: what the processor is called; several kinds of core with a comma between.
        features: instruction set extensions that every core lists, sorted.
        cpu_hz: the clock of each processor when it was read; none where nothing tells.
        turbo: whether cores may exceed their base clock; None where nothing tells.
        hypervisor: True in a virtual machine; None where nothing tells.
        kernel: its release.
        clocks: one entry per CPU with a frequency policy.
        engines: clocks of the GPU, the memory controller and others.
        zones: temperature sensors.
        cooling: what the kernel uses against heat.
        throttle_events: x86 cores slowed down by heat since boot, or None.
        notes: what weakens a measurement made in this state, and what to do about it.
    """

    board: str | None
    chip: str | None
    l4t: str | None
    jetpack: str | None
    power_mode: PowerMode | None
    cpu: str | None
    features: tuple[str, ...]
    cpu_hz: tuple[int, ...]
    turbo: bool | None
    hypervisor: bool | None
    kernel: str | None
    clocks: tuple[CpuClock, ...]
    engines: tuple[EngineClock, ...]
    zones: tuple[ThermalZone, ...]
    cooling: tuple[CoolingDevice, ...]
    throttle_events: int | None
    notes: tuple[str, ...]

    @property
    def jetson(self) -> bool:
        """True on a board with one of NVIDIA's Tegra chips."""
        return _is_jetson(self.chip)

    @property
    def clocks_locked(self) -> bool | None:
        """Whether no CPU's clock can follow the load; None where no frequency policy is shown."""
        return all(clock.locked for clock in self.clocks) if self.clocks else None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, but for tuples, which JSON writes as lists."""
        return asdict(self)


def describe_device(root: Path = Path("/"), *, nvpmodel: str | None = None) -> Device:
    """Read a device; *root* is where ``proc``, ``sys``, ``etc`` and ``var`` are found.

    Args:
        root: another folder than ``/`` holds a recorded tree.
        nvpmodel: what ``nvpmodel -q`` printed, which goes before its status file.
    """
    chip = this_machine(root).chip or None
    mode = parse_power_mode(nvpmodel) if nvpmodel is not None else None
    mode = mode or read_power_mode(root)
    l4t = l4t_release(root)
    clocks, engines, cooling = read_clocks(root), read_engines(root), read_cooling(root)
    hypervisor, turbo = read_hypervisor(root), read_turbo(root)
    return Device(
        board=read_text(root / "proc/device-tree/model"),
        chip=chip,
        l4t=l4t,
        jetpack=jetpack_of(l4t),
        power_mode=mode,
        cpu=read_name(root),
        features=read_features(root),
        cpu_hz=read_cpu_hz(root, clocks),
        turbo=turbo,
        hypervisor=hypervisor,
        kernel=read_text(root / "proc/sys/kernel/osrelease"),
        clocks=clocks,
        engines=engines,
        zones=read_zones(root),
        cooling=cooling,
        throttle_events=read_throttle_events(root),
        notes=(
            *clock_notes(clocks, jetson=_is_jetson(chip)),
            *engine_notes(engines),
            *(_mode_notes(mode) if _is_jetson(chip) else ()),
            *processor_notes(hypervisor, turbo),
            *_heat_notes(cooling),
        ),
    )


def _is_jetson(chip: str | None) -> bool:
    return chip is not None and chip.startswith("tegra")


def _mode_notes(mode: PowerMode | None) -> tuple[str, ...]:
    if mode is None:
        return ("power mode unknown: run  sudo nvpmodel -q  and state it with the figures",)
    if mode.unlimited:
        return ()
    limit = "which may cap the clocks" if mode.name is None else "which caps clocks and cores"
    return (
        f"power mode {mode}, {limit}: choose the mode that the vehicle will use (sudo nvpmodel "
        "-m NUMBER) and state it with the figures",
    )


def _heat_notes(cooling: tuple[CoolingDevice, ...]) -> tuple[str, ...]:
    active = [str(device) for device in cooling if device.throttling]
    if not active:
        return ()
    return (f"throttled by heat: {', '.join(active)}: let the device cool, or cool it better",)
