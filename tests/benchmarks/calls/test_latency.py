from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dspctl.benchmarks.calls.advice import advice, calls_needed, drift
from dspctl.benchmarks.calls.latency import measure_latency, summarize
from dspctl.benchmarks.calls.timer import Clock, WarmUp
from dspctl.errors import ConfigProblem
from tests.benchmarks.networks import FakeClock

OBSERVATIONS = np.zeros((4, 2), np.float32)


def busy(fake: FakeClock, duration_ns: int, log: list[str], name: str) -> Callable[[Any], None]:
    def call(_: object) -> None:
        log.append(name)
        fake.work(duration_ns)

    return call


def fake_clock(cost_ns: int = 40) -> tuple[FakeClock, Clock]:
    fake = FakeClock(cost_ns=cost_ns)
    return fake, Clock("fake", 1, float(cost_ns), 0.0, fake)


def test_figures_of_calls_with_a_known_duration() -> None:
    fake, clock = fake_clock()
    found = measure_latency(
        {"slow": busy(fake, 20_000, [], "s"), "fast": busy(fake, 10_000, [], "f")},
        OBSERVATIONS,
        clock,
        seconds=0.05,
        rounds=10,
    )
    slow = summarize("slow", "numpy", found["slow"], clock.cost_ns)
    fast = summarize("fast", "numpy", found["fast"], clock.cost_ns)
    # Each sample holds the clock's cost once.
    assert (slow.min_ns, slow.p50_ns.estimate, slow.p99_9_ns, slow.max_ns) == (20_040,) * 4
    assert fast.p50_ns.estimate / slow.p50_ns.estimate == pytest.approx(0.5, rel=0.01)
    assert slow.calls_per_sample == fast.calls_per_sample == 1
    assert slow.samples == slow.single_calls == sum(map(len, found["slow"].single_ns))
    assert len(found["slow"].single_ns) == 10


def test_short_calls_are_batched_for_the_median_only() -> None:
    fake, clock = fake_clock()
    found = measure_latency(
        {"tiny": busy(fake, 100, [], "t")}, OBSERVATIONS, clock, seconds=0.05, rounds=10
    )["tiny"]
    figures = summarize("tiny", "native", found, clock.cost_ns)
    assert figures.calls_per_sample == 40  # 40 ns of clock on 4000 ns of calls
    assert figures.p50_ns.estimate == pytest.approx(101)
    assert figures.p90_ns == 140
    assert figures.samples == sum(map(len, found.batched_ns))
    # A single call shows 140 ns, of which the clock is more than a tenth: no claim.
    assert figures.clock_bound == ("p90", "p99", "p99_9", "max")
    assert any("upper bounds: the clock's own 40 ns" in note for note in figures.notes)


def test_tail_shows_what_an_average_hides() -> None:
    fake, clock = fake_clock()
    made = 0

    def call(_: object) -> None:
        nonlocal made
        made += 1
        fake.work(100_000 if made % 80 == 0 else 200)

    found = measure_latency({"x": call}, OBSERVATIONS, clock, seconds=0.2, rounds=5)["x"]
    figures = summarize("x", "native", found, clock.cost_ns)
    assert figures.calls_per_sample > 1
    assert figures.p50_ns.estimate < 300
    assert figures.p99_ns == figures.max_ns == 100_040
    assert figures.clock_bound == ("p90",)


def test_subjects_alternate_and_the_order_turns() -> None:
    fake, clock = fake_clock()
    log: list[str] = []
    rounds: list[tuple[int, int]] = []
    measure_latency(
        {name: busy(fake, 50_000, log, name) for name in "AB"},
        OBSERVATIONS,
        clock,
        seconds=0.02,
        rounds=4,
        on_round=lambda done, total: rounds.append((done, total)),
    )
    changes = "".join(name for before, name in zip(["", *log], log, strict=False) if name != before)
    # Warm-up A B, then A B, B A, A B, B A: equal neighbours merge.
    assert changes == "ABABABA"
    assert rounds == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_every_observation_is_used_in_turn() -> None:
    fake, clock = fake_clock()
    seen: list[int] = []

    def call(observation: np.ndarray) -> None:
        seen.append(int(observation[0]))
        fake.work(50_000)

    rows = np.arange(4, dtype=np.float32)[:, None]
    measure_latency({"x": call}, rows, clock, seconds=0.01, rounds=2)
    assert seen == [index % 4 for index in range(len(seen))]
    assert len(seen) > 50


@pytest.mark.parametrize("broken", ["calls", "observations", "seconds", "rounds"])
def test_nothing_to_measure_is_refused(broken: str) -> None:
    _, clock = fake_clock()
    with pytest.raises(ConfigProblem, match="at least one subject"):
        measure_latency(
            {} if broken == "calls" else {"x": lambda _: None},
            OBSERVATIONS[:0] if broken == "observations" else OBSERVATIONS,
            clock,
            seconds=0.0 if broken == "seconds" else 1.0,
            rounds=0 if broken == "rounds" else 1,
        )


def test_mlperf_counts() -> None:
    # MLPerf Inference rules, table of query counts.
    assert [calls_needed(share) for share in (0.9, 0.97, 0.99)] == [24_576, 90_112, 270_336]


def test_drift_is_the_spread_of_block_medians() -> None:
    assert drift([np.full(5, 100.0)] * 10) == 0
    blocks = [np.full(5, 100.0 + 100 * (index % 2)) for index in range(10)]
    assert drift(blocks) == pytest.approx(100 / 150)


def given(**changes: Any) -> list[str]:
    """Advice on a measurement with nothing wrong, but for *changes*."""
    settled = WarmUp(100, 1000.0, settled=True)
    facts: dict[str, Any] = {
        "calls": 3_000_000,
        "warm_up": settled,
        "blocks": [np.full(5, 1000.0)] * 10,
        "mean_ns": 1010.0,
        "p50_ns": 1000.0,
        "tail_ns": {"p90": 1100.0, "p99": 1500.0, "p99.9": 3000.0},
        "clock_cost_ns": 20.0,
        **changes,
    }
    return list(advice(**facts))


def test_no_advice_without_a_reason() -> None:
    assert given() == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"calls": 100_000}, "p99 and p99.9 rest on 100,000 single calls"),
        ({"calls": 100_000}, "measure 3 times as long"),
        ({"calls": 300_000}, "p99.9 rests on 300,000 single calls"),
        ({"warm_up": WarmUp(7, 1.0, settled=False)}, "did not settle within 7 calls: stop other"),
        ({"blocks": [np.full(3, 1.0), np.full(3, 2.0)]}, "not quiet: stop other programs"),
        ({"mean_ns": 2000.0}, "the mean is 2.0 times the median"),
        ({"tail_ns": {"p90": 1e3, "p99": 2e4, "p99.9": 3e4}}, "p99 is 20 times p90"),
        ({"clock_cost_ns": 120.0}, "p90 of single calls is an upper bound: the clock's own 120"),
        ({"clock_cost_ns": 160.0}, "p90 and p99 of single calls are upper bounds: the clock's"),
    ],
)
def test_each_weakness_gets_one_sentence(changes: dict[str, Any], sentence: str) -> None:
    notes = given(**changes)
    assert len(notes) == 1
    assert sentence in notes[0]
