import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dspctl.benchmarks import load_result, measure
from dspctl.benchmarks.calls import executions
from dspctl.benchmarks.calls._execution import Job
from dspctl.benchmarks.calls.executions import Processes
from dspctl.benchmarks.command.answer import Answer
from dspctl.benchmarks.record.file import load_raw
from dspctl.benchmarks.request import Request
from dspctl.errors import BackendUnavailable, ConfigProblem, WriteFailed
from dspctl.runtime import save_policy
from tests.benchmarks.networks import network

OBSERVATIONS = np.zeros((20, 4), np.float32)


@pytest.fixture
def subjects(tmp_path: Path) -> dict[str, Path]:
    return {
        "wide": save_policy(network((4, 32, 32, 2)), tmp_path / "wide.safetensors"),
        "narrow": save_policy(network((4, 3, 2)), tmp_path / "narrow.safetensors"),
    }


def request(count: int, **changes: Any) -> Request:
    few: dict[str, Any] = {"seconds": 0.3, "paced_seconds": 0.3, "memory": False, "episodes": 0}
    return Request(("numpy",), executions=count, **{**few, **changes})


def test_every_process_is_a_block(subjects: dict[str, Path]) -> None:
    seen: list[tuple[int, int]] = []
    found = Processes(
        subjects,
        "numpy",
        OBSERVATIONS,
        request(3),
        latency=True,
        paced=True,
        on_process=lambda done, total: seen.append((done, total)),
    ).until(3)
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert list(found.samples) == list(found.steps) == ["wide", "narrow"]
    for one in found.samples.values():
        assert len(one.single_ns) == len(one.batched_ns) == 3
        assert all(block.size > 0 for block in one.body)
    for loop in found.steps.values():
        assert len(loop.window_steps) == 3
        assert sum(loop.window_steps) == loop.wakeup_ns.size == loop.inference_ns.size
        assert loop.period_ns == 10_000_000
    assert found.clock_cost_ns > 0


def test_a_full_disk_is_tried_again_and_no_defect_of_the_backend(
    subjects: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The timing is not in the result, so that the same command measures it once there is room."""
    out = tmp_path / "bench.json"
    failing = [sys.executable, "-c", "raise OSError(28, 'No space left on device')"]
    with monkeypatch.context() as full:
        full.setattr(executions, "command", lambda *_: failing)
        with pytest.raises(WriteFailed, match=r"could not write to .* \(No space left.*TMPDIR"):
            measure(subjects, request(2), out=out)
    left = load_result(out)
    assert (left.status, left.finished, left.skipped) == ("partial", (), ())
    assert measure(subjects, request(2), out=out).finished == ("numpy/latency", "numpy/paced")


def test_a_whole_benchmark_in_several_processes(subjects: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    result = measure(subjects, request(3), out=out)
    assert load_result(out) == result
    assert result.finished == ("numpy/latency", "numpy/paced")
    assert len(load_raw(out, "numpy")["wide"].single_ns) == 3
    ratio = result.ratio_of("latency_p50", "narrow", "numpy")
    assert ratio is not None
    assert ratio.value.low <= ratio.value.estimate <= ratio.value.high


def test_backends_take_turns_over_the_whole_benchmark(
    subjects: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed: list[str] = []
    run = executions._run

    def noted(job: Job, observations: NDArray[np.float32]) -> Answer:
        timed.append(job.backend)
        return run(job, observations)

    monkeypatch.setattr(executions, "_run", noted)
    asked = replace(request(3), backends=("numpy", "torch"))
    result = measure(subjects, asked, out=tmp_path / "bench.json")
    assert timed == ["numpy", "torch"] * 3
    assert result.finished == ("numpy/latency", "numpy/paced", "torch/latency", "torch/paced")
    assert list(tmp_path.glob("*.steps")) == []


def test_a_benchmark_that_is_stopped_repeats_no_process(
    subjects: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed: list[int] = []
    run = executions._run

    def stopped(job: Job, observations: NDArray[np.float32]) -> Answer:
        if len(timed) == 3:
            raise KeyboardInterrupt
        timed.append(len(timed))
        return run(job, observations)

    out = tmp_path / "bench.json"
    monkeypatch.setattr(executions, "_run", stopped)
    with pytest.raises(KeyboardInterrupt):
        measure(subjects, request(4), out=out)
    # What two processes gave is in the file already, though nothing has finished.
    left = load_result(out)
    assert (left.status, left.finished, left.backends) == ("partial", (), ("numpy",))
    kept = load_raw(out, "numpy")["wide"]
    assert len(kept.single_ns) == 2
    assert left.ratio_of("latency_p50", "narrow", "numpy") is not None

    def counted(job: Job, observations: NDArray[np.float32]) -> Answer:
        timed.append(len(timed))
        return run(job, observations)

    monkeypatch.setattr(executions, "_run", counted)
    whole = measure(subjects, request(4), out=out)
    assert len(timed) == 4  # the three before were not repeated
    assert whole.status == "complete"
    assert len(whole.latency) == len(whole.paced) == 2  # figures of a part were replaced
    again = load_raw(out, "numpy")["wide"]
    assert len(again.single_ns) == 4
    for before, after in zip(kept.single_ns, again.single_ns, strict=False):
        assert np.array_equal(before, after)
    assert {path.name for path in tmp_path.iterdir()} == {
        "bench.json",
        "bench-numpy.npz",
        "bench-numpy-paced.npz",
        "wide.safetensors",
        "narrow.safetensors",
    }


def test_what_does_not_run_is_skipped_with_its_reason(subjects: dict[str, Path]) -> None:
    found = Processes(
        subjects, "native", OBSERVATIONS, request(3), latency=True, paced=False
    ).until(3)
    assert found.samples == {}
    assert set(found.lost) == set(subjects)
    assert all("which only numpy runs" in str(why) for why in found.lost.values())


def test_a_process_that_fails_costs_its_backend_alone(
    subjects: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executions, "command", lambda *_: ["sh", "-c", "echo oh no >&2; exit 3"])
    with pytest.raises(BackendUnavailable, match=r"failed \(oh no\)"):
        Processes(subjects, "numpy", OBSERVATIONS, request(2), latency=True, paced=True).until(2)
    with pytest.raises(BackendUnavailable, match=r"no backend could run any subject.*oh no"):
        measure(subjects, request(2))


def test_a_backend_that_is_lost_midway_leaves_no_figures(
    subjects: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, tried = executions._run, list[int]()

    def failing(job: Job, observations: NDArray[np.float32]) -> Answer:
        if job.backend == "torch":
            tried.append(1)
            if len(tried) > 2:
                raise BackendUnavailable("it did not end")
        return run(job, observations)

    monkeypatch.setattr(executions, "_run", failing)
    out = tmp_path / "bench.json"
    result = measure(subjects, replace(request(4), backends=("numpy", "torch")), out=out)
    assert result == load_result(out)
    assert result.status == "complete"
    for found in (result.latency, result.paced, result.ratios):
        assert "torch" not in {one.backend for one in found}
    assert {(one.backend, one.reason) for one in result.skipped} == {("torch", "it did not end")}
    assert not list(tmp_path.glob("bench-torch*"))


@pytest.mark.parametrize("count", [0, 41])
def test_numbers_of_processes_that_are_refused(count: int) -> None:
    with pytest.raises(ConfigProblem, match="executions are from 1 to 40"):
        request(count)
