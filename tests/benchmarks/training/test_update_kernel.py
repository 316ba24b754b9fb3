"""The update benchmark times what it says it times."""

import pytest

from dspctl.benchmarks.training import update_kernel


def test_every_contender_is_timed_per_gradient_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(update_kernel, "ROWS", 128)
    seconds = iter(range(10_000))
    # A clock that advances one second a reading: a pass takes one, over 128 / 64 steps.
    monkeypatch.setattr(update_kernel, "perf_counter", lambda: next(seconds))
    found = update_kernel.measure_case(64, (9, 9), repeats=2)
    assert set(found.values()) == {1e6 / 2}
    assert {label.split(",")[0] for label in found} == {"NumPy", "torch autograd"}
    assert len(found) == 6
