from dataclasses import replace

import numpy as np

from dspctl.benchmarks.comparison.advice import advise
from dspctl.benchmarks.comparison.verdict import verdict
from dspctl.benchmarks.record.result import Ratio
from tests.benchmarks.results import around, latency, paced, result

MEDIANS = {"c": (368.0, 9.1), "native": (700.0, 310.0), "onnxruntime": (4900.0, 4300.0)}


def test_the_verdict_takes_the_fastest_backend() -> None:
    said = verdict(result(MEDIANS))
    assert said == (
        "pruned is 40.4 times as fast as unpruned in C (9.10 ns against 368 ns; 95% interval 38.8 "
        "to 42.1) and needs 1.1% of its parameters."
    )


def test_an_interval_that_holds_1_is_called_no_difference() -> None:
    said = verdict(result({"numpy": (9000.0, 9100.0)}))
    assert said.startswith("pruned is as fast as unpruned with numpy (9.10 µs against 9.00 µs)")


def test_a_slower_subject_is_called_slower() -> None:
    said = verdict(result({"numpy": (1000.0, 2000.0)}))
    assert "is 2.00 times as slow as unpruned with numpy (2.00 µs against 1.00 µs; 95%" in said
    assert "interval 1.92 to 2.08)" in said


def test_returns_that_do_not_differ() -> None:
    rng = np.random.default_rng(0)
    base = 260 + rng.normal(0, 20, 100)
    said = verdict(result(MEDIANS, returns=(base, base + rng.normal(0, 5, 100))))
    assert "shows no difference in return: 2" in said
    assert "over 100 common episodes (difference " in said
    assert "95% interval −" in said
    assert said.endswith("% kept).")


def test_returns_that_differ_say_by_how_much() -> None:
    rng = np.random.default_rng(0)
    base = 260 + rng.normal(0, 20, 100)
    said = verdict(result(MEDIANS, returns=(base, base - 30 + rng.normal(0, 5, 100))))
    assert "earns 30" in said or "earns 29" in said
    assert " less: 2" in said
    assert "95% interval −3" in said


def test_a_share_of_a_return_that_may_be_negative_is_not_told() -> None:
    rng = np.random.default_rng(0)
    returns = rng.normal(0, 20, 100)
    found = result(MEDIANS, returns=(returns, returns + 1))
    assert found.differences[0].share is None
    assert "kept" not in verdict(found)


def test_nothing_is_compared_without_a_baseline() -> None:
    assert verdict(replace(result(MEDIANS), subjects=result(MEDIANS).subjects[:1])) == ""


def test_the_advice_names_the_fastest_that_python_can_load_and_what_c_would_take() -> None:
    one, two = advise(result(MEDIANS))
    assert (one.label, two.label) == ("unpruned", "pruned")
    assert two.backend == "native"
    assert "native takes 310 ns a call, 13.9 times as fast as onnxruntime." in two.sentence
    assert "Called from C, the same code takes 9.10 ns." in two.sentence
    assert "at 100 Hz, p99 of a call is 3.10 µs, under 1% of the period." in two.sentence


def test_backends_within_a_tenth_are_not_ranked() -> None:
    found = result({"native": (700.0, 300.0), "numpy": (9000.0, 320.0)})
    assert "numpy is as fast within 10%." in advise(found)[1].sentence


def test_a_faster_torch_is_named_as_faster() -> None:
    (_, pruned) = advise(result({"numpy": (200_000.0, 200_000.0), "torch": (100_000.0, 100_000.0)}))
    assert pruned.backend == "numpy"
    assert "torch is 2.00 times as fast" in pruned.sentence
    assert "within 10%" not in pruned.sentence


def test_torch_is_advised_only_where_nothing_else_ran() -> None:
    assert advise(result({"torch": (1e4, 9e3), "numpy": (2e4, 1.9e4)}))[1].backend == "numpy"
    alone = advise(result({"torch": (1e4, 9e3)}))[1]
    assert alone.backend == "torch"
    assert "no other was measured" in alone.sentence


def test_a_call_that_fills_the_period_is_remarked_upon() -> None:
    base = result({"numpy": (9000.0, 9000.0)})
    slow = replace(base, paced=(paced("pruned", "numpy", 2e6),))
    assert "choose a faster backend or a lower rate" in advise(slow)[1].sentence


def test_a_subject_that_ran_nowhere_gets_no_advice() -> None:
    base = result(MEDIANS)
    only = replace(base, latency=(latency("pruned", "c", 9.0),))
    assert [one.label for one in advise(only)] == ["pruned"]


def test_a_subject_without_a_ratio_of_speed_is_judged_by_the_rest() -> None:
    base = result(MEDIANS)
    sizes = tuple(one for one in base.ratios if one.backend is None)
    assert verdict(replace(base, ratios=sizes)) == "pruned needs 1.1% of its parameters."
    assert verdict(replace(base, ratios=())) == ""
    grown = Ratio("parameter_bytes", None, "unpruned", "pruned", around(0.5, 0))
    assert verdict(replace(base, ratios=(grown,))) == "pruned needs 2.00 times its parameters."
