import json
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import pytest

from dspctl.benchmarks.energy.choice import open_meter
from dspctl.benchmarks.energy.measure import EnergyFound, check_energy, measure_energy
from dspctl.benchmarks.energy.meters import Power
from dspctl.benchmarks.energy.record import Energy
from dspctl.benchmarks.energy.windows import Window
from dspctl.benchmarks.record.decode import decode
from dspctl.errors import BackendUnavailable, ConfigProblem, PowerUnavailable
from tests.benchmarks.energy.simulated import Board


class Scripted:
    """A meter without a sensor: the power follows from what runs, and time from what is asked.

    Args:
        watts: subject → power; what is not in it is idle.
        drift_w: what every window adds to the one before.
        fails_after: windows until the sensor stops telling.
    """

    source, averaging_s, shortest_s, meaning = "scripted", 0.43, 1.0, "power of nothing"
    notes = ("a note of the meter",)

    def __init__(
        self, watts: Mapping[str, float], *, drift_w: float = 0.0, fails_after: int = 1000
    ) -> None:
        self._watts, self._drift_w, self._fails_after = watts, drift_w, fails_after
        self.ran: list[str] = []
        self.now = "idle"
        self.closed = False

    def idle(self, seconds: float) -> None:
        self.now = "idle"

    def run(self, label: str, seconds: float) -> int:
        self.now = label
        return round(100 * seconds)

    def window(self, work: Callable[[], object]) -> Power:
        if len(self.ran) == self._fails_after:
            raise PowerUnavailable("the sensor fell silent")
        work()
        watts = self._watts[self.now] + self._drift_w * (len(self.ran) // 3)
        self.ran.append(self.now)
        return Power(watts, 60.0, ("VDD_IN",))

    def close(self) -> None:
        self.closed = True


def test_what_cannot_be_measured_is_refused_before_anything_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter = Scripted({})
    monkeypatch.setattr("dspctl.benchmarks.energy.measure.open_meter", lambda root: meter)
    check_energy(("A", "B"), 60.0)
    assert meter.closed
    assert meter.ran == []
    with pytest.raises(ConfigProblem, match=r"windows of 0\.5 s are too short for scripted"):
        check_energy(("A", "B"), 0.5)
    with pytest.raises(ConfigProblem, match="none of them 'idle'"):
        check_energy(("A", "idle"), 60.0)
    monkeypatch.undo()
    check_energy(("A", "B"), 0.5, tmp_path)  # without a sensor there is nothing to refuse


def measured(meter: Scripted, **changes: object) -> EnergyFound:
    values: dict[str, object] = {"hz": 100.0, "seconds": 60.0, "meter": meter, "idle": meter.idle}
    return measure_energy(("A", "B"), "native", meter.run, **{**values, **changes})  # type: ignore[arg-type]


def test_windows_take_turns_and_idle_is_subtracted() -> None:
    meter = Scripted({"idle": 4.0, "A": 5.0, "B": 4.2}, drift_w=0.5)
    seen: list[tuple[int, int]] = []
    kept: list[tuple[Window, ...]] = []
    found = measured(
        meter,
        rounds=5,
        on_progress=lambda done, total: seen.append((done, total)),
        on_window=kept.append,
    )
    assert meter.ran == ["idle", "A", "B", "idle", "B", "A"] * 2 + ["idle", "A", "B"]
    assert seen == [(done, 15) for done in range(1, 16)]
    assert [len(one) for one in kept] == list(range(1, 16))
    assert kept[-1] == found.windows
    a, b = found.energy
    # (5.0 W - 4.0 W) * 60 s / 6000 = 10 mJ; the drift from round to round cancels.
    assert (a.joules.estimate, b.joules.estimate) == pytest.approx((0.01, 0.002))
    assert (a.joules.low, a.joules.high) == pytest.approx((0.01, 0.01))
    # Means over rounds whose base is 0, 0.5, 1, 1.5 and 2 W higher.
    assert (a.idle_w, a.busy_w, b.busy_w) == pytest.approx((5.0, 6.0, 5.2))
    assert (a.label, a.backend, a.hz, a.rounds, a.window_s) == ("A", "native", 100.0, 5, 60.0)
    assert (a.source, a.rails, a.meaning) == ("scripted", ("VDD_IN",), "power of nothing")
    assert a.notes == ("a note of the meter",)
    (ratio,) = found.ratios
    assert (ratio.quantity, ratio.backend, ratio.baseline, ratio.subject) == (
        "energy",
        "native",
        "A",
        "B",
    )
    assert ratio.value.estimate == pytest.approx(5.0)
    assert found.skipped == ()
    assert not meter.closed  # the caller's
    assert decode(Energy, json.loads(json.dumps(asdict(a))), "energy") == a


def test_a_ratio_of_noise_is_a_note() -> None:
    found = measured(Scripted({"idle": 4.0, "A": 5.0, "B": 4.0}))
    assert found.ratios == ()
    assert [one.label for one in found.energy] == ["A", "B"]
    assert any(
        "no ratio of energy to 'A': 'B' used no more" in note for note in found.energy[1].notes
    )
    assert not any("no ratio" in note for note in found.energy[0].notes)


def test_a_sensor_that_falls_silent_leaves_its_windows_and_a_reason() -> None:
    found = measured(Scripted({"idle": 4.0, "A": 5.0, "B": 4.2}, fails_after=4))
    assert (len(found.windows), found.energy, found.ratios) == (4, (), ())
    assert [(one.label, one.backend) for one in found.skipped] == [("A", "native"), ("B", "native")]
    assert "the sensor fell silent" in found.skipped[0].reason


def test_a_subject_that_never_ran_is_skipped() -> None:
    meter = Scripted({"idle": 4.0, "A": 5.0, "B": 4.2})

    def run(label: str, seconds: float) -> int:
        return meter.run(label, seconds) if label == "A" else 0

    found = measure_energy(
        ("A", "B"), "c", run, hz=100, seconds=60, meter=meter, idle=meter.idle, rounds=3
    )
    assert [one.label for one in found.energy] == ["A"]
    (skipped,) = found.skipped
    assert (skipped.label, skipped.backend) == ("B", "c")
    assert "no inference of 'B'" in skipped.reason


def test_what_the_loop_raises_is_the_callers() -> None:
    meter = Scripted({"idle": 4.0})
    kept: list[tuple[Window, ...]] = []

    def run(label: str, seconds: float) -> int:
        raise BackendUnavailable("it stopped")

    with pytest.raises(BackendUnavailable, match="it stopped"):
        measure_energy(
            ("A",),
            "c",
            run,
            hz=100,
            seconds=60,
            meter=meter,
            idle=meter.idle,
            on_window=kept.append,
        )
    assert [[window.subject for window in one] for one in kept] == [["idle"]]


@pytest.mark.parametrize(
    ("labels", "changes", "message"),
    [
        ((), {}, "different names"),
        (("A", "A"), {}, "different names"),
        (("A", "idle"), {}, "none of them 'idle'"),
        (("A",), {"rounds": 2}, "at least 3 rounds"),
        (("A",), {"seconds": float("inf")}, "positive number"),
        (("A",), {"seconds": 0.9}, r"too short for scripted, which needs 1\.0 s: use 60 s"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    labels: tuple[str, ...], changes: dict[str, float], message: str
) -> None:
    meter = Scripted({"idle": 4.0})
    values = {"hz": 100.0, "seconds": 60.0, **changes}
    with pytest.raises(ConfigProblem, match=message):
        measure_energy(labels, "c", meter.run, meter=meter, **values)  # type: ignore[arg-type]
    assert meter.ran == []


def test_a_machine_without_a_meter_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    meter = Scripted({})
    found = measure_energy(("A",), "numpy", meter.run, hz=100, seconds=60, root=tmp_path)
    (skipped,) = found.skipped
    assert skipped.reason.startswith("energy: power cannot be measured here: ")
    assert found.windows == ()


def test_a_board_from_its_sensor_to_the_ratio(tmp_path: Path) -> None:
    board = Board(
        tmp_path,
        {
            "idle": {"VDD_IN": 4.0, "VDD_SOC": 1.0},
            "A": {"VDD_IN": 6.0, "VDD_SOC": 1.0},
            "B": {"VDD_IN": 4.5, "VDD_SOC": 1.0},
        },
    )
    with closing(open_meter(tmp_path, interval_s=0.02, averaging_s=0.1)) as meter:
        found = measure_energy(
            ("A", "B"),
            "native",
            board.run,
            hz=100,
            seconds=0.4,
            rounds=3,
            meter=meter,
            idle=board.idle,
        )
    a, b = found.energy
    assert (a.source, a.rails) == ("ina3221", ("VDD_IN",))
    assert (a.idle_w, a.busy_w, b.busy_w) == pytest.approx((4.0, 6.0, 4.5))
    # Windows last a little longer than asked for, so the energy is that of their own lengths.
    spans = [one.duration_s for one in found.windows if one.subject == "A"]
    assert a.joules.estimate == pytest.approx(2.0 * sum(spans) / len(spans) / 40)
    (ratio,) = found.ratios
    lengths = sorted(one.duration_s for one in found.windows)
    assert 4 * lengths[0] / lengths[-1] <= ratio.value.estimate <= 4 * lengths[-1] / lengths[0]
    assert any("the shortest window lasted" in note for note in a.notes)
