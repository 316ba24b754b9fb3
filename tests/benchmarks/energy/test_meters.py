import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from dspctl.benchmarks._process import environment
from dspctl.benchmarks.energy.choice import open_meter
from dspctl.benchmarks.energy.meters import CounterMeter, SensorMeter
from dspctl.benchmarks.energy.sampler import Sampler
from dspctl.errors import PowerUnavailable
from tests.benchmarks.device.boards import hwmon, write
from tests.benchmarks.device.test_rapl import domain
from tests.benchmarks.device.test_tegrastats import AGX_ORIN_7, XAVIER
from tests.benchmarks.energy.simulated import Board, tegrastats

QUICK = 0.02


def gone(pid: int) -> bool:
    """Whether a process ends within a few seconds."""
    for _ in range(250):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        # One that nobody has waited for yet is no longer running.
        status = Path(f"/proc/{pid}/status")
        if status.is_file() and "State:\tZ" in status.read_text():
            return True
        time.sleep(0.02)
    return False


@pytest.fixture
def no_tegrastats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)


def test_a_sensor_is_read_while_the_work_runs(tmp_path: Path) -> None:
    board = Board(tmp_path, {"idle": {"VDD_IN": 4.0, "VDD_SOC": 1.0}, "A": {"VDD_IN": 5.5}})
    with closing(open_meter(tmp_path, interval_s=QUICK, averaging_s=0.2)) as meter:
        assert (meter.source, meter.averaging_s) == ("ina3221", 0.2)
        idle = meter.window(lambda: board.idle(0.5))
        busy = meter.window(lambda: board.run("A", 0.5))
    # The board's input alone, and only readings that are of the window.
    assert idle.rails == ("VDD_IN",)
    assert idle.watts == pytest.approx(4.0)
    assert busy.watts == pytest.approx(5.5)
    assert busy.duration_s >= 0.5
    assert "power into the module" in meter.meaning
    assert meter.notes == ()


def test_rails_that_are_unknown_or_silent_are_told(tmp_path: Path) -> None:
    write(tmp_path, hwmon("1-0040", ("VDD_NEW", 5000, 100), ("VDD_SOC", 5000, 200), ("CV", 1, 1)))
    (tmp_path / "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3/curr3_input").write_text("")
    with closing(open_meter(tmp_path, interval_s=QUICK, averaging_s=0)) as meter:
        power = meter.window(lambda: time.sleep(0.2))
        silent, unknown = meter.notes
    assert power.rails == ("VDD_NEW", "VDD_SOC")
    assert power.watts == pytest.approx(1.5)
    assert silent.startswith("the rail CV gives no value")
    assert unknown.startswith("unknown rails (VDD_NEW) are part of the sum")
    assert "sum of the rails VDD_NEW, VDD_SOC" in meter.meaning


def test_a_reading_without_a_rail_is_left_out_and_counted(tmp_path: Path) -> None:
    board = Board(tmp_path, {"idle": {"GPU": 1.0, "CPU": 2.0}})

    def work() -> None:
        time.sleep(0.2)
        current = tmp_path / "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3/curr2_input"
        current.write_text("")
        time.sleep(0.2)

    with closing(open_meter(tmp_path, interval_s=QUICK, averaging_s=0)) as meter:
        power = meter.window(work)
        (note,) = meter.notes
        assert power.watts == pytest.approx(3.0)  # never the one rail that was left
        assert "readings lacked a rail of CPU, GPU" in note
        with pytest.raises(PowerUnavailable, match="gave 0 readings in a window"):
            meter.window(lambda: time.sleep(0.1))
    board.show("idle")


def test_a_window_that_the_sensor_cannot_tell(tmp_path: Path) -> None:
    Board(tmp_path, {"idle": {"VDD_IN": 4.0}})
    with closing(open_meter(tmp_path, interval_s=0.5)) as meter:
        assert meter.shortest_s == pytest.approx(0.43 + 3 * 0.5)
        with pytest.raises(PowerUnavailable, match=r"0 readings .+ use longer windows"):
            meter.window(lambda: None)


@pytest.mark.parametrize(
    ("line", "watts", "rails"),
    [
        # 5139 + 3268 + 5500 mW
        (AGX_ORIN_7, 13.907, ("VDD_CPU_CV", "VDD_GPU_SOC", "VIN_SYS_5V0")),
        (XAVIER, 6.928, ("CPU", "CV", "GPU", "SOC", "SYS5V", "VDDRQ")),
        ("POM_5V_IN 933/933 POM_5V_GPU 0/0 POM_5V_CPU 84/84", 0.933, ("POM_5V_IN",)),
        ("VDD_IN 1038/1134", 1.038, ("VDD_IN",)),
        ("VDD_IN 4000mW/1mW VDD_CPU_GPU_CV 5mW/5mW VDD_SOC 1400mW/1400mW", 4.0, ("VDD_IN",)),
        ("GR3D_FREQ @[1000,1000,1000] VDD_GPU 10mW/1mW VIN 9000mW/9000mW", 9.0, ("VIN",)),
    ],
    ids=["agx-orin", "xavier", "nano", "tx2", "orin-nx", "thor"],
)
def test_every_boards_tegrastats(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    watts: float,
    rails: tuple[str, ...],
) -> None:
    programs = tmp_path / "bin"
    tegrastats(programs, line)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    with closing(open_meter(tmp_path, interval_s=0.1, averaging_s=0)) as meter:
        power = meter.window(lambda: time.sleep(0.3))
        pid = int((programs / "pid").read_text())
    assert meter.source == "tegrastats"
    assert power.rails == rails
    assert power.watts == pytest.approx(watts)
    assert (programs / "interval").read_text() == "100\n"
    assert gone(pid)


def test_tegrastats_without_rails_gives_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    tegrastats(programs, "RAM 1/2MB").write_text("#!/bin/sh\necho RAM 1/2MB\n")
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    write(tmp_path, domain("0", "package-0", "1000000"))
    assert open_meter(tmp_path).source == "rapl"


def test_nothing_stays_when_the_benchmark_is_killed(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    program = tegrastats(programs, "VDD_IN 1038/1134")
    code = (
        "import sys, time; from pathlib import Path; "
        "from dspctl.benchmarks.energy.sampler import Sampler; "
        "sampler = Sampler(Path('/'), program=sys.argv[1], interval_s=0.1); "
        "sampler.first(); print(sampler._process.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(program)], stdout=subprocess.PIPE, env=environment()
    ) as benchmark:
        assert benchmark.stdout is not None
        sampler = int(benchmark.stdout.readline())
        benchmark.kill()
    assert gone(sampler)
    assert gone(int((programs / "pid").read_text()))


@pytest.mark.usefixtures("no_tegrastats")
def test_counters_are_read_before_and_after(tmp_path: Path) -> None:
    write(tmp_path, domain("0", "package-0", "1000000") | domain("0:0", "core", "1"))
    meter = open_meter(tmp_path)
    assert (meter.source, meter.averaging_s) == ("rapl", 0)

    def work() -> None:
        time.sleep(0.1)
        write(tmp_path, domain("0", "package-0", "3500000") | domain("0:0", "core", "900000"))

    power = meter.window(work)
    assert power.watts * power.duration_s == pytest.approx(2.5)  # 3.5 J - 1.0 J, without the part
    assert power.rails == ("intel-rapl:0",)
    (tmp_path / "sys/class/powercap/intel-rapl:0/energy_uj").write_text("nothing")
    with pytest.raises(PowerUnavailable, match="holds no number"):
        meter.window(lambda: None)


@pytest.mark.usefixtures("no_tegrastats")
def test_the_sensor_goes_before_the_counters(tmp_path: Path) -> None:
    Board(tmp_path, {"idle": {"VDD_IN": 4.0}})
    write(tmp_path, domain("0", "package-0", "1000000"))
    with closing(open_meter(tmp_path, interval_s=QUICK)) as meter:
        assert isinstance(meter, SensorMeter)
    assert isinstance(CounterMeter(tmp_path), CounterMeter)


@pytest.mark.usefixtures("no_tegrastats")
def test_a_machine_without_any_says_why_of_each(tmp_path: Path) -> None:
    with pytest.raises(PowerUnavailable) as caught:
        open_meter(tmp_path)
    assert "no power sensor (INA3221)" in str(caught.value)
    assert "no program tegrastats" in str(caught.value)
    assert "no energy counters (intel-rapl)" in str(caught.value)
    write(tmp_path, domain("0", "package-0", "nothing"))
    write(tmp_path, hwmon("1-0040", ("VDD_IN", 5000, 1)))
    (tmp_path / "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3/in1_input").unlink()
    with pytest.raises(PowerUnavailable, match=r"rails VDD_IN give no value.+holds no number"):
        open_meter(tmp_path)


def test_a_sampler_that_ends_without_a_reading(tmp_path: Path) -> None:
    sampler = Sampler(tmp_path, program="no-such-program", interval_s=QUICK)
    with closing(sampler), pytest.raises(PowerUnavailable, match="ended without showing"):
        sampler.first()
