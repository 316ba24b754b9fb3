from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dspctl.benchmarks.calls.latency import Samples
from dspctl.benchmarks.calls.paced import PacedSamples
from dspctl.benchmarks.calls.scheduling import Answer, Scheduling
from dspctl.benchmarks.calls.timer import WarmUp
from dspctl.benchmarks.comparison.runs import compare_runs
from dspctl.benchmarks.record.file import save_paced_samples, save_result, save_samples
from dspctl.benchmarks.record.result import BenchResult
from dspctl.errors import NotComparable, ResultProblem
from tests.benchmarks.results import result

BACKEND = "numpy"
Change = Callable[[BenchResult], BenchResult]


def samples(median_ns: float, seed: int) -> Samples:
    """Calls that spread by a tenth around a median, in rounds."""
    rng = np.random.default_rng(seed)
    rounds = [rng.normal(median_ns, median_ns / 10, 200).astype(np.int64) for _ in range(20)]
    return Samples(tuple(rounds), (), 1, WarmUp(10, median_ns, settled=True))


def loop(median_ns: float, seed: int) -> PacedSamples:
    """A control loop whose calls are as long and whose wake-ups take 50 µs."""
    rng = np.random.default_rng(seed)
    wakeup = rng.normal(50_000, 1_000, 10_000).astype(np.int64)
    inference = rng.normal(median_ns, median_ns / 10, 10_000).astype(np.int64)
    return PacedSamples(10_000_000, wakeup, inference, (1000,) * 10)


def write(
    path: Path, medians: tuple[float, float], seed: int, change: Change | None = None
) -> Path:
    """A result of two subjects with raw samples beside it."""
    made = result({BACKEND: medians})
    save_result(made if change is None else change(made), path)
    pairs = list(zip(("unpruned", "pruned"), medians, strict=True))
    save_samples(
        {label: samples(ns, seed + i) for i, (label, ns) in enumerate(pairs)}, BACKEND, path
    )
    save_paced_samples(
        {label: loop(ns, seed + i) for i, (label, ns) in enumerate(pairs)}, BACKEND, path
    )
    return path


def test_two_runs_of_the_same_policies(tmp_path: Path) -> None:
    first = write(tmp_path / "a.json", (20_000.0, 8_000.0), 0)
    second = write(tmp_path / "b.json", (20_000.0, 4_000.0), 9)
    found = compare_runs(first, second)
    assert found.kind == "runs"
    medians = {one.first: one for one in found.figures if one.quantity == "latency_p50"}
    assert medians["unpruned"].ratio.low < 1 < medians["unpruned"].ratio.high
    assert medians["pruned"].ratio.estimate == pytest.approx(2.0, rel=0.05)
    assert medians["pruned"].ratio.low > 1.9
    quantities = {one.quantity for one in found.figures}
    assert {"latency_p99", "paced_latency_p99_9", "paced_inference_p50"} <= quantities
    assert found.verdict.startswith("With numpy, the second run is 2.0")
    assert any("not interleaved" in note for note in found.notes)


def test_a_single_long_window_is_compared_piece_by_piece(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{i}.json", (20_000.0, 8_000.0), i) for i in (0, 7)]
    for i, path in enumerate(paths):
        loops = {label: loop(8_000.0, 50 + i) for label in ("unpruned", "pruned")}
        save_paced_samples(
            {label: replace(one, window_steps=(10_000,)) for label, one in loops.items()},
            BACKEND,
            path,
        )
    figures = [one for one in compare_runs(*paths).figures if one.quantity.startswith("paced")]
    assert figures
    assert all(one.ratio.low < 1 < one.ratio.high for one in figures)


def test_names_that_differ_after_their_last_dot_are_two_results(tmp_path: Path) -> None:
    first = write(tmp_path / "lander-0.93", (20_000.0, 8_000.0), 0)
    second = write(tmp_path / "lander-0.96", (20_000.0, 4_000.0), 9)
    found = compare_runs(first, second)
    ratio = next(one.ratio for one in found.figures if one.quantity == "latency_p50")
    assert {path.name for path in tmp_path.glob("*.npz")} == {
        f"lander-0.{n}-{BACKEND}{way}.npz" for n in (93, 96) for way in ("", "-paced")
    }
    assert ratio.low < 1 < ratio.high
    pruned = [one for one in found.figures if one.first == "pruned"]
    assert any(one.ratio.estimate == pytest.approx(2.0, rel=0.05) for one in pruned)


def test_samples_that_no_call_could_have_taken(tmp_path: Path) -> None:
    sound = write(tmp_path / "a.json", (20_000.0, 8_000.0), 0)
    for name, change in (("zero", 0), ("minus", -1)):
        path = write(tmp_path / f"{name}.json", (20_000.0, 8_000.0), 9)
        strange = {
            label: replace(samples(1.0, 0), single_ns=(np.full(500, change),) * 20)
            for label in ("unpruned", "pruned")
        }
        save_samples(strange, BACKEND, path)
        found = compare_runs(sound, path)
        assert all(one.quantity.startswith("paced") for one in found.figures)
    # Samples of a subject of which the result says nothing.
    lost = write(tmp_path / "lost.json", (20_000.0, 8_000.0), 3)
    made = result({BACKEND: (20_000.0, 8_000.0)})
    save_result(replace(made, latency=made.latency[:1]), lost)
    assert {one.first for one in compare_runs(lost, lost).figures} == {"unpruned"}


def test_runs_that_do_not_differ(tmp_path: Path) -> None:
    first = write(tmp_path / "a.json", (20_000.0, 8_000.0), 0)
    second = write(tmp_path / "b.json", (20_000.0, 8_000.0), 9)
    assert "as fast as the first within the interval" in compare_runs(first, second).verdict
    slower = write(tmp_path / "c.json", (40_000.0, 24_000.0), 9)
    assert (
        "the second run takes 2.99 times (simultaneous 95% interval"
        in compare_runs(first, slower).verdict
    )


def other_cpu(made: BenchResult) -> BenchResult:
    return replace(made, machine=replace(made.machine, cpu="Cortex-A78AE"))


def other_policies(made: BenchResult) -> BenchResult:
    subjects = tuple(replace(one, sha256=one.sha256.replace("-", "x")) for one in made.subjects)
    return replace(made, subjects=subjects)


def test_the_same_policies_on_two_machines(tmp_path: Path) -> None:
    first = write(tmp_path / "a.json", (20_000.0, 8_000.0), 0)
    second = write(tmp_path / "b.json", (40_000.0, 16_000.0), 9, other_cpu)
    found = compare_runs(first, second)
    assert found.kind == "machines"
    assert "the second machine takes 1.99 times (simultaneous 95% interval" in found.verdict


def test_other_policies_on_the_same_machine(tmp_path: Path) -> None:
    first = write(tmp_path / "a.json", (20_000.0, 8_000.0), 0)
    second = write(tmp_path / "b.json", (20_000.0, 4_000.0), 9, other_policies)
    found = compare_runs(first, second)
    assert found.kind == "policies"
    assert {(one.first, one.second) for one in found.figures} == {("pruned", "pruned")}


def other_environment(made: BenchResult) -> BenchResult:
    changed = other_policies(made)
    subjects = tuple(replace(one, environment="Hopper-v5") for one in changed.subjects)
    return replace(changed, subjects=subjects)


def with_request(**changes: Any) -> Change:
    def change(made: BenchResult) -> BenchResult:
        request = replace(made.settings.request, **changes)
        return replace(made, settings=replace(made.settings, request=request))

    return change


def refused(made: BenchResult) -> BenchResult:
    asked = with_request(fifo=80)(made)
    return replace(asked, scheduling=Scheduling(fifo=Answer(80, granted=False, reason="no right")))


def granted(made: BenchResult) -> BenchResult:
    asked = with_request(fifo=80)(made)
    return replace(asked, scheduling=Scheduling(fifo=Answer(80, granted=True, reason="")))


@pytest.mark.parametrize(
    ("one", "two", "message"),
    [
        (None, lambda made: other_cpu(other_policies(made)), "neither a policy nor the machine"),
        (None, other_environment, "different environments"),
        (None, with_request(hz=200.0), r"different conditions \(hz 100\.0 and 200\.0\)"),
        (None, with_request(load=2), r"load 0 and 2"),
        (granted, refused, "--fifo was granted in one run and refused in the other"),
    ],
)
def test_what_says_nothing_is_refused(
    tmp_path: Path, one: Change | None, two: Change, message: str
) -> None:
    first = write(tmp_path / "a.json", (20_000.0, 8_000.0), 0, one)
    second = write(tmp_path / "b.json", (20_000.0, 8_000.0), 9, two)
    with pytest.raises(NotComparable, match=message):
        compare_runs(first, second)


def test_without_raw_samples_there_is_nothing_to_resample(tmp_path: Path) -> None:
    first = write(tmp_path / "a.json", (20_000.0, 8_000.0), 0)
    second = write(tmp_path / "b.json", (20_000.0, 8_000.0), 9)
    for path in tmp_path.glob("b-*.npz"):
        path.unlink()
    with pytest.raises(NotComparable, match=r"copy the \.npz files along"):
        compare_runs(first, second)


def test_an_interrupted_run_and_other_versions_are_noted(tmp_path: Path) -> None:
    def change(made: BenchResult) -> BenchResult:
        libraries = {**made.machine.libraries, "numpy": "0.0.1"}
        machine = replace(made.machine, libraries=libraries)
        return replace(made, status="partial", machine=machine)

    first = write(tmp_path / "a.json", (20_000.0, 8_000.0), 0)
    second = write(tmp_path / "b.json", (20_000.0, 8_000.0), 9, change)
    notes = compare_runs(first, second).notes
    assert any("the second run was interrupted" in note for note in notes)
    assert any(note.startswith("numpy: ") and "0.0.1 in the second" in note for note in notes)


def test_figures_that_the_clock_fills_are_not_compared(tmp_path: Path) -> None:
    first = write(tmp_path / "a.json", (200.0, 100.0), 0)
    second = write(tmp_path / "b.json", (200.0, 100.0), 9)
    quantities = {
        one.quantity for one in compare_runs(first, second).figures if one.first == "pruned"
    }
    assert "latency_p99" not in quantities  # 25 ns of clock in 120 ns
    assert "paced_inference_p50" not in quantities
    assert "paced_latency_p50" in quantities


def test_a_file_that_is_no_result(tmp_path: Path) -> None:
    first = write(tmp_path / "a.json", (20_000.0, 8_000.0), 0)
    with pytest.raises(ResultProblem, match="there is no benchmark result"):
        compare_runs(first, tmp_path / "absent.json")
