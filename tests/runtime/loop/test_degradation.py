"""What fails in a step: each row of the table in docs/control-loop.md, in no time."""

from typing import Any

import numpy as np
import pytest

from dspctl.errors import ConfigProblem, PolicyShape
from dspctl.runtime import NumpyRunner
from dspctl.runtime.loop import ControlLoop, Event
from tests.runtime.loop.virtual import Rig, Scripted, faults
from tests.runtime.policies import make_policy

VALID = np.linspace(-0.5, 0.5, 5).astype(np.float32)


# --- observations -----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["flag", "hold", "zero", "clamp"])
def test_an_invalid_observation_gives_what_the_guard_says(mode: str) -> None:
    policy = make_policy(rule="clip", on_invalid=mode, ranged=True)
    good = policy.guard.fill
    bad = good.copy()
    bad[policy.inputs[1]] = np.nan
    rig = Rig(policy, [good, bad, good])
    rig.valid = good
    summary = rig.run(3)
    reference = np.array(rig.acts(good))
    assert NumpyRunner(policy).act(bad, reference) == 1
    np.testing.assert_array_equal(rig.applied[1], reference)
    np.testing.assert_array_equal(rig.applied[2], rig.acts(good))
    assert summary.faults == faults(invalid=1)
    (event,) = rig.events
    assert (event.step, event.kind, event.detail) == (1, "invalid", "not finite")
    assert event.done == {"flag": "safe action", "hold": "held"}.get(mode, "repaired")
    assert sum(summary.actions.values()) == 3


@pytest.mark.parametrize("mode", ["flag", "hold"])
@pytest.mark.parametrize(
    "unreadable",
    [
        RuntimeError("no sensor"),
        TimeoutError(),
        lambda: np.zeros(4, np.float32),
        lambda: None,
        lambda: "words",
        lambda: np.zeros(5, complex),
        lambda: [object()] * 5,
        type("PanicException", (BaseException,), {})("a foreign library"),
    ],
)
def test_unreadable_holds_for_some_steps_then_the_safe_action(unreadable: Any, mode: str) -> None:
    policy = make_policy(rule="clip", on_invalid=mode)
    rig = Rig(policy, [VALID, *[unreadable] * 4], max_hold=3)
    summary = rig.run(7)
    good, safe = rig.acts(rig.valid), policy.guard.safe_action
    for found, expected in zip(rig.applied, [good] * 4 + [safe] + [good] * 2, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert rig.kinds() == [(step, "observe") for step in (1, 2, 3, 4)]
    assert [event.done for event in rig.events] == ["held"] * 3 + ["safe action"]
    assert summary.faults == faults(observe=4)
    assert summary.actions == {"numpy": 3, "held": 3, "safe action": 1}


def test_before_anything_was_observed_what_is_held_is_the_safe_action() -> None:
    rig = Rig(observed=[RuntimeError()] * 2, max_hold=9)
    rig.run(2)
    np.testing.assert_array_equal(rig.applied, [rig.policy.guard.safe_action] * 2)


def test_holding_has_one_bound_whatever_the_cause() -> None:
    """A sensor that gives NaN for ever, in mode hold, is no better than one that gives nothing."""
    policy = make_policy(rule="clip", on_invalid="hold")
    nan = np.full(5, np.nan)
    rig = Rig(policy, [VALID, nan, OSError(), nan, nan], max_hold=2)
    summary = rig.run(5)
    assert [event.done for event in rig.events] == ["held"] * 2 + ["safe action"] * 2
    assert summary.faults == faults(invalid=3, observe=1)


# --- backends ---------------------------------------------------------------------------------


def wrong(value: float) -> Any:
    def act(action: Any) -> int:
        action[...] = value
        return 0

    return act


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (RuntimeError("device lost"), "RuntimeError: device lost"),
        (MemoryError(), "MemoryError:"),
        (type("Panic", (BaseException,), {})("deep"), "Panic: deep"),
        (np.zeros((3, 2)), "answered an array of shape [3, 2] instead of a status"),
        ("0", "answered str instead of a status"),
        (4, "answered the status 4"),
        (-1, "answered the status -1"),
        (wrong(np.nan), "which is no number"),
        (wrong(np.inf), "out of its bounds"),
        (wrong(1e6), "out of its bounds"),
    ],
)
def test_the_next_runner_acts_in_the_same_step(answer: Any, detail: str) -> None:
    policy = make_policy(rule="clip")
    first = Scripted(policy, [None, answer])
    rig = Rig(policy, runners=[first, NumpyRunner(policy)])
    summary = rig.run(4)
    np.testing.assert_array_equal(rig.applied, [rig.acts(rig.valid)] * 4)
    assert summary.faults == faults(backend=1)
    assert summary.actions == {"first": 3, "numpy": 1, "held": 0, "safe action": 0}
    (event,) = rig.events
    assert event.step == 1
    assert event.detail.startswith("first: ")
    assert detail in event.detail
    assert event.done == "fell back to numpy"


@pytest.mark.parametrize("value", [-1, 3, 2**40])
def test_a_choice_that_the_environment_lacks_is_no_action(value: int) -> None:
    policy = make_policy(rule="argmax")
    rig = Rig(policy, runners=[Scripted(policy, [wrong(value)]), NumpyRunner(policy)])
    assert rig.run(2).faults == faults(backend=1)
    assert rig.applied == [int(rig.acts(rig.valid))] * 2


def test_where_every_runner_fails_the_safe_action_is_applied() -> None:
    policy = make_policy(rule="clip")
    script = [None, ZeroDivisionError("x"), None]
    runners = [Scripted(policy, script, "a"), Scripted(policy, script, "b")]
    # b acts only where a fails: its first call is at step 1, and there it has to fail as well.
    runners[1]._script.pop(0)
    rig = Rig(policy, runners=runners)
    summary = rig.run(3)
    good = rig.acts(rig.valid)
    np.testing.assert_array_equal(rig.applied, [good, policy.guard.safe_action, good])
    assert rig.kinds() == [(1, "backend"), (1, "backend"), (1, "no_backend")]
    assert [event.done for event in rig.events] == ["fell back to b"] + ["safe action"] * 2
    assert summary.faults == faults(backend=2, no_backend=1)
    assert summary.actions["safe action"] == 1


def test_what_a_failing_runner_left_half_written_is_never_applied() -> None:
    """Mode hold leaves the buffer as it is, which the runner before may have spoiled."""
    policy = make_policy(rule="clip", on_invalid="hold")
    other = policy.action.low * np.float32(0.6) + policy.action.high * np.float32(0.4)
    assert (NumpyRunner(policy)(VALID) != other).all()

    def spoil(action: Any) -> int:
        action[...] = other
        raise OSError

    first = Scripted(policy, [None, spoil])
    rig = Rig(policy, [VALID, np.full(5, np.nan)], [first, NumpyRunner(policy)])
    assert rig.run(2).faults == faults(backend=1, invalid=1)
    np.testing.assert_array_equal(rig.applied, [rig.acts(VALID)] * 2)


def test_a_runner_that_keeps_failing_is_tried_ever_less_often() -> None:
    policy = make_policy()
    first = Scripted(policy, [OSError()] * 20)
    rig = Rig(policy, runners=[first, NumpyRunner(policy)])
    summary = rig.run(5000)
    tried = [event.step for event in rig.events]
    gaps = np.diff(tried)
    assert gaps.tolist()[:12] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1024]
    assert summary.actions["numpy"] == 5000
    assert summary.faults == faults(backend=len(tried))


def test_a_runner_that_recovers_acts_again_and_starts_afresh() -> None:
    policy = make_policy()
    first = Scripted(policy, [OSError()] * 3 + [None] * 3 + [OSError()])
    rig = Rig(policy, runners=[first, NumpyRunner(policy)])
    rig.run(30)
    assert [event.step for event in rig.events] == [0, 1, 3, 10]
    assert first.calls == 3 + 3 + 1 + (30 - 11)  # rested at 2, 4, 5 and 6 alone


def test_the_only_runner_is_tried_at_every_step() -> None:
    policy = make_policy(rule="clip")
    only = Scripted(policy, [OSError()] * 50)
    rig = Rig(policy, runners=[only])
    summary = rig.run(60)
    assert only.calls == 60
    assert summary.faults == faults(backend=50, no_backend=50)


def test_runners_of_different_policies_are_refused() -> None:
    one, two = make_policy(), make_policy(sizes=(5, 8, 6, 4))
    with pytest.raises(PolicyShape, match="do not run the same policy"):
        Rig(one, runners=[NumpyRunner(one), NumpyRunner(two)])
    with pytest.raises(ConfigProblem, match="at least one runner"):
        ControlLoop([], list, list)


# --- actuators, and the loop itself -----------------------------------------------------------


def test_what_cannot_be_applied_is_tried_again_with_the_next_action() -> None:
    rig = Rig()
    tries: list[int] = []

    def apply(action: Any) -> None:
        tries.append(1)
        if len(tries) in (2, 3):
            raise OSError(5, "bus error")

    rig._applying = apply
    summary = rig.run(6)
    assert len(rig.applied) == 4
    assert rig.kinds() == [(1, "apply"), (2, "apply")]
    assert summary.faults == faults(apply=2)
    assert summary.steps == 6


def test_a_log_that_fails_does_not_stop_the_loop() -> None:
    def refuse(event: Event) -> None:
        raise OSError(28, "No space left on device")

    policy = make_policy()
    rig = Rig(policy)
    loop = ControlLoop(
        [NumpyRunner(policy)], lambda: None, rig.apply, record=refuse, clock=rig.clock
    )
    assert loop.run(steps=20).faults == faults(observe=20)


def test_a_defect_of_the_loop_is_a_fault_like_others(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()
    monkeypatch.setattr(rig.loop, "_judge", lambda lateness: 1 / 0)
    summary = rig.run(3)
    assert summary.faults == faults(loop=3)
    assert rig.events[0].detail == "ZeroDivisionError: division by zero"


def test_an_exception_without_words_is_counted() -> None:
    class Silent(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    rig = Rig(observed=[Silent(), ValueError("x" * 999 + "\n")])
    rig.run(2)
    assert [event.detail for event in rig.events] == ["Silent", f"ValueError: {'x' * 188}"]
