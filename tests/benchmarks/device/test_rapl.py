from pathlib import Path

import pytest

from dspctl.benchmarks.device.rapl import joules_between, package_energy, read_counters
from tests.benchmarks.device.boards import write

RANGE_UJ = 262_143_328_850  # what an Intel processor of today prints


def domain(number: str, name: str, energy: str) -> dict[str, str]:
    folder = f"sys/class/powercap/intel-rapl:{number}"
    return {
        f"{folder}/name": f"{name}\n",
        f"{folder}/energy_uj": f"{energy}\n",
        f"{folder}/max_energy_range_uj": f"{RANGE_UJ}\n",
    }


def test_packages_are_added_and_their_parts_are_not(tmp_path: Path) -> None:
    parts = domain("0:0", "core", "7") | domain("2", "psys", "7")
    write(tmp_path, parts | domain("0", "package-0", "1000000") | domain("1", "package-1", "5"))
    before = read_counters(tmp_path)
    write(tmp_path, domain("0", "package-0", "3500000") | domain("1", "package-1", "500005"))
    write(tmp_path, domain("0:0", "core", "2000000") | domain("2", "psys", "9000000"))
    energy = package_energy(before, read_counters(tmp_path))
    assert energy.joules == pytest.approx(2.5 + 0.5)
    assert energy.domains == ("intel-rapl:0", "intel-rapl:1")
    assert energy.reason is None


def test_a_counter_that_started_again(tmp_path: Path) -> None:
    (before,) = read_counters(write(tmp_path, domain("0", "package-0", str(RANGE_UJ - 400_000))))
    (after,) = read_counters(write(tmp_path, domain("0", "package-0", "600000")))
    assert joules_between(before, after) == pytest.approx(1.0)
    (tmp_path / "sys/class/powercap/intel-rapl:0/max_energy_range_uj").unlink()
    (without_range,) = read_counters(tmp_path)
    assert joules_between(before, without_range) is None


def test_unreadable_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, domain("0", "package-0", "1"))

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:  # the tests may run as root, whom no mode bits stop
        patch.setattr(Path, "read_text", refuse)
        patch.setattr(Path, "read_bytes", refuse)
        (counter,) = read_counters(tmp_path)
    assert counter.energy_uj is None
    assert counter.reason is not None
    assert "run as root" in counter.reason


def test_one_unreadable_package_leaves_no_sum(tmp_path: Path) -> None:
    write(tmp_path, domain("0", "package-0", "1") | domain("1", "package-1", "nothing"))
    counters = read_counters(tmp_path)
    energy = package_energy(counters, counters)
    assert energy.joules is None
    assert energy.reason == "energy_uj of intel-rapl:1 holds no number"


def test_a_machine_without_counters(tmp_path: Path) -> None:
    energy = package_energy(read_counters(tmp_path), read_counters(tmp_path))
    assert (energy.joules, energy.domains) == (None, ())
    assert "no energy counters" in str(energy.reason)
