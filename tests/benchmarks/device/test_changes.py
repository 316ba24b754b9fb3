from pathlib import Path

from dspctl.benchmarks.device.changes import compare
from dspctl.benchmarks.device.identity import describe_device
from tests.benchmarks.device.boards import BOARDS, cooling, cpufreq, write, zone


def test_nothing_happened(tmp_path: Path) -> None:
    write(tmp_path, BOARDS["orin-nano-6"].files() | cpufreq(2, "schedutil"))
    write(tmp_path, zone(0, "cpu-thermal", 48000) | cooling(0, "cpufreq-cpu0", 0, 24))
    before = describe_device(tmp_path)
    write(tmp_path, zone(0, "cpu-thermal", 52900))
    assert compare(before, describe_device(tmp_path)) == ()


def test_heat_and_what_it_did(tmp_path: Path) -> None:
    write(tmp_path, BOARDS["orin-nano-6"].files() | cpufreq(2, "schedutil"))
    write(tmp_path, zone(0, "cpu-thermal", 48000) | zone(1, "gpu-thermal", 47000))
    write(tmp_path, cooling(0, "cpufreq-cpu0", 0, 24) | cooling(1, "pwm-fan", 0, 4))
    before = describe_device(tmp_path)
    write(tmp_path, zone(0, "cpu-thermal", 60500) | zone(1, "gpu-thermal", 53000))
    write(tmp_path, cooling(0, "cpufreq-cpu0", 5, 24) | cooling(1, "pwm-fan", 4, 4))
    write(tmp_path, cpufreq(2, "schedutil", high=1190400))
    warmed, throttled, lowered = compare(before, describe_device(tmp_path))
    assert warmed.startswith("cpu-thermal warmed by 12.5 °C, from 48.0 to 60.5 °C")
    assert "cpufreq-cpu0 at 5 of 24" in throttled
    assert "fan" not in throttled
    assert "fell on 2 of 2 CPUs" in lowered
    assert "to 1190 from 1728 MHz" in lowered


def test_throttling_of_x86_cores_is_counted(tmp_path: Path) -> None:
    counter = "sys/devices/system/cpu/cpu{}/thermal_throttle/core_throttle_count"
    write(tmp_path, {counter.format(0): "3\n", counter.format(1): "5\n"})
    before = describe_device(tmp_path)
    write(tmp_path, {counter.format(1): "9\n"})
    (sentence,) = compare(before, describe_device(tmp_path))
    assert "slowed cores down 4 times" in sentence


def test_changed_settings(tmp_path: Path) -> None:
    write(tmp_path, BOARDS["orin-nano-6"].files() | cpufreq(1, "schedutil"))
    before = describe_device(tmp_path)
    write(tmp_path, cpufreq(1, "performance"))
    after = describe_device(tmp_path, nvpmodel="NV Power Mode: MAXN\n0\n")
    mode, governors = compare(before, after)
    assert "from unknown to MAXN (mode 0)" in mode
    assert "governors changed" in governors


def test_different_devices_are_not_compared(tmp_path: Path) -> None:
    orin = describe_device(write(tmp_path / "a", BOARDS["orin-nano-6"].files()))
    thor = describe_device(write(tmp_path / "b", BOARDS["thor-7"].files()))
    (sentence,) = compare(orin, thor)
    assert "different devices" in sentence
