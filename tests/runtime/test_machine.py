from pathlib import Path

import pytest

from dspctl import errors
from dspctl.runtime.machine import Machine, this_machine

EPYC = """\
processor\t: 0
vendor_id\t: AuthenticAMD
model name\t: AMD EPYC 9654 96-Core Processor
flags\t\t: fpu lm sse4_2 avx2 fma avx512f

processor\t: 1
model name\t: AMD EPYC 9654 96-Core Processor
flags\t\t: fpu lm sse4_2 avx2 fma
"""
ORIN = """\
processor\t: 0
BogoMIPS\t: 62.50
Features\t: fp asimd evtstrm aes atomics fphp asimdhp asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU part\t: 0xd42

processor\t: 1
Features\t: fp asimd evtstrm aes atomics fphp asimdhp asimddp
"""
RASPBERRY_32 = "processor\t: 0\nmodel name\t: ARMv7 Processor\nFeatures\t: half thumb neon vfpv4\n"


def tree(root: Path, cpuinfo: str, compatible: bytes = b"", model: bytes = b"") -> Path:
    (root / "proc" / "device-tree").mkdir(parents=True)
    (root / "proc" / "cpuinfo").write_text(cpuinfo)
    if compatible:
        (root / "proc" / "device-tree" / "compatible").write_bytes(compatible)
        (root / "proc" / "device-tree" / "model").write_bytes(model)
    return root


def test_a_pc_has_what_every_core_has(tmp_path: Path) -> None:
    machine = this_machine(tree(tmp_path, EPYC))
    assert machine.architecture == "x86_64"
    assert machine.model == "AMD EPYC 9654 96-Core Processor"
    assert machine.features == {
        "fpu",
        "lm",
        "sse4_2",
        "avx2",
        "fma",
    }  # not the first core's AVX-512
    assert (machine.chip, machine.board) == ("", "")


def test_a_jetson_names_its_chip_and_board(tmp_path: Path) -> None:
    machine = this_machine(
        tree(
            tmp_path,
            ORIN,
            b"nvidia,p3737-0000+p3701-0000\0nvidia,p3701-0000\0nvidia,tegra234\0",
            b"NVIDIA Jetson AGX Orin Developer Kit\0",
        )
    )
    assert machine.architecture == "aarch64"
    assert machine.model == "NVIDIA Jetson AGX Orin Developer Kit"
    assert (machine.chip, machine.board) == ("tegra234", "jetson-orin")
    assert {"asimd", "asimddp"} <= machine.features


def test_other_machines(tmp_path: Path) -> None:
    assert this_machine(tree(tmp_path / "pi", RASPBERRY_32)).architecture == "arm"
    old = this_machine(tree(tmp_path / "old", "flags\t: fpu sse2\n"))
    assert old.architecture == "i686"
    (tmp_path / "nothing").mkdir()
    nothing = this_machine(tmp_path / "nothing")
    assert nothing == Machine("unknown", frozenset(), "unknown")
    assert not nothing.runs("x86_64", ())


def test_what_runs_where(tmp_path: Path) -> None:
    machine = this_machine(tree(tmp_path, EPYC))
    assert machine.runs("x86_64", ("avx2", "fma"))
    assert not machine.runs("x86_64", ("avx2", "avx512f"))
    assert not machine.runs("aarch64", ())
    machine.check("the library", "x86_64", ("avx2",))
    with pytest.raises(errors.WrongProcessor, match=r"the library needs avx512f, .*EPYC 9654"):
        machine.check("the library", "x86_64", ("avx512f", "avx2"))
    with pytest.raises(errors.WrongProcessor, match=r"is for aarch64, but this machine is x86_64"):
        machine.check("the library", "aarch64", ())


def test_this_machine_is_what_the_system_says() -> None:
    import platform

    machine = this_machine()
    assert machine.architecture == platform.machine()
    assert machine.runs(platform.machine(), ())
