import gc
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from dspctl.benchmarks.calls.advice import paced_advice
from dspctl.benchmarks.calls.latency import SETTLING_CALLS
from dspctl.benchmarks.calls.paced import (
    MAX_STEPS,
    PacedSamples,
    check_pace,
    measure_paced,
)
from dspctl.benchmarks.calls.paced_figures import spread, summarize_paced
from dspctl.errors import ConfigProblem, InvalidRate
from dspctl.runtime.sleep import choose_sleeper
from tests.benchmarks.networks import FakeClock

OBSERVATIONS = np.zeros((4, 2), np.float32)
PERIOD_NS = 10_000_000  # 100 Hz


class World:
    """A simulated machine: sleeping wakes *late_ns* late, and calls take what the script says."""

    def __init__(self, script: Sequence[int] = (), late_ns: int = 0) -> None:
        self.clock = FakeClock(cost_ns=0)
        self.late_ns = late_ns
        self.asked: list[int] = []
        self._script = [0] * SETTLING_CALLS + list(script)

    def sleep_until(self, time_ns: int) -> None:
        self.asked.append(time_ns)
        if time_ns > self.clock.now_ns:
            self.clock.now_ns = time_ns + self.late_ns

    def call(self, _: object) -> None:
        self.clock.work(self._script.pop(0))

    def measure(self, steps: int, **changes: Any) -> PacedSamples:
        calls = {"x": self.call}
        return self.measure_all(calls, steps=steps, **changes)["x"]

    def measure_all(
        self, calls: Mapping[str, Callable[[Any], None]], steps: int, **changes: Any
    ) -> dict[str, PacedSamples]:
        return measure_paced(
            calls,
            OBSERVATIONS,
            **{"hz": 100.0, "seconds": steps * len(calls) / 100, **changes},
            read=self.clock,
            sleep_until=self.sleep_until,
        )


def test_latency_is_the_wake_up_and_the_call() -> None:
    world = World([2_000_000, 3_000_000, 10_000_000, 1_000_000], late_ns=50_000)
    found = world.measure(4)
    assert found.period_ns == PERIOD_NS
    assert found.inference_ns.tolist() == [2_000_000, 3_000_000, 10_000_000, 1_000_000]
    # The third ends 50 us after the fourth is due, which then starts at once.
    assert found.wakeup_ns.tolist() == [50_000, 50_000, 50_000, 50_000]
    assert found.latency_ns.tolist() == [2_050_000, 3_050_000, 10_050_000, 1_050_000]
    assert found.deadline_misses == 1


def test_an_action_on_its_deadline_is_not_late() -> None:
    assert World([PERIOD_NS, PERIOD_NS + 1, 0]).measure(3).deadline_misses == 1


def test_a_stall_shows_in_every_step_that_it_delays() -> None:
    ms = 1_000_000
    found = World([ms, 31 * ms, ms, ms, ms, ms]).measure(6)
    # The stall of 31 ms begins at 10; the steps due at 20, 30 and 40 wait until 41, 42 and 43.
    assert found.wakeup_ns.tolist() == [0, 0, 21 * ms, 12 * ms, 3 * ms, 0]
    assert found.latency_ns.tolist() == [ms, 31 * ms, 22 * ms, 13 * ms, 4 * ms, ms]
    assert found.deadline_misses == 3
    # What back-to-back measuring would have seen of it: one call.
    assert np.count_nonzero(found.inference_ns > ms) == 1


@pytest.mark.parametrize(("stall_ms", "misses"), [(9, 0), (15, 1), (25, 2), (50, 5), (95, 9)])
def test_misses_follow_from_the_stall(stall_ms: int, misses: int) -> None:
    # With calls of 0.1 ms, a stall of S ms delays step k after it to S - 10 k + 0.1 k ms.
    script = [100_000] * 5 + [stall_ms * 1_000_000] + [100_000] * 14
    found = World(script).measure(20)
    expected = sum(stall_ms - 10 * k + 0.1 * k > 10 for k in range(15))
    assert found.deadline_misses == expected == misses


def test_late_steps_do_not_move_the_schedule() -> None:
    world = World([25_000_000, *[1_000_000] * 7])
    world.measure(8)
    assert np.diff(world.asked).tolist() == [PERIOD_NS] * 7


def test_a_period_of_no_whole_nanoseconds_does_not_drift() -> None:
    world = World([1] * 900)
    found = world.measure_all({"x": world.call}, steps=0, hz=300.0, seconds=3.0)["x"]
    assert found.wakeup_ns.size == 900
    assert world.asked[899] - world.asked[0] == int(899 * 1e9 / 300)
    assert found.wakeup_ns.max() == 0


def test_a_loop_that_cannot_keep_up_falls_behind_and_skips_nothing() -> None:
    found = World([15_000_000] * 6).measure(6)
    assert found.wakeup_ns.tolist() == [5_000_000 * index for index in range(6)]
    assert found.deadline_misses == 6


def test_subjects_take_turns_in_windows_and_the_order_turns() -> None:
    world = World()
    log: list[str] = []
    windows: list[tuple[int, int]] = []
    found = world.measure_all(
        {name: lambda _, name=name: log.append(name) for name in "AB"},  # type: ignore[misc]
        steps=80,
        windows=4,
        on_window=lambda done, total: windows.append((done, total)),
    )
    changes = "".join(name for before, name in zip(["", *log], log, strict=False) if name != before)
    assert changes == "ABABA"  # A B, B A, A B, B A: equal neighbours merge
    assert windows == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert found["A"].window_steps == found["B"].window_steps == (20, 20, 20, 20)
    assert log.count("A") == 80 + 4 * SETTLING_CALLS


def test_one_subject_runs_in_one_piece() -> None:
    assert World([0] * 30).measure(30, windows=10).window_steps == (30,)


def test_a_short_measurement_has_fewer_windows() -> None:
    for steps, expected in ((5, (5,)), (39, (39,)), (40, (20, 20)), (300, (20,) * 15)):
        calls = {name: lambda _: None for name in "AB"}
        found = World().measure_all(calls, steps=steps)
        assert found["A"].window_steps == found["B"].window_steps == expected


def test_the_collector_is_off_while_it_runs() -> None:
    seen: list[bool] = []
    World().measure_all({"x": lambda _: seen.append(gc.isenabled())}, steps=3)
    assert not any(seen)
    assert gc.isenabled()


def test_figures_are_nearest_ranks() -> None:
    values = spread(np.arange(1, 1001)[::-1].copy())
    assert (values.min, values.mean, values.max) == (1, 500.5, 1000)
    assert (values.p50, values.p90, values.p99, values.p99_9) == (500, 900, 990, 999)


def test_a_summary_holds_all_three_quantities() -> None:
    samples = World([1_000_000, 12_000_000, 1_000_000], late_ns=5_000).measure(3)
    figures = summarize_paced("x", "numpy", samples, hz=100.0, clock_cost_ns=400.0)
    assert (figures.steps, figures.deadline_misses, figures.rate_hz) == (3, 1, 100.0)
    assert figures.latency_ns.max == 12_005_000
    assert figures.wakeup_ns.max == 2_005_000
    assert figures.inference_ns.p50 == 1_000_000
    assert figures.clock_bound == ()
    coarse = summarize_paced("x", "numpy", samples, hz=100.0, clock_cost_ns=150_000.0)
    # Of a wake-up of 5 µs a clock of 150 µs is too much, of a call of 12 ms it is not.
    assert "wakeup_ns.min" in coarse.clock_bound
    assert "inference_ns.p50" in coarse.clock_bound
    assert "latency_ns.max" not in coarse.clock_bound
    few, missed = figures.notes
    assert "p90 and p99 and p99.9 rest on 3 steps" in few
    assert "asks for 24,576 behind p90: measure 8192 times as long" in few
    assert "1 of 3 deadlines were missed at 100 Hz though" in missed


def test_advice_tells_a_slow_policy_from_a_disturbed_one() -> None:
    facts: dict[str, Any] = {"steps": 3_000_000, "hz": 1000.0, "period_ns": 1e6}
    assert list(paced_advice(**facts, misses=0, inference_p50_ns=1e3)) == []
    (slow,) = paced_advice(**facts, misses=9, inference_p50_ns=2e6)
    assert "takes longer than the period" in slow


@pytest.mark.parametrize("hz", [0.0, -1.0, 49.9, 10_000.1, float("nan"), float("inf")])
def test_rates_outside_a_control_loops_are_refused(hz: float) -> None:
    with pytest.raises(InvalidRate, match="from 50 to 10,000 Hz"):
        check_pace(hz, 1.0)


@pytest.mark.parametrize(
    "changes",
    [
        {"seconds": 0.0},
        {"seconds": float("inf")},
        {"seconds": MAX_STEPS / 100 + 1},
        {"windows": 0},
    ],
)
def test_nothing_or_too_much_to_measure_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigProblem):
        World().measure(1, **changes)


def test_the_bounds_themselves_are_rates() -> None:
    check_pace(50.0, 0.1)
    check_pace(10_000.0, 0.1)


def test_on_the_real_clock() -> None:
    sleeper = choose_sleeper()
    found = measure_paced(
        {"x": lambda _: None},
        OBSERVATIONS,
        hz=1000.0,
        seconds=0.2,
        read=time.perf_counter_ns,
        sleep_until=sleeper.until,
    )["x"]
    assert found.wakeup_ns.size == 200
    assert found.wakeup_ns.min() >= 0  # no sleep ends before its time
    assert found.inference_ns.min() >= 0


def test_every_sleeper_waits_for_its_time() -> None:
    def own_clock() -> int:
        return time.perf_counter_ns()

    fallback = choose_sleeper(own_clock)
    assert (fallback.name, fallback.absolute) == ("sleep", False)
    for sleeper in (fallback, choose_sleeper()):
        for ahead_ns in (-1_000_000, 0, 2_000_000):
            due_ns = time.perf_counter_ns() + ahead_ns
            sleeper.until(due_ns)
            assert time.perf_counter_ns() >= due_ns
