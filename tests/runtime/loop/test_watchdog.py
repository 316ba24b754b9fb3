"""Stalls are seen from outside, once each, and the hook cannot harm the loop."""

import threading
import time
from typing import Any

import numpy as np
import pytest

from dspctl.runtime import NumpyRunner
from dspctl.runtime.loop import ControlLoop, Event, LoopSettings
from tests.runtime.loop.virtual import Rig, Scripted
from tests.runtime.policies import make_policy


def test_a_step_that_hangs_is_told_while_it_hangs() -> None:
    rig = Rig(watchdog_ms=40.0)
    rig._applying = lambda action: rig.clock.take(200) if len(rig.applied) == 3 else None
    summary = rig.run(100)
    assert summary.faults["stall"] == 1
    stall = next(event for event in rig.events if event.kind == "stall")
    late = next(event for event in rig.events if event.kind == "late")
    assert stall.step == late.step == 3
    # The step began at 15 ms: noticed after 40 ms, and at most a quarter of that later.
    assert 55e6 < stall.time_ns <= 65e6
    assert late.time_ns == 215e6
    ((step, seconds),) = rig.stalls
    assert step == 3
    assert 0.04 < seconds <= 0.05


def test_a_step_within_the_time_is_no_stall() -> None:
    rig = Rig(watchdog_ms=40.0)
    rig._applying = lambda action: rig.clock.take(40)
    assert rig.run(50).faults["stall"] == 0
    assert rig.stalls == []


def test_a_stall_that_nobody_looked_at_in_time_is_counted_at_its_end() -> None:
    """A machine too busy to run the watchdog: the time passes, and it does not look."""
    rig = Rig(watchdog_ms=40.0)

    def apply(action: Any) -> None:
        if len(rig.applied) in (3, 7):
            rig.clock.time_ns += 41 * 1_000_000

    rig._applying = apply
    assert rig.run(10).faults["stall"] == 2
    told = [event for event in rig.events if event.kind == "stall"]
    assert [(event.step, event.done) for event in told] == [
        (3, "it had ended by then"),
        (7, "it had ended by then"),
    ]
    assert rig.stalls == []


def test_sleeping_between_steps_is_no_stall() -> None:
    """A period of a second, a watchdog of 40 ms."""
    rig = Rig(hz=1.0, watchdog_ms=40.0)
    assert rig.run(20).faults["stall"] == 0


def test_every_stalled_step_is_told() -> None:
    rig = Rig(watchdog_ms=20.0)
    rig._applying = lambda action: rig.clock.take(30) if len(rig.applied) in (2, 3, 50) else None
    rig.run(100)
    assert [step for step, kind in rig.kinds() if kind == "stall"] == [2, 3, 50]
    assert [step for step, _ in rig.stalls] == [2, 3, 50]


@pytest.mark.parametrize(
    ("hz", "given", "expected_ms"), [(200.0, 0.0, 100.0), (20.0, 0.0, 500.0), (20.0, 7.0, 7.0)]
)
def test_the_time_that_a_step_may_take(hz: float, given: float, expected_ms: float) -> None:
    assert LoopSettings(hz=hz, watchdog_ms=given).watchdog_ns == expected_ms * 1e6


@pytest.mark.parametrize("error", [IndexError, SystemExit])
def test_a_hook_that_fails_is_counted_and_the_loop_goes_on(error: type[BaseException]) -> None:
    def on_stall(step: int, seconds: float) -> None:
        raise error

    policy = make_policy()
    rig = Rig(policy)
    events: list[Event] = []
    loop = ControlLoop(
        [NumpyRunner(policy)],
        rig.observe,
        lambda action: rig.clock.take(150),
        record=events.append,
        on_stall=on_stall,
        clock=rig.clock,
    )
    summary = loop.run(steps=3)
    assert summary.faults["stall"] == 3
    assert loop.hook_failures == 3


def test_a_backend_that_really_hangs_stops_neither_the_hook_nor_the_log() -> None:
    """Real time and real threads: the backend waits until the hook has been called."""
    policy = make_policy(rule="clip")
    released, stalled = threading.Event(), list[tuple[int, str]]()
    applied: list[str] = []

    def hang(action: Any) -> int:
        assert released.wait(20), "nobody noticed"
        return 0

    def on_stall(step: int, seconds: float) -> None:
        applied.append("safe action, from outside")
        while not stalled:  # the log has it before the step ends
            time.sleep(0.001)
        released.set()

    def record(event: Event) -> None:
        if event.kind == "stall":
            stalled.append((event.step, threading.current_thread().name))

    loop = ControlLoop(
        [Scripted(policy, [None] * 5 + [hang])],
        lambda: np.zeros(5),
        lambda action: applied.append("loop"),
        settings=LoopSettings(watchdog_ms=30.0),
        record=record,
        on_stall=on_stall,
    )
    assert loop.run(steps=8).steps == 8
    assert (5, "dspctl watchdog") in stalled
    assert applied[5] == "safe action, from outside"
