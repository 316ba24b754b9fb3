from dataclasses import replace

import numpy as np
import pytest

from dspctl.benchmarks.energy.windows import Window, energy_per_inference, energy_ratio
from dspctl.errors import ConfigProblem

RAILS = ("VDD_IN",)


def window(subject: str, watts: float, inferences: int = 0, seconds: float = 60.0) -> Window:
    return Window(subject, watts, seconds, inferences, RAILS)


def rounds(
    count: int, a_w: float = 5.0, b_w: float = 4.2, noise_w: float = 0.0, drift_w: float = 0.0
) -> list[Window]:
    rng = np.random.default_rng(1)
    found = []
    for number in range(count):
        base = number * drift_w
        found += [
            window("idle", 4.0 + base + noise_w * rng.normal()),
            window("A", a_w + base + noise_w * rng.normal(), 6000),
            window("B", b_w + base + noise_w * rng.normal(), 6000),
        ]
    return found


def test_energy_by_hand() -> None:
    # (5.0 W - 4.0 W) * 60 s / 6000 = 10 mJ
    energy = energy_per_inference(rounds(5), "A")
    assert energy.joules.estimate == pytest.approx(0.01)
    assert (energy.rounds, energy.rails, energy.notes) == (5, RAILS, ())


def test_idle_that_drifts_cancels() -> None:
    energy = energy_per_inference(rounds(5, drift_w=0.5), "A").joules
    assert (energy.low, energy.high) == pytest.approx((0.01, 0.01))


def test_the_interval_holds_the_truth_and_widens_with_noise() -> None:
    quiet = energy_per_inference(rounds(30, noise_w=0.01), "A").joules
    loud = energy_per_inference(rounds(30, noise_w=0.1), "A").joules
    assert loud.low < 0.01 < loud.high
    assert 5 < (loud.high - loud.low) / (quiet.high - quiet.low) < 20


def test_ratio_by_hand() -> None:
    # 1.0 W against 0.2 W above idle
    ratio = energy_ratio(rounds(6), "A", "B")
    assert (ratio.estimate, ratio.low, ratio.high) == pytest.approx((5, 5, 5))


def test_no_ratio_to_what_cannot_be_told_from_idle() -> None:
    with pytest.raises(ConfigProblem, match="'B' used no more power than idling"):
        energy_ratio(rounds(6, b_w=4.0), "A", "B")


def test_windows_shorter_than_the_sensor_averages() -> None:
    short = [replace(entry, duration_s=0.4) for entry in rounds(5)]
    with pytest.raises(ConfigProblem, match=r"0\.4 s.*averages over 0\.43 s: use windows of 60 s"):
        energy_per_inference(short, "A")
    assert energy_per_inference(short, "A", averaging_s=0.1).rounds == 5


def test_what_weakens_a_figure_is_noted() -> None:
    short = [replace(entry, duration_s=5.0) for entry in rounds(3, a_w=4.0)]
    length, count, idle = energy_per_inference(short, "A").notes
    assert "lasted 5 s" in length
    assert "3 rounds" in count
    assert "not distinguishable" in idle


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        ([], "at least 2 rounds"),
        (rounds(1), "at least 2 rounds"),
        (rounds(2)[1:], "first window is not idle"),
        ([*rounds(2), window("A", 5.0, 6000)], "ran twice"),
        ([*rounds(2), window("idle", 4.0)], "round 3 has no inference of 'A'"),
        ([*rounds(2), replace(window("idle", 4.0), rails=("VIN",))], "different rails"),
        ([window("idle", float("nan"))], "no finite power"),
        ([window("idle", 4.0), window("A", 5.0, 0)] * 2, "round 1 has no inference"),
    ],
)
def test_windows_that_say_nothing(windows: list[Window], message: str) -> None:
    with pytest.raises(ConfigProblem, match=message):
        energy_per_inference(windows, "A")


@pytest.mark.parametrize("averaging_s", [0.0, 0.43])
def test_a_window_without_length(averaging_s: float) -> None:
    windows = [replace(entry, duration_s=0.0) for entry in rounds(2)]
    with pytest.raises(ConfigProblem, match="lasted 0 s"):
        energy_per_inference(windows, "A", averaging_s=averaging_s)
