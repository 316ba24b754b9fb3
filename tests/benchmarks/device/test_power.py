from pathlib import Path

import pytest

from dspctl.benchmarks.device.board_power import board_power, unknown_rails
from dspctl.benchmarks.device.ina3221 import read_rails, unreadable_rails
from tests.benchmarks.device.boards import hwmon, iio, write


def test_orin_nano_measures_its_input(tmp_path: Path) -> None:
    rails = (("VDD_IN", 5040, 800), ("VDD_CPU_GPU_CV", 5040, 100), ("VDD_SOC", 5040, 280))
    read = read_rails(write(tmp_path, hwmon("1-0040", *rails)))
    # mV times mA, by hand: 5.040 V * 0.800 A = 4.032 W
    assert read == pytest.approx({"VDD_IN": 4.032, "VDD_CPU_GPU_CV": 0.504, "VDD_SOC": 1.4112})
    power = board_power(read)
    assert power is not None
    assert (power.watts, power.rails, power.total) == (4.032, ("VDD_IN",), True)
    assert "into the module" in power.meaning


def test_agx_orin_has_no_total(tmp_path: Path) -> None:
    first = (("VDD_GPU_SOC", 20000, 250), ("VDD_CPU_CV", 20000, 160), ("VIN_SYS_5V0", 5000, 1100))
    second = (("NC", 0, 0), ("VDDQ_VDD2_1V8AO", 5000, 200), ("NC", 0, 0))
    read = read_rails(write(tmp_path, hwmon("1-0040", *first) | hwmon("1-0041", *second)))
    assert "NC" not in read
    power = board_power(read)
    assert power is not None
    assert power.watts == pytest.approx(5.0 + 3.2 + 5.5 + 1.0)
    assert not power.total
    assert power.rails == ("VDDQ_VDD2_1V8AO", "VDD_CPU_CV", "VDD_GPU_SOC", "VIN_SYS_5V0")
    assert "not the power of the board" in power.meaning


def test_thor(tmp_path: Path) -> None:
    first = (("VDD_GPU", 12000, 100), ("VDD_CPU_SOC_MSS", 12000, 200), ("VIN_SYS_5V0", 5000, 900))
    files = hwmon("2-0040", *first) | hwmon("2-0044", ("VIN", 20000, 1500))
    power = board_power(read_rails(write(tmp_path, files)))
    assert power is not None
    assert (power.watts, power.rails) == (30.0, ("VIN",))


@pytest.mark.parametrize("device", ["iio:device0", "iio_device"])
def test_jetpack_4(tmp_path: Path, device: str) -> None:
    nano = (("POM_5V_IN", 933), ("POM_5V_GPU", 0), ("POM_5V_CPU", 84))
    read = read_rails(write(tmp_path, iio("6-0040", device, *nano)))
    assert read == {"POM_5V_IN": 0.933, "POM_5V_GPU": 0.0, "POM_5V_CPU": 0.084}


def test_one_device_under_two_names_is_read_once(tmp_path: Path) -> None:
    files = iio("0-0041", "iio:device1", ("VDD_IN", 1038))
    read = read_rails(write(tmp_path, files | iio("0-0041", "iio_device", ("VDD_IN", 1038))))
    assert read == {"VDD_IN": 1.038}


def test_xavier_on_two_sensors(tmp_path: Path) -> None:
    top = (("GPU", 19000, 60), ("CPU", 19000, 20), ("SOC", 19000, 130))
    bottom = (("CV", 19000, 0), ("VDDRQ", 19000, 10), ("SYS5V", 5000, 540))
    read = read_rails(write(tmp_path, hwmon("1-0040", *top) | hwmon("1-0041", *bottom)))
    assert list(read) == ["GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"]
    assert sum(read.values()) == pytest.approx(1.14 + 0.38 + 2.47 + 0 + 0.19 + 2.7)


def test_a_rail_that_cannot_be_read_is_not_zero(tmp_path: Path) -> None:
    write(tmp_path, hwmon("1-0040", ("VDD_GPU_SOC", 20000, 250), ("VDD_CPU_CV", 20000, 160)))
    (tmp_path / "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3/curr2_input").write_text("")
    assert read_rails(tmp_path) == {"VDD_GPU_SOC": 5.0}
    assert unreadable_rails(tmp_path) == ("VDD_CPU_CV",)


def test_a_rail_that_is_unreadable_keeps_its_name_to_itself(tmp_path: Path) -> None:
    files = hwmon("1-0040", ("VDD", 1000, 1000)) | hwmon("1-0041", ("VDD", 1000, 2000))
    write(tmp_path, files)
    (tmp_path / "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3/in1_input").write_text("")
    assert read_rails(tmp_path) == {"VDD (1-0041)": 2.0}
    assert unreadable_rails(tmp_path) == ("VDD",)


def test_rails_without_documentation_are_told() -> None:
    assert unknown_rails(["VDD_NEW", "VDD_IN", "GPU", "VDD_SOC (1-0041)"]) == ("VDD_NEW",)


def test_one_label_on_two_sensors_keeps_both(tmp_path: Path) -> None:
    files = hwmon("1-0040", ("VDD", 1000, 1000)) | hwmon("1-0041", ("VDD", 1000, 2000))
    assert read_rails(write(tmp_path, files)) == {"VDD": 1.0, "VDD (1-0041)": 2.0}


def test_no_sensor(tmp_path: Path) -> None:
    assert read_rails(tmp_path) == {}
    assert board_power({}) is None
