"""The processor: its name, what it can do, how fast its cores run, and who runs beneath."""

import re
from pathlib import Path

from dspctl.benchmarks.device.clocks import CpuClock
from dspctl.benchmarks.device.files import read_int, read_text
from dspctl.runtime.machine import this_machine

# (implementer, part) as Arm kernels print them in /proc/cpuinfo; see arch/arm64's cputype.h.
_CORES = {
    (0x41, 0xD07): "Cortex-A57",
    (0x41, 0xD42): "Cortex-A78AE",
    (0x41, 0xD83): "Neoverse V3AE",
    (0x4E, 0x003): "Denver 2",
    (0x4E, 0x004): "Carmel",
}

_HZ_PER_MHZ = 1_000_000
_MEGAHERTZ = re.compile(r"^cpu MHz\s*:\s*([0-9]{1,6}(?:\.[0-9]{1,9})?)\s*$", re.M)  # x86 only


def read_name(root: Path) -> str | None:
    """What the processor is called; Arm cores by their numbers, several kinds with a comma.

    The ``model name`` of an Arm core says only ``ARMv8 Processor``.
    """
    cpuinfo = _cpuinfo(root)
    implementers = re.findall(r"^CPU implementer\s*:\s*0x([0-9a-fA-F]{1,8})\s*$", cpuinfo, re.M)
    parts = re.findall(r"^CPU part\s*:\s*0x([0-9a-fA-F]{1,8})\s*$", cpuinfo, re.M)
    numbers = [(int(a, 16), int(b, 16)) for a, b in zip(implementers, parts, strict=False)]
    names = [_CORES[core] for core in dict.fromkeys(numbers) if core in _CORES]
    if names:
        return ", ".join(names)
    named = re.search(r"^(?:model name|Model)\s*:[ \t]*(\S.*?)\s*$", cpuinfo, re.M)
    return named[1] if named else None


def read_features(root: Path) -> tuple[str, ...]:
    """Instruction set extensions that every core lists, sorted; none where nothing lists them."""
    return tuple(sorted(this_machine(root).features))


def read_hypervisor(root: Path) -> bool | None:
    """True in a virtual machine; None where the system does not tell.

    An x86 guest sees it among its processor's flags, a Xen or Power guest under ``/sys`` or in the
    device tree. An Arm processor has no such flag, so its absence says nothing there.
    """
    traces = (root / "sys/hypervisor/type", root / "proc/device-tree/hypervisor/compatible")
    if any(read_text(path) for path in traces):
        return True
    flags = re.search(r"^flags\s*:(.*)$", _cpuinfo(root), re.M)
    return None if flags is None else "hypervisor" in flags[1].split()


def read_cpu_hz(root: Path, clocks: tuple[CpuClock, ...]) -> tuple[int, ...]:
    """The clock of every processor at this moment: by cpufreq, else by ``/proc/cpuinfo``.

    Empty where neither tells. Idle processors run slower than busy ones unless clocks are locked.
    """
    known = tuple(clock.current_hz for clock in clocks if clock.current_hz is not None)
    if known:
        return known
    return tuple(round(float(value) * _HZ_PER_MHZ) for value in _MEGAHERTZ.findall(_cpuinfo(root)))


def read_turbo(root: Path) -> bool | None:
    """Whether cores may run above their base clock for a while; None where nothing tells."""
    folder = root / "sys/devices/system/cpu"
    forbidden = read_int(folder / "intel_pstate/no_turbo")
    if forbidden is not None:
        return forbidden == 0
    allowed = read_int(folder / "cpufreq/boost")
    return None if allowed is None else allowed != 0


def processor_notes(hypervisor: bool | None, turbo: bool | None) -> tuple[str, ...]:
    """What a processor's set-up does to a measurement, and the remedy."""
    found = []
    if hypervisor:
        found.append(
            "a hypervisor runs beneath this system, so other guests may take time unseen: compare "
            "only figures that were measured in turns in one run, and measure on the vehicle's "
            "own computer"
        )
    if turbo:
        found.append(
            "turbo is on, so the clock follows heat and what other cores do: turn it off (write 1 "
            "to /sys/devices/system/cpu/intel_pstate/no_turbo, or 0 to "
            "/sys/devices/system/cpu/cpufreq/boost) and repeat"
        )
    return tuple(found)


def _cpuinfo(root: Path) -> str:
    return read_text(root / "proc/cpuinfo") or ""
