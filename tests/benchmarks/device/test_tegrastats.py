import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspctl.benchmarks.device.board_power import board_power
from dspctl.benchmarks.device.tegrastats import Reading, parse_tegrastats

MIB = 1024 * 1024
AGX_ORIN_7 = (
    "07-25-2026 09:08:28 RAM 20642/62817MB (lfb 1x2MB) CPU [23%@2201,…] EMC_FREQ 3%@3199 "
    "GR3D_FREQ 12%@[1300,1300] … cpu@52.968C/52.968C … VDD_GPU_SOC 5139mW/5139mW/5139mW "
    "VDD_CPU_CV 3268mW/… VIN_SYS_5V0 5500mW/…"
)
XAVIER = (
    "… EMC_FREQ 0% GR3D_FREQ 12% … GPU 1155/1155 CPU 385/385 SOC 2504/2503 CV 0/0 VDDRQ 192/192 "
    "SYS5V 2692/2692"
)
# The form of a whole line of JetPack 4, with made-up loads.
TX2 = (
    "RAM 1404/7860MB (lfb 236x4MB) SWAP 0/3930MB (cached 0MB) CPU [0%@345,off,12%@960,0%@345] "
    "EMC_FREQ 0% GR3D_FREQ 0% PLL@35.5C MCPU@35.5C PMIC@100C thermal@34.1C VDD_SYS_GPU 153/153 "
    "VDD_4V0_WIFI 0/0 VDD_IN 1649/1649 VDD_SYS_CPU 306/306"
)


def parsed(line: str) -> Reading:
    reading = parse_tegrastats(line)
    assert reading is not None
    return reading


def test_agx_orin_jetpack_7() -> None:
    reading = parsed(AGX_ORIN_7)
    assert reading.at == "07-25-2026 09:08:28"
    assert (reading.ram_used_bytes, reading.ram_total_bytes) == (20642 * MIB, 62817 * MIB)
    assert (reading.cpu_load_share, reading.cpu_hz) == ((0.23,), (2_201_000_000,))
    assert (reading.emc_load_share, reading.emc_hz) == (0.03, 3_199_000_000)
    assert (reading.gpu_load_share, reading.gpu_hz) == (0.12, (1_300_000_000,) * 2)
    assert reading.temperatures_c == {"cpu": 52.968}
    assert reading.rails_w == {"VDD_GPU_SOC": 5.139, "VDD_CPU_CV": 3.268, "VIN_SYS_5V0": 5.5}
    assert reading.unknown == ("(lfb 1x2MB)", "…", "…", "…")
    assert reading.missing == ()


def test_orin_jetpack_6() -> None:
    reading = parsed("GR3D_FREQ 10%@1300 VDD_GPU_SOC 5139mW/5139mW")
    assert (reading.gpu_load_share, reading.gpu_hz) == (0.1, (1_300_000_000,))
    assert reading.rails_w == {"VDD_GPU_SOC": 5.139}
    assert (reading.at, reading.ram_used_bytes, reading.emc_load_share) == (None, None, None)
    assert reading.missing == (
        "at",
        "temperatures_c",
        "emc_load_share",
        "emc_hz",
        "cpu_load_share",
        "cpu_hz",
        "ram_used_bytes",
        "ram_total_bytes",
    )


def test_thor_prints_no_load() -> None:
    reading = parsed(
        "GR3D_FREQ @[1000,1000,1000] VDD_GPU 1000mW/1000mW/1000mW VDD_CPU_SOC_MSS 2000mW/2000mW "
        "VIN_SYS_5V0 3000mW/3000mW VIN 9000mW/9000mW"
    )
    assert reading.gpu_load_share is None
    assert reading.gpu_hz == (1_000_000_000,) * 3
    power = board_power(reading.rails_w)
    assert power is not None
    assert (power.watts, power.rails, power.total) == (9.0, ("VIN",), True)


def test_xavier_prints_no_units() -> None:
    reading = parsed(XAVIER)
    assert (reading.emc_load_share, reading.emc_hz) == (0.0, None)
    assert (reading.gpu_load_share, reading.gpu_hz) == (0.12, ())
    assert reading.rails_w == {
        "GPU": 1.155,
        "CPU": 0.385,
        "SOC": 2.504,
        "CV": 0.0,
        "VDDRQ": 0.192,
        "SYS5V": 2.692,
    }
    power = board_power(reading.rails_w)
    assert power is not None
    assert not power.total
    assert power.watts == pytest.approx(6.928)  # 1155 + 385 + 2504 + 0 + 192 + 2692 mW
    assert "sum of the rails CPU, CV, GPU, SOC, SYS5V, VDDRQ" in power.meaning


@pytest.mark.parametrize(
    ("line", "rails", "total"),
    [
        (
            "POM_5V_IN 933/933 POM_5V_GPU 0/0 POM_5V_CPU 84/84",
            {"POM_5V_IN": 0.933, "POM_5V_GPU": 0.0, "POM_5V_CPU": 0.084},
            "POM_5V_IN",
        ),
        ("VDD_IN 1038/1134", {"VDD_IN": 1.038}, "VDD_IN"),
        (
            "VDD_IN 4000mW/4000mW VDD_CPU_GPU_CV 500mW/500mW VDD_SOC 1400mW/1400mW",
            {"VDD_IN": 4.0, "VDD_CPU_GPU_CV": 0.5, "VDD_SOC": 1.4},
            "VDD_IN",
        ),
    ],
    ids=["nano", "tx2", "orin-nx-and-nano"],
)
def test_boards_that_measure_their_input(line: str, rails: dict[str, float], total: str) -> None:
    reading = parsed(line)
    assert reading.rails_w == rails
    assert reading.unknown == ()
    power = board_power(reading.rails_w)
    assert power is not None
    assert (power.watts, power.rails, power.total) == (rails[total], (total,), True)


def test_a_whole_line_of_a_tx2() -> None:
    reading = parsed(TX2)
    assert reading.cpu_load_share == (0.0, None, 0.12, 0.0)
    assert reading.cpu_hz == (345_000_000, None, 960_000_000, 345_000_000)
    assert reading.temperatures_c["thermal"] == 34.1
    assert len(reading.rails_w) == 4
    assert reading.unknown == ("(lfb 236x4MB)", "SWAP", "0/3930MB", "(cached 0MB)")


@pytest.mark.parametrize(
    ("value", "load", "hz"),
    [("0%", 0.0, None), ("3%@3199", 0.03, 3_199_000_000), ("@3199", None, 3_199_000_000)],
)
def test_the_memory_controller(value: str, load: float | None, hz: int | None) -> None:
    reading = parsed(f"EMC_FREQ {value}")
    assert (reading.emc_load_share, reading.emc_hz, reading.unknown) == (load, hz, ())


def test_three_values_a_rail() -> None:
    # Now, mean and a third one; the first is the power now.
    assert parsed("VDD_GPU_SOC 5139mW/5000mW/6000mW").rails_w == {"VDD_GPU_SOC": 5.139}


def test_one_clock_for_all_cpus() -> None:
    assert parsed("CPU [7%,0%]@1224").cpu_hz == (1_224_000_000,) * 2


def test_a_sensor_that_is_off_has_no_temperature() -> None:
    assert parsed("CV0@-256C CPU@-3.5C").temperatures_c == {"CPU": -3.5}


def test_an_unknown_rail_is_reported_and_an_unknown_field_kept() -> None:
    reading = parsed("VDD_NEW 5mW/6mW NVENC off APE 174 VDD_ODD 5W")
    assert reading.rails_w == {"VDD_NEW": 0.005}
    assert reading.unknown == ("NVENC", "off", "APE", "174", "VDD_ODD", "5W")


@pytest.mark.parametrize("line", ["", "tegrastats: command not found", "07-25-2026", "GR3D_FREQ"])
def test_a_line_that_is_none(line: str) -> None:
    assert parse_tegrastats(line) is None


def test_numbers_without_end() -> None:
    digits = "9" * 5000  # Python refuses to convert these
    assert parse_tegrastats(f"RAM {digits}/1MB VDD_IN {digits}mW cpu@{digits}C") is None


@given(st.text())
def test_no_text_raises(text: str) -> None:
    parse_tegrastats(text)


PIECES = [*AGX_ORIN_7.split(), *XAVIER.split(), *TX2.split(), "off", "@", "[", "]", "%", "٣mW", "²"]


@given(st.lists(st.sampled_from(PIECES)), st.sampled_from([" ", "", ",", "/", "\0"]))
def test_no_shuffled_line_raises(pieces: list[str], glue: str) -> None:
    reading = parse_tegrastats(glue.join(pieces))
    if reading is not None:
        assert all(watts >= 0 for watts in reading.rails_w.values())
        assert len(reading.cpu_hz) == len(reading.cpu_load_share)
