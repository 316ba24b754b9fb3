from dataclasses import replace

import numpy as np
import pytest

from dspctl.benchmarks.comparison.sweep import (
    crossovers,
    is_sweep,
    sweep_policies,
    sweep_verdict,
    width_of,
)
from dspctl.benchmarks.record.result import BenchResult
from dspctl.errors import ConfigProblem
from tests.benchmarks.networks import network
from tests.benchmarks.results import latency, result, subject

WIDTHS = (8, 32, 128)


def swept(curves: dict[str, tuple[float, ...]], share: float = 0.02) -> BenchResult:
    """A sweep over `WIDTHS` with these medians."""
    return replace(
        result({"numpy": (1.0, 1.0)}),
        subjects=tuple(subject(f"width {width}", (width, width)) for width in WIDTHS),
        latency=tuple(
            latency(f"width {width}", backend, ns, share)
            for backend, curve in curves.items()
            for width, ns in zip(WIDTHS, curve, strict=True)
        ),
    )


def test_policies_differ_in_width_alone() -> None:
    policy = network((4, 8, 8, 2))
    found = sweep_policies(policy, [32, 8, 8])
    assert [width_of(label) for label in found] == [8, 32]
    for label, one in found.items():
        assert one.counts.units == (width_of(label),) * 2
        assert one.hidden[0].activation == "tanh"
        assert one.guard is policy.guard
        assert one.action is policy.action
        observation = np.zeros((1, 4), np.float32)
        assert np.isfinite(one.outputs(observation)).all()


def test_the_same_seed_makes_the_same_policies() -> None:
    one, two = (sweep_policies(network((4, 8, 2)), [4, 8], seed=3) for _ in range(2))
    for label in one:
        assert np.array_equal(one[label].layers[0].weight, two[label].layers[0].weight)


@pytest.mark.parametrize("widths", [[], [8], [8, 8], [0, 8], [8, 5000]])
def test_widths_that_make_no_sweep(widths: list[int]) -> None:
    with pytest.raises(ConfigProblem, match="at least two different widths from 1 to 4096"):
        sweep_policies(network((4, 8, 2)), widths)


def test_where_two_backends_cross() -> None:
    # From 1 / 4 to 4 over widths 8 to 128: equal half way, in logarithms.
    found = swept({"native": (100.0, 1000.0, 16000.0), "onnxruntime": (4000.0, 4000.0, 4000.0)})
    (one,) = crossovers(found)
    assert (one.below, one.above, one.between) == ("native", "onnxruntime", (32, 128))
    assert one.width == pytest.approx(64.0)
    said = sweep_verdict(found)
    assert said == (
        "Fastest is native from width 8 to 32 and onnxruntime at width 128; "
        "onnxruntime overtakes native near width 64.0."
    )


def test_backends_that_never_cross() -> None:
    found = swept({"native": (1.0, 2.0, 3.0), "numpy": (4.0, 5.0, 6.0)})
    assert crossovers(found) == ()
    assert sweep_verdict(found) == "Fastest is native from width 8 to 128."


def test_the_static_program_is_told_apart_from_what_python_calls() -> None:
    found = swept({"c": (1.0, 2.0, 3.0), "native": (5.0, 6.0, 7.0), "numpy": (8.0, 9.0, 9.5)})
    assert sweep_verdict(found) == (
        "Fastest is c from width 8 to 128; called from Python, native from width 8 to 128."
    )


def test_overlapping_intervals_do_not_cross_at_random() -> None:
    found = swept({"a": (100.0, 101.0, 99.0), "b": (101.0, 100.0, 100.0)}, share=0.05)
    assert crossovers(found) == ()


def test_a_sweep_is_told_by_its_labels() -> None:
    assert is_sweep(swept({"native": (1.0, 2.0, 3.0)}))
    assert not is_sweep(result({"native": (1.0, 2.0)}))
