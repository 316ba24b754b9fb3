import gc
from itertools import repeat

import numpy as np
import pytest

from dspctl.benchmarks.calls.timer import (
    MAX_CALLS_PER_SAMPLE,
    Clock,
    calibrate,
    collector_off,
    timed,
    warm_up,
)
from tests.benchmarks.networks import FakeClock


def test_calibration_finds_the_cost_of_reading() -> None:
    clock = calibrate(FakeClock(cost_ns=40))
    assert clock.cost_ns == 40
    assert clock.resolution_ns == 40
    assert clock.loop_ns == 0  # the fake clock stands still while the loop runs


def test_calibration_of_a_coarse_clock() -> None:
    # Reading costs 7 ns but shows only whole microseconds: most pairs show no difference.
    clock = calibrate(FakeClock(cost_ns=7, tick_ns=1000))
    assert clock.resolution_ns == 1000
    assert clock.cost_ns == pytest.approx(7, rel=0.2)


@pytest.mark.parametrize(
    ("call_ns", "calls"),
    [(50, 80), (400, 10), (4_000, 1), (4_001, 1), (3_999, 2), (1e9, 1), (0, MAX_CALLS_PER_SAMPLE)],
)
def test_calls_per_sample_keep_the_clock_at_one_percent(call_ns: float, calls: int) -> None:
    clock = Clock("fake", resolution_ns=1, cost_ns=40.0, loop_ns=0.0, read=lambda: 0)
    assert clock.calls_per_sample(call_ns) == calls
    if 1 < calls < MAX_CALLS_PER_SAMPLE:
        assert 0.01 * calls * call_ns >= 40
        assert 0.01 * (calls - 1) * call_ns < 40


def test_calls_per_sample_cover_a_coarse_resolution() -> None:
    clock = Clock("fake", resolution_ns=1000, cost_ns=10.0, loop_ns=0.0, read=lambda: 0)
    assert clock.calls_per_sample(500) == 200


def test_timed_is_the_calls_and_one_reading() -> None:
    clock = FakeClock(cost_ns=40)
    assert timed(lambda _: clock.work(250), range(10), clock) == 2540
    assert clock.reads == 2


def test_warm_up_settles_on_even_calls() -> None:
    fake = FakeClock(cost_ns=0)
    clock = Clock("fake", 1, 0.0, 0.0, fake)
    warm = warm_up(lambda _: fake.work(500), repeat(0), clock)
    assert warm.settled
    assert warm.call_ns == 500


def test_warm_up_waits_for_calls_that_get_faster() -> None:
    fake = FakeClock(cost_ns=0)
    clock = Clock("fake", 1, 0.0, 0.0, fake)
    made = 0

    def call(_: object) -> None:
        nonlocal made
        made += 1
        fake.work(1000 if made > 300 else 10_000 - 30 * made)

    warm = warm_up(call, repeat(0), clock)
    assert warm.settled
    assert warm.calls == made > 300
    assert warm.call_ns == pytest.approx(1000)


def test_warm_up_gives_up_within_its_limit() -> None:
    fake = FakeClock(cost_ns=0)
    clock = Clock("fake", 1, 0.0, 0.0, fake)
    rng = np.random.default_rng(0)
    warm = warm_up(
        lambda _: fake.work(int(rng.exponential(1e8))), repeat(0), clock, window=1, limit_s=2.0
    )
    slow = warm_up(lambda _: fake.work(fake.now_ns + 1), repeat(0), clock, limit_calls=64)
    assert warm.calls >= 2
    assert not slow.settled
    assert fake.now_ns > 2e9


def test_collector_is_off_inside_and_back_afterwards() -> None:
    assert gc.isenabled()
    with collector_off():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_the_real_clock_is_usable() -> None:
    clock = calibrate()
    assert clock.resolution_ns >= 1
    assert clock.cost_ns > 0
    assert clock.calls_per_sample(100.0) >= 1
