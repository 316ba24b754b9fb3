import json
import stat
from dataclasses import asdict
from pathlib import Path

import pytest

from dspctl.benchmarks.device.current import ask_nvpmodel, current_device
from dspctl.benchmarks.device.identity import Device, describe_device
from dspctl.benchmarks.device.power_mode import PowerMode, parse_power_mode, read_power_mode
from dspctl.benchmarks.record.decode import decode
from dspctl.runtime.l4t import jetpack_of, l4t_release
from tests.benchmarks.device.boards import BOARDS, Board, cooling, cpufreq, devfreq, write, zone

CONFIG = (
    "< POWER_MODEL ID=0 NAME=15W >\nCPU_ONLINE CORE_0 1\n\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n"
)


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS.keys())
def test_every_board_is_recognised(tmp_path: Path, board: Board) -> None:
    device = describe_device(write(tmp_path, board.files()))
    assert device.jetson
    assert device.board == board.model
    assert device.chip == board.compatible[-1].removeprefix("nvidia,")
    assert (device.l4t, device.jetpack, device.cpu) == (board.l4t, board.jetpack, board.cpu)
    assert device.kernel == "5.15.148-tegra"


def test_a_pc_is_no_jetson(tmp_path: Path) -> None:
    cpuinfo = "processor\t: 0\nmodel name\t: AMD EPYC 9654 96-Core Processor\nflags\t\t: fpu lm\n\n"
    device = describe_device(write(tmp_path, {"proc/cpuinfo": cpuinfo}))
    assert not device.jetson
    assert device.cpu == "AMD EPYC 9654 96-Core Processor"
    assert (device.board, device.chip, device.l4t, device.jetpack) == (None, None, None, None)
    (note,) = device.notes  # nothing about a power mode, which a PC has none of
    assert "whether they were locked is unknown" in note


def test_an_empty_tree_gives_nothing_that_was_not_read(tmp_path: Path) -> None:
    device = describe_device(tmp_path)
    values = {name: value for name, value in device.to_json().items() if name != "notes"}
    assert set(values.values()) == {None, ()}


def test_this_machine_is_described() -> None:
    device = current_device()
    assert device.kernel
    assert device.cpu
    assert decode(Device, json.loads(json.dumps(asdict(device))), "device") == device


def test_a_record_of_a_board_survives_json(tmp_path: Path) -> None:
    write(tmp_path, {**BOARDS["orin-nano-6"].files(), **cpufreq(6, "schedutil")})
    write(tmp_path, {"var/lib/nvpmodel/status": "pmode:0000\n", "etc/nvpmodel.conf": CONFIG})
    write(tmp_path, zone(0, "cpu-thermal", 48000) | cooling(0, "cpufreq-cpu0", 2, 24))
    write(tmp_path, devfreq("17000000.gpu", "nvhost_podgov", 1, 3, 2))
    device = describe_device(tmp_path)
    assert None not in (device.power_mode, device.board, device.l4t)
    assert all((device.clocks, device.engines, device.zones, device.cooling, device.notes))
    assert decode(Device, json.loads(json.dumps(asdict(device))), "device") == device


def test_features_are_those_of_every_core(tmp_path: Path) -> None:
    cores = "flags\t\t: fpu lm avx2\n\n", "flags\t\t: lm fpu\n\n"
    assert describe_device(write(tmp_path, {"proc/cpuinfo": "".join(cores)})).features == (
        "fpu",
        "lm",
    )
    board = describe_device(write(tmp_path / "orin", BOARDS["orin-nano-6"].files()))
    assert board.features == ("aes", "asimd", "fp")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"proc/cpuinfo": "flags\t\t: fpu hypervisor lm\n"}, True),
        ({"proc/cpuinfo": "flags\t\t: fpu lm\n"}, False),
        ({"proc/cpuinfo": "flags\t\t: fpu lm\n", "sys/hypervisor/type": "xen\n"}, True),
        ({"proc/device-tree/hypervisor/compatible": "xen,xen\0"}, True),
        ({"proc/cpuinfo": "Features\t: fp asimd\n"}, None),  # Arm has no such flag
        ({}, None),
    ],
)
def test_a_hypervisor_is_told_or_unknown(
    tmp_path: Path, files: dict[str, str], expected: bool | None
) -> None:
    device = describe_device(write(tmp_path, {**files, **cpufreq(1, "performance")}))
    assert device.hypervisor is expected
    assert any("hypervisor" in note for note in device.notes) == (expected is True)


def test_frequencies_come_from_cpufreq_or_from_cpuinfo(tmp_path: Path) -> None:
    cpuinfo = "cpu MHz\t\t: 2596.126\n\ncpu MHz\t\t: 1400.000\n\n"
    device = describe_device(write(tmp_path, {"proc/cpuinfo": cpuinfo}))
    assert device.cpu_hz == (2_596_126_000, 1_400_000_000)
    assert device.clocks_locked is None
    device = describe_device(write(tmp_path, cpufreq(2, "schedutil", now=729600)))
    assert device.cpu_hz == (729_600_000,) * 2
    assert device.clocks_locked is False
    write(tmp_path, cpufreq(2, "performance"))
    assert describe_device(tmp_path).clocks_locked is True


@pytest.mark.parametrize(
    ("name", "value", "turbo"),
    [
        ("intel_pstate/no_turbo", "0", True),
        ("intel_pstate/no_turbo", "1", False),
        ("cpufreq/boost", "1", True),
        ("cpufreq/boost", "0", False),
        ("cpufreq/boost", "", None),
    ],
)
def test_turbo_is_noted(tmp_path: Path, name: str, value: str, turbo: bool | None) -> None:
    write(tmp_path, cpufreq(1, "performance"))
    write(tmp_path, {f"sys/devices/system/cpu/{name}": f"{value}\n"})
    device = describe_device(tmp_path)
    assert device.turbo is turbo
    assert [note.split(",")[0] for note in device.notes] == (["turbo is on"] if turbo else [])


def test_nvpmodel_is_asked_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask_nvpmodel("no-such-program") is None
    program = tmp_path / "nvpmodel"
    program.write_text("#!/bin/sh\n[ \"$1\" = -q ] && printf 'NV Power Mode: MAXN\\n0\\n'\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert ask_nvpmodel() == "NV Power Mode: MAXN\n0\n"
    assert current_device().power_mode == PowerMode(0, "MAXN")
    assert current_device(tmp_path).power_mode is None  # a recorded tree is not this machine
    program.write_text("#!/bin/sh\nexit 1\n")
    assert ask_nvpmodel() is None


def test_the_release_of_an_installed_package(tmp_path: Path) -> None:
    def status(state: str) -> str:
        return (
            "Package: bash\nStatus: install ok installed\nVersion: 5.1-6\n\n"
            f"Package: nvidia-l4t-core\nStatus: {state}\nArchitecture: arm64\n"
            "Version: 36.4.3-20250107174145\nDescription: NVIDIA Core Package\n it: holds files\n"
        )

    write(tmp_path, {"var/lib/dpkg/status": status("install ok installed")})
    assert l4t_release(tmp_path) == "36.4.3"
    write(tmp_path, {"var/lib/dpkg/status": status("deinstall ok config-files")})
    assert l4t_release(tmp_path) is None


@pytest.mark.parametrize("l4t", [None, "36.3.0", "40.1", "36"])
def test_an_unknown_release_has_no_jetpack(l4t: str | None) -> None:
    assert jetpack_of(l4t) is None


def test_power_mode_from_the_status_file(tmp_path: Path) -> None:
    write(tmp_path, {"var/lib/nvpmodel/status": "pmode:0002 fmode:fan_mode_quiet\n"})
    assert read_power_mode(tmp_path) == PowerMode(2, None)
    write(tmp_path, {"etc/nvpmodel.conf": CONFIG})
    mode = read_power_mode(tmp_path)
    assert mode == PowerMode(2, "MAXN_SUPER")
    assert mode.unlimited


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("NV Power Mode: MAXN\n0\n", PowerMode(0, "MAXN")),
        ("NV Fan Mode:quiet\nNV Power Mode: MODE_15W_6CORE\n2\n", PowerMode(2, "MODE_15W_6CORE")),
        ("NVPM VERB: Current mode: NV Power Mode: 30W\n", PowerMode(None, "30W")),
        ("NVPM WARN: fan mode is not set!\n", None),
        ("", None),
    ],
)
def test_power_mode_as_printed(printed: str, expected: PowerMode | None) -> None:
    assert parse_power_mode(printed) == expected


def test_notes_on_clocks_mode_and_heat(tmp_path: Path) -> None:
    board = BOARDS["orin-nano-6"]
    write(tmp_path, {**board.files(), **cpufreq(6, "schedutil")})
    write(tmp_path, {"var/lib/nvpmodel/status": "pmode:0000\n", "etc/nvpmodel.conf": CONFIG})
    write(tmp_path, cooling(0, "pwm-fan", 3, 4) | cooling(1, "cpufreq-cpu0", 2, 24))
    clocks, mode, heat = describe_device(tmp_path).notes
    assert clocks.startswith("clocks not locked: governor schedutil on 6 of 6 CPUs")
    assert "sudo jetson_clocks" in clocks
    assert mode.startswith("power mode 15W (mode 0), which caps clocks and cores")
    assert heat.startswith("throttled by heat: cpufreq-cpu0 at 2 of 24: ")


def test_nothing_to_note_when_clocks_are_locked(tmp_path: Path) -> None:
    # jetson_clocks raises the lower limit to the upper one and leaves the governor.
    files = cpufreq(6, "schedutil", low=1728000, now=1728000)
    write(tmp_path, {**BOARDS["orin-nano-6"].files(), **files})
    write(tmp_path, cooling(0, "pwm-fan", 4, 4) | cooling(1, "cpufreq-cpu0", 0, 24))
    device = describe_device(tmp_path, nvpmodel="NV Power Mode: MAXN_SUPER\n2\n")
    assert device.notes == ()
    assert [clock.current_hz for clock in device.clocks] == [1_728_000_000] * 6


def test_governors_that_differ_are_counted_apart(tmp_path: Path) -> None:
    write(tmp_path, cpufreq(12, "powersave") | cpufreq(3, "performance"))
    device = describe_device(tmp_path)
    assert [clock.cpu for clock in device.clocks] == list(range(12))
    (note,) = device.notes
    assert "governor powersave on 9 of 12 CPUs" in note
    assert "cpupower frequency-set -g performance" in note


@pytest.mark.parametrize("gpu", ["17000000.gpu", "17000000.ga10b", "gpu-gpc-0", "17000000.gv11b"])
def test_the_clock_of_the_gpu(tmp_path: Path, gpu: str) -> None:
    write(tmp_path, cpufreq(1, "performance"))
    write(tmp_path, devfreq("154c0000.nvenc", "userspace", 100, 200, 100))
    write(tmp_path, devfreq(gpu, "nvhost_podgov", 306_000_000, 1_300_500_000, 306_000_000))
    device = describe_device(tmp_path)
    assert [engine.gpu for engine in device.engines] == [
        engine.name == gpu for engine in device.engines
    ]
    assert {engine.name: engine.current_hz for engine in device.engines}[gpu] == 306_000_000
    (note,) = device.notes
    assert note.startswith(f"GPU clock not locked ({gpu})")
    write(tmp_path, devfreq(gpu, "nvhost_podgov", 1_300_500_000, 1_300_500_000, 1_300_500_000))
    assert describe_device(tmp_path).notes == ()


def test_temperatures(tmp_path: Path) -> None:
    write(tmp_path, zone(10, "tj-thermal", 52968) | zone(2, "cv0-thermal", -256000))
    write(tmp_path, zone(0, "cpu-thermal", 51000))
    (tmp_path / "sys/class/thermal/thermal_zone0/temp").write_text("no number")
    zones = describe_device(tmp_path).zones
    assert [(zone.kind, zone.millidegrees) for zone in zones] == [
        ("cpu-thermal", None),
        ("cv0-thermal", None),
        ("tj-thermal", 52968),
    ]
