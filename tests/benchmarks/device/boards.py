"""Trees of files as the boards' kernels show them, written from their documented layouts."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


def write(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@dataclass(frozen=True)
class Board:
    """What identifies a board, and what a reader must make of it."""

    model: str
    compatible: tuple[str, ...]
    release: str
    cores: tuple[tuple[str, str], ...]
    l4t: str
    jetpack: str | None
    cpu: str

    def files(self) -> dict[str, str]:
        cpuinfo = "".join(
            f"processor\t: {number}\nmodel name\t: ARMv8 Processor rev 1 (v8l)\n"
            f"Features\t: fp asimd aes\nCPU implementer\t: {implementer}\nCPU architecture: 8\n"
            f"CPU variant\t: 0x0\nCPU part\t: {part}\nCPU revision\t: 1\n\n"
            for number, (implementer, part) in enumerate(self.cores)
        )
        return {
            "proc/device-tree/model": self.model + "\0",
            "proc/device-tree/compatible": "".join(entry + "\0" for entry in self.compatible),
            "proc/cpuinfo": cpuinfo,
            "proc/sys/kernel/osrelease": "5.15.148-tegra\n",
            "etc/nv_tegra_release": self.release,
        }


def release_line(major: int, revision: str) -> str:
    return (
        f"# R{major} (release), REVISION: {revision}, GCID: 38968081, BOARD: generic, "
        "EABI: aarch64, DATE: Wed Jan  8 01:49:37 UTC 2025\n# KERNEL_VARIANT: oot\n"
    )


A57, A78AE, V3AE = ("0x41", "0xd07"), ("0x41", "0xd42"), ("0x41", "0xd83")
CARMEL, DENVER = ("0x4e", "0x004"), ("0x4e", "0x003")

BOARDS = {
    "agx-orin-7": Board(
        "NVIDIA Jetson AGX Orin Developer Kit",
        ("nvidia,p3737-0000+p3701-0005", "nvidia,p3701-0005", "nvidia,tegra234"),
        release_line(39, "2"),
        (A78AE,) * 2,
        "39.2",
        "7.2",
        "Cortex-A78AE",
    ),
    "orin-nano-6": Board(
        "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
        ("nvidia,p3768-0000+p3767-0005-super", "nvidia,p3767-0005", "nvidia,tegra234"),
        release_line(36, "4.3"),
        (A78AE,) * 6,
        "36.4.3",
        "6.1 or 6.2",
        "Cortex-A78AE",
    ),
    "thor-7": Board(
        "NVIDIA Jetson AGX Thor Developer Kit",
        ("nvidia,p4071-0000+p3834-0008", "nvidia,tegra264"),
        release_line(38, "2.0"),
        (V3AE,) * 2,
        "38.2.0",
        "7.0",
        "Neoverse V3AE",
    ),
    "xavier-5": Board(
        "Jetson-AGX",
        ("nvidia,p2972-0000", "nvidia,tegra194"),
        release_line(35, "4.1"),
        (CARMEL,) * 2,
        "35.4.1",
        "5.1",
        "Carmel",
    ),
    "tx2-4": Board(
        "quill",
        ("nvidia,quill", "nvidia,tegra186"),
        release_line(32, "7.1"),
        (A57, DENVER, DENVER, A57),
        "32.7.1",
        None,
        "Cortex-A57, Denver 2",
    ),
    "nano-4": Board(
        "NVIDIA Jetson Nano Developer Kit",
        ("nvidia,p3450-0000", "nvidia,jetson-nano", "nvidia,tegra210"),
        release_line(32, "7.1"),
        (A57,) * 4,
        "32.7.1",
        None,
        "Cortex-A57",
    ),
}


def cpufreq(
    count: int, governor: str, low: int = 115200, high: int = 1728000, now: int = 729600
) -> dict[str, str]:
    """Frequency policies of *count* CPUs; kilohertz, as the kernel prints them."""
    values = {
        "scaling_governor": governor,
        "scaling_min_freq": low,
        "scaling_max_freq": high,
        "scaling_cur_freq": now,
    }
    return {
        f"sys/devices/system/cpu/cpu{cpu}/cpufreq/{name}": f"{value}\n"
        for cpu in range(count)
        for name, value in values.items()
    }


def devfreq(name: str, governor: str, low: int, high: int, now: int) -> dict[str, str]:
    """An engine's frequency policy; hertz, as the kernel prints them."""
    folder = f"sys/class/devfreq/{name}"
    return {
        f"{folder}/governor": f"{governor}\n",
        f"{folder}/min_freq": f"{low}\n",
        f"{folder}/max_freq": f"{high}\n",
        f"{folder}/cur_freq": f"{now}\n",
    }


def zone(number: int, kind: str, millidegrees: int) -> dict[str, str]:
    folder = f"sys/class/thermal/thermal_zone{number}"
    return {f"{folder}/type": f"{kind}\n", f"{folder}/temp": f"{millidegrees}\n"}


def cooling(number: int, kind: str, state: int, most: int) -> dict[str, str]:
    folder = f"sys/class/thermal/cooling_device{number}"
    return {
        f"{folder}/type": f"{kind}\n",
        f"{folder}/cur_state": f"{state}\n",
        f"{folder}/max_state": f"{most}\n",
    }


def hwmon(chip: str, *channels: tuple[str, int, int]) -> dict[str, str]:
    """An INA3221 from JetPack 5 on: label, millivolts and milliamperes per channel."""
    folder = f"sys/bus/i2c/drivers/ina3221/{chip}/hwmon/hwmon3"
    files = {f"{folder}/name": "ina3221\n"}
    for number, (label, millivolts, milliamperes) in enumerate(channels, start=1):
        files[f"{folder}/in{number}_label"] = f"{label}\n"
        files[f"{folder}/in{number}_input"] = f"{millivolts}\n"
        files[f"{folder}/curr{number}_input"] = f"{milliamperes}\n"
    return files


def iio(chip: str, device: str, *channels: tuple[str, int]) -> dict[str, str]:
    """An INA3221 of JetPack 4: rail and milliwatts per channel."""
    folder = f"sys/bus/i2c/drivers/ina3221x/{chip}/{device}"
    files = {}
    for number, (name, milliwatts) in enumerate(channels):
        files[f"{folder}/rail_name_{number}"] = f"{name}\n"
        files[f"{folder}/in_power{number}_input"] = f"{milliwatts}\n"
    return files
