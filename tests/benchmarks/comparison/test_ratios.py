import numpy as np
import pytest

from dspctl.benchmarks.calls.latency import Samples
from dspctl.benchmarks.calls.paced import PacedSamples
from dspctl.benchmarks.calls.timer import WarmUp
from dspctl.benchmarks.comparison.ratios import code_ratios, latency_ratios, paced_ratios, ratios_of
from dspctl.benchmarks.memory.sizes import CodeSize
from dspctl.benchmarks.request import Request

WARM = WarmUp(1, 1.0, settled=True)


def calls(ns: int) -> Samples:
    return Samples(tuple(np.full(1000, ns) for _ in range(10)), (), 1, WARM)


def loop(wakeup_ns: int, call_ns: int) -> PacedSamples:
    wakeup, call = np.full(10_000, wakeup_ns), np.full(10_000, call_ns)
    return PacedSamples(10_000_000, wakeup, call, (1000, 4000, 5000))


def test_percentiles_back_to_back() -> None:
    found = latency_ratios(
        {"a": calls(4000), "b": calls(1000)}, "a", "numpy", clock_cost_ns=20.0, seed=0
    )
    assert {one.quantity: one.value.estimate for one in found} == {
        "latency_p50": 4.0,
        "latency_p90": 4.0,
        "latency_p99": 4.0,
        "latency_p99_9": 4.0,
    }


def test_what_was_measured_in_one_piece_gives_no_ratio() -> None:
    """Nothing varies between pieces then, and an interval would have no width."""
    one = Samples((np.full(5000, 4000),), (), 1, WARM)
    assert not latency_ratios({"a": one, "b": one}, "a", "c", clock_cost_ns=20.0, seed=0)
    window = PacedSamples(10_000_000, np.full(5000, 50_000), np.full(5000, 4000), (5000,))
    assert not paced_ratios({"a": window, "b": window}, "a", "c", clock_cost_ns=20.0, seed=0)


def test_a_tail_that_the_clock_fills_gives_no_ratio() -> None:
    batched = Samples(calls(100).single_ns, tuple(np.full(9, 750) for _ in range(10)), 10, WARM)
    found = latency_ratios({"a": calls(4000), "b": batched}, "a", "c", clock_cost_ns=20.0, seed=0)
    # The median comes from samples of ten calls, in which the clock is small.
    assert [(one.quantity, one.value.estimate) for one in found] == [("latency_p50", 4000 / 75)]


def test_a_percentile_beyond_which_nothing_lies_gives_no_ratio() -> None:
    few = Samples(tuple(np.full(100, 4000) for _ in range(10)), (), 1, WARM)
    found = latency_ratios({"a": few, "b": few}, "a", "numpy", clock_cost_ns=20.0, seed=0)
    assert [one.quantity for one in found] == ["latency_p50", "latency_p90", "latency_p99"]


def test_a_control_loop_gives_ratios_of_its_latency_and_of_the_call() -> None:
    found = paced_ratios(
        {"a": loop(50_000, 10_000), "b": loop(50_000, 2_000)},
        "a",
        "numpy",
        clock_cost_ns=20.0,
        seed=0,
    )
    values = {one.quantity: one.value.estimate for one in found}
    assert values["paced_inference_p50"] == values["paced_inference_p99_9"] == 5.0
    assert values["paced_latency_p99"] == pytest.approx(60 / 52)


def test_a_call_that_the_clock_fills_gives_no_ratio_of_calls() -> None:
    found = paced_ratios(
        {"a": loop(50_000, 10_000), "b": loop(50_000, 100)}, "a", "c", clock_cost_ns=20.0, seed=0
    )
    assert {one.quantity for one in found} == {
        "paced_latency_p50",
        "paced_latency_p99",
        "paced_latency_p99_9",
    }


def test_compiled_code_is_compared_target_by_target() -> None:
    sizes = [
        CodeSize("a", "x86-64-v3", 70_000, 0, 600, 80_000, 120_000),
        CodeSize("a", "cortex-m4", 60_000, 0, None, None, None),
        CodeSize("b", "x86-64-v3", 3_500, 0, 200, 9_000, 50_000),
        CodeSize("b", "cortex-m4", 2_000, 0, 100, None, None),
        CodeSize("b", "cortex-m7", 2_000, 0, 100, None, None),
    ]
    found = {(one.quantity, one.backend): one.value.estimate for one in code_ratios(sizes, "a")}
    assert found == {
        ("flash_bytes", "x86-64-v3"): 20.0,
        ("stack_bytes", "x86-64-v3"): 3.0,
        ("flash_bytes", "cortex-m4"): 30.0,  # its stack is not known for both
    }


def test_how_many_ratios_hold_at_once() -> None:
    # Per backend and other subject: p50, p90, p99, p99.9; three of the loop in two ways; PSS, peak
    # and added memory; energy.
    both = ("c", "numpy")
    assert ratios_of(Request(both), 2) == 2 * (4 + 6 + 3)
    assert ratios_of(Request(both, energy_seconds=60), 3) == 2 * 2 * (4 + 6 + 3 + 1)
    assert ratios_of(Request(both, paced_seconds=0, memory=False), 2) == 2 * 4
    assert ratios_of(Request(both), 1) == 1  # no baseline, no ratio
