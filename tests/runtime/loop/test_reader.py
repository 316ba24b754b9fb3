"""A sensor that hangs costs an observation, not the loop."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from dspctl.errors import ConfigProblem
from dspctl.runtime import NumpyRunner
from dspctl.runtime.loop import ControlLoop, Reader
from tests.runtime.policies import make_policy


def test_it_gives_what_the_sensor_gives() -> None:
    values: Iterator[int | ValueError] = iter([1, 2, ValueError("broken"), 3])

    def observe() -> int:
        value = next(values)
        if isinstance(value, ValueError):
            raise value
        return value

    with Reader(observe, 5000) as reader:
        assert (reader(), reader()) == (1, 2)
        with pytest.raises(ValueError, match="broken"):
            reader()
        assert reader() == 3


def test_a_late_reading_serves_the_step_in_which_it_arrives() -> None:
    release, asked = threading.Event(), list[int]()

    def observe() -> int:
        asked.append(len(asked))
        if len(asked) == 2:
            release.wait(20)
        return len(asked)

    with Reader(observe, 20) as reader:
        assert reader() == 1
        for _ in range(3):
            begun = time.monotonic()
            with pytest.raises(TimeoutError, match="within 20 ms"):
                reader()
            assert time.monotonic() - begun >= 0.019
        assert len(asked) == 2  # not asked again while it hangs
        release.set()
        time.sleep(0.05)
        assert reader() == 2
        assert reader() == 3


def test_a_sensor_that_hangs_for_ever_leaves_the_loop_running() -> None:
    policy = make_policy(rule="clip")
    hang, applied = threading.Event(), list[np.ndarray]()
    readings = iter([np.full(5, 0.1)])

    def observe() -> np.ndarray:
        for value in readings:
            return value
        hang.wait(20)
        return np.zeros(5)

    with Reader(observe, 3) as reader:
        loop = ControlLoop([NumpyRunner(policy)], reader, applied.append)
        summary = loop.run(steps=12)
        hang.set()
    assert summary.faults["observe"] == 11
    assert summary.actions == {"numpy": 1, "held": 5, "safe action": 6}
    np.testing.assert_array_equal(applied[-1], policy.guard.safe_action)


@pytest.mark.parametrize("timeout_ms", [0, -1, float("nan"), float("inf")])
def test_times_that_are_none(timeout_ms: float) -> None:
    with pytest.raises(ConfigProblem):
        Reader(lambda: None, timeout_ms)
