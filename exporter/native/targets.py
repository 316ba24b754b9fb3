"""The machines that native code is generated and compiled for: one table.

To add one: a line in `NATIVE_TARGETS`, an emulator in the tests, a row in ``docs/targets.md``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from dspctl.errors import UnknownTarget
from dspctl.runtime.machine import Machine, this_machine

Architecture = Literal["x86_64", "aarch64", "thumb"]


@dataclass(frozen=True)
class NativeTarget:
    """One kind of processor with its operating system.

    Attributes:
        name: as ``--target`` takes it, and the folder in the bundle.
        summary: one line for ``--help`` and the bundle's README.
        architecture: the instruction set's family.
        lanes: float32 lanes of a vector register; 1 for scalar code.
        registers: vector (or scalar float) registers the generator may count on.
        fma: the processor fuses multiply and add.
        zig_target: target triple of the library for ``zig cc``, with the glibc version pinned.
        zig_static_target: triple of the static command.
        zig_cpu: the processor as zig names it.
        system_flags: what chooses the processor for gcc and clang on a machine of that kind.
        requires: features that /proc/cpuinfo must list for the code to run.
        hosted: it has an operating system and a C library; False for a microcontroller.
        compiler: ``system`` for this machine (``--target cpu``), ``zig`` for every other.
    """

    name: str
    summary: str
    architecture: Architecture
    lanes: int
    registers: int
    fma: bool
    zig_target: str
    zig_static_target: str
    zig_cpu: str
    system_flags: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    hosted: bool = True
    compiler: Literal["zig", "system"] = "zig"


def _x86(level: int, lanes: int, registers: int, requires: tuple[str, ...]) -> NativeTarget:
    return NativeTarget(
        name=f"x86-64-v{level}",
        summary={
            2: "any 64-bit PC since 2009 (SSE4.2)",
            3: "PCs since 2013 (AVX2 and FMA)",
            4: "PCs and servers with AVX-512",
        }[level],
        architecture="x86_64",
        lanes=lanes,
        registers=registers,
        fma=level >= 3,
        zig_target="x86_64-linux-gnu.2.17",
        zig_static_target="x86_64-linux-musl",
        zig_cpu=f"x86_64_v{level}",
        system_flags=(f"-march=x86-64-v{level}",),
        requires=requires,
    )


def _aarch64(
    name: str, summary: str, cpu: str, glibc: str, requires: tuple[str, ...] = ()
) -> NativeTarget:
    return NativeTarget(
        name=name,
        summary=summary,
        architecture="aarch64",
        lanes=4,
        registers=32,
        fma=True,
        zig_target=f"aarch64-linux-gnu.{glibc}",
        zig_static_target="aarch64-linux-musl",
        zig_cpu=cpu,
        system_flags=("-march=armv8-a",),
        requires=("asimd", *requires),
    )


def _cortex_m(name: str, summary: str, cpu: str) -> NativeTarget:
    return NativeTarget(
        name=name,
        summary=summary,
        architecture="thumb",
        lanes=1,
        registers=24,  # s0-s31, less what addressing and the ABI take
        fma=True,
        zig_target="thumb-freestanding-eabihf",
        zig_static_target="thumb-freestanding-eabihf",
        zig_cpu=cpu,
        hosted=False,
    )


# The levels of the x86-64 psABI, as /proc/cpuinfo spells them (pni is SSE3, abm is LZCNT).
_V2 = ("cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3")
_V3 = (*_V2, "abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe")
_V4 = (*_V3, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")

# What the compiler may use in arithmetic on these processors, beyond ARMv8.0.
_CARMEL = ("asimdhp", "asimdrdm", "atomics", "crc32", "fphp")
_A78AE = (*_CARMEL, "asimddp", "lrcpc")
_V3AE = (*_A78AE, "bf16", "i8mm", "ilrcpc", "sve", "sve2")

NATIVE_TARGETS: dict[str, NativeTarget] = {
    target.name: target
    for target in (
        _x86(2, 4, 16, _V2),
        _x86(3, 8, 16, _V3),
        _x86(4, 16, 32, _V4),
        _aarch64("aarch64", "any 64-bit Arm with Linux", "generic", "2.31"),
        _aarch64("jetson-xavier", "Jetson Xavier (Carmel), JetPack 5", "carmel", "2.31", _CARMEL),
        _aarch64(
            "jetson-orin",
            "Jetson Orin (Cortex-A78AE), JetPack 5 to 7",
            "cortex_a78ae",
            "2.31",  # a library for JetPack 5's glibc runs on 6 and 7
            _A78AE,
        ),
        _aarch64(
            "jetson-thor", "Jetson Thor (Neoverse V3AE), JetPack 7", "neoverse_v3ae", "2.39", _V3AE
        ),
        # zig counts the floating-point unit as an option of the processor. The Cortex-M7's is
        # named without float64, which not all of them have.
        _cortex_m("cortex-m4", "Cortex-M4F microcontroller, bare metal", "cortex_m4+vfp4d16sp"),
        _cortex_m("cortex-m7", "Cortex-M7F microcontroller, bare metal", "cortex_m7+fp_armv8d16sp"),
    )
}

GROUPS: dict[str, tuple[str, ...]] = {"jetson": ("jetson-xavier", "jetson-orin", "jetson-thor")}
"""Names that stand for several targets. ``cpu``, this machine, is the other special one."""

CPU = "cpu"

_FASTEST_FIRST = ("x86-64-v4", "x86-64-v3", "x86-64-v2", "aarch64")


def resolve_targets(
    names: Sequence[str], *, machine: Machine | None = None
) -> tuple[NativeTarget, ...]:
    """The targets that *names* stand for, each once, in the order of first mention.

    ``cpu`` becomes the fastest target that this machine runs, compiled by its own compiler; where
    the same target is named as well, there is one build of it, by this machine's compiler.

    Args:
        names: of `NATIVE_TARGETS` and `GROUPS`, or ``cpu``.
        machine: what ``cpu`` stands for; this machine if None.

    Raises:
        UnknownTarget: a name that is none of these, or ``cpu`` on a kind of machine that has none.
    """
    chosen: dict[str, NativeTarget] = {}
    for name in names:
        if name == CPU:
            target = replace(cpu_target(machine or this_machine()), compiler="system")
            chosen[target.name] = target
            continue
        for member in GROUPS.get(name, (name,)):
            if member not in NATIVE_TARGETS:
                known = ", ".join([CPU, *GROUPS, *NATIVE_TARGETS])
                raise UnknownTarget(f"there is no native target {member!r}: choose {known}")
            chosen.setdefault(member, NATIVE_TARGETS[member])
    return tuple(chosen.values())


def cpu_target(machine: Machine) -> NativeTarget:
    """The fastest target whose every requirement *machine* meets.

    Raises:
        UnknownTarget: it meets none.
    """
    for name in _FASTEST_FIRST:
        target = NATIVE_TARGETS[name]
        if machine.runs(target.architecture, target.requires):
            return target
    raise UnknownTarget(
        f"no native target fits this machine ({machine}): name one of {', '.join(NATIVE_TARGETS)}"
    )


def cpu_target_of(root: Path) -> NativeTarget:
    """`cpu_target` of the machine whose ``/proc`` lies under *root*."""
    return cpu_target(this_machine(root))
