from pathlib import Path

import pytest

from dspctl.errors import UnknownTarget
from dspctl.exporter.native.targets import (
    NATIVE_TARGETS,
    cpu_target_of,
    resolve_targets,
)
from dspctl.runtime.machine import Machine

# As the kernel prints them, on processors whose level is known.
NEHALEM = "fpu lm sse sse2 pni ssse3 cx16 sse4_1 sse4_2 popcnt lahf_lm"
HASWELL = f"{NEHALEM} fma movbe avx f16c abm bmi1 avx2 bmi2"
SKYLAKE_SERVER = f"{HASWELL} avx512f avx512dq avx512cd avx512bw avx512vl"
KNIGHTS_LANDING = f"{HASWELL} avx512f avx512pf avx512er avx512cd"
AGX_ORIN = (
    "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop "
    "asimddp uscat ilrcpc flagm paca pacg"
)


def recorded(root: Path, text: str) -> Path:
    (root / "proc").mkdir(parents=True)
    (root / "proc" / "cpuinfo").write_text(text)
    return root


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (NEHALEM, "x86-64-v2"),
        (HASWELL, "x86-64-v3"),
        (SKYLAKE_SERVER, "x86-64-v4"),
        (KNIGHTS_LANDING, "x86-64-v3"),
    ],
)
def test_cpu_is_the_fastest_level_that_the_processor_has(
    flags: str, expected: str, tmp_path: Path
) -> None:
    root = recorded(tmp_path, f"processor\t: 0\nflags\t\t: {flags}\n\n")
    assert cpu_target_of(root).name == expected


def test_cpu_on_arm(tmp_path: Path) -> None:
    root = recorded(tmp_path, "processor\t: 0\nFeatures\t: fp asimd evtstrm crc32\n\n")
    assert cpu_target_of(root).name == "aarch64"


def test_cpu_on_a_machine_that_no_target_fits(tmp_path: Path) -> None:
    root = recorded(tmp_path, "processor\t: 0\nflags\t\t: fpu lm sse sse2\n\n")
    with pytest.raises(UnknownTarget, match="name one of x86-64-v2"):
        cpu_target_of(root)


def test_jetson_is_its_three_boards() -> None:
    names = [target.name for target in resolve_targets(["jetson", "cortex-m4", "jetson-orin"])]
    assert names == ["jetson-xavier", "jetson-orin", "jetson-thor", "cortex-m4"]


@pytest.mark.parametrize("order", [["cpu", "x86-64-v3"], ["x86-64-v3", "cpu"]])
def test_cpu_is_built_once_and_by_this_machines_compiler(order: list[str]) -> None:
    machine = Machine("x86_64", frozenset(HASWELL.split()), "test")
    (target,) = resolve_targets(order, machine=machine)
    assert (target.name, target.compiler) == ("x86-64-v3", "system")


def test_named_targets_are_compiled_by_zig() -> None:
    assert {target.compiler for target in resolve_targets(list(NATIVE_TARGETS))} == {"zig"}


def test_unknown_name() -> None:
    with pytest.raises(UnknownTarget, match="no native target 'jetson-tx2': choose cpu, jetson"):
        resolve_targets(["cpu", "jetson-tx2"])


def test_a_jetson_meets_only_its_own_and_older_requirements() -> None:
    """What /proc/cpuinfo lists on an AGX Orin."""
    orin = Machine("aarch64", frozenset(AGX_ORIN.split()), "AGX Orin")
    runs = {
        target.name
        for target in NATIVE_TARGETS.values()
        if orin.runs(target.architecture, target.requires)
    }
    assert runs == {"aarch64", "jetson-xavier", "jetson-orin"}
