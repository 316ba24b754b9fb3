"""Each row of the table in docs/control-loop.md, on a clock that needs no time."""

import threading
from typing import Any

import numpy as np
import pytest

from dspctl.errors import ConfigProblem, InvalidRate
from dspctl.runtime import NumpyRunner
from dspctl.runtime.loop import ControlLoop, LoopSettings
from tests.runtime.loop.virtual import MS, NONE, Rig, Scripted, faults
from tests.runtime.policies import make_policy

VALID = np.linspace(-0.5, 0.5, 5).astype(np.float32)


# --- nothing fails ----------------------------------------------------------------------------


def test_steps_are_due_at_multiples_of_the_period_from_the_start() -> None:
    rig = Rig(hz=300.0)  # the period is no whole number of nanoseconds
    starts: list[int] = []
    rig._applying = lambda action: starts.append(rig.clock.time_ns)
    summary = rig.run(900)
    origin = starts[0]
    assert [time - origin for time in starts] == [int(k * 1e9 / 300) for k in range(900)]
    assert summary.faults == NONE
    assert (summary.steps, summary.ended) == (900, "steps")
    assert summary.actions == {"numpy": 900, "held": 0, "safe action": 0}
    assert summary.seconds == pytest.approx(899 / 300)
    assert rig.events == []


@pytest.mark.parametrize(("rule", "start"), [("argmax", 3), ("tanh_unscale", 0)])
def test_the_action_is_what_the_environment_takes(rule: str, start: int) -> None:
    rig = Rig(make_policy(rule=rule, start=start))
    rig.run(2)
    expected = rig.acts(rig.valid)
    for action in rig.applied:
        np.testing.assert_array_equal(action, expected)
        assert type(action) is (int if rule == "argmax" else np.ndarray)
    if rule != "argmax":
        rig.applied[0][:] = 99  # whoever takes an action may keep it
        np.testing.assert_array_equal(rig.applied[1], expected)


def test_float64_observations_are_cast_and_not_kept() -> None:
    seen = np.full(5, 0.25)
    rig = Rig(observed=[seen, lambda: seen])
    rig.run(1)
    seen[:] = 1e300  # beyond float32: infinite, as in every backend
    assert rig.loop.run(steps=2).faults == faults(invalid=1)
    np.testing.assert_array_equal(rig.applied[0], rig.acts(np.full(5, 0.25, np.float32)))


# --- deadlines --------------------------------------------------------------------------------


def test_a_long_step_makes_the_next_ones_late_and_moves_no_deadline() -> None:
    """22 ms at 200 Hz from the start of step 2: four steps end after the next one was due."""
    rig = Rig()
    starts: list[float] = []

    def apply(action: Any) -> None:
        starts.append(rig.clock.time_ns / MS)
        if len(starts) == 3:
            rig.clock.take(22)

    rig._applying = apply
    summary = rig.run(10)
    at = np.array(starts) - starts[0]
    assert at.tolist() == [0, 5, 10, 32, 32, 32, 32, 35, 40, 45]
    assert rig.kinds() == [(2, "late"), (3, "late"), (4, "late"), (5, "late")]
    assert summary.faults == faults(late=4)
    assert summary.latest_ns == 17 * MS  # 32 - 15
    assert summary.lateness_ns == (17 + 12 + 7 + 2) * MS


def test_a_loop_that_is_behind_says_so_once_and_goes_on() -> None:
    rig = Rig(max_late=3)
    rig._applying = lambda action: rig.clock.take(6) if len(rig.applied) < 8 else None
    summary = rig.run(40)
    late = [step for step, kind in rig.kinds() if kind == "late"]
    behind = [step for step, kind in rig.kinds() if kind == "behind"]
    assert late == list(range(len(late)))
    assert behind == [2]
    assert summary.faults == faults(late=len(late), behind=1)
    assert summary.steps == 40


def test_late_steps_with_others_between_are_not_behind() -> None:
    rig = Rig(max_late=2)
    rig._applying = lambda action: rig.clock.take(6) if len(rig.applied) % 5 == 0 else None
    summary = rig.run(50)
    assert summary.faults == faults(late=10)
    assert [step for step, _ in rig.kinds()] == list(range(0, 50, 5))


# --- the end ----------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("place", ["observe", "act", "apply"])
def test_an_interrupt_ends_it_with_a_summary(place: str, error: type[BaseException]) -> None:
    policy = make_policy()

    def apply(action: Any) -> None:
        if place == "apply" and len(rig.applied) == 4:
            raise error

    observed = [np.zeros(5)] * 4 + [error()] if place == "observe" else []
    runner = Scripted(policy, [None] * 4 + [error()] if place == "act" else [])
    rig = Rig(policy, observed, [runner], apply)
    summary = rig.run(100)
    assert (summary.steps, summary.ended) == (4, "interrupted")
    assert summary.faults == NONE


def test_stop_ends_after_the_step() -> None:
    rig = Rig()
    rig._applying = lambda action: rig.loop.stop() if len(rig.applied) == 6 else None
    summary = rig.loop.run()
    assert (summary.steps, summary.ended) == (7, "stopped")


def test_a_condition_ends_it() -> None:
    rig = Rig()
    summary = rig.loop.run(until=lambda: len(rig.applied) >= 5)
    assert (summary.steps, summary.ended) == (5, "stopped")


def test_a_condition_that_raises_costs_no_step_and_no_pace() -> None:
    rig = Rig()
    asked: list[int] = []

    def until() -> bool:
        asked.append(rig.clock.time_ns)
        raise OSError

    assert rig.loop.run(steps=4, until=until).faults == faults(loop=4)
    assert np.diff(asked).tolist() == [5 * MS] * 3
    assert len(rig.applied) == 4


def test_no_thread_is_left() -> None:
    before = threading.active_count()
    policy = make_policy()
    loop = ControlLoop([NumpyRunner(policy)], lambda: np.zeros(5), lambda action: None)
    assert loop.run(steps=3).steps == 3
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"hz": 0.5}, InvalidRate),
        ({"hz": float("nan")}, InvalidRate),
        ({"hz": 20_000.0}, InvalidRate),
        ({"max_hold": -1}, ConfigProblem),
        ({"max_late": 0}, ConfigProblem),
        ({"watchdog_ms": -1.0}, ConfigProblem),
        ({"watchdog_ms": float("inf")}, ConfigProblem),
    ],
)
def test_settings_that_cannot_work(settings: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        LoopSettings(**settings)


def test_no_step_at_all_is_refused() -> None:
    with pytest.raises(ConfigProblem, match="1 step or more"):
        Rig().run(0)
