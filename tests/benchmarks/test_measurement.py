import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dspctl.benchmarks import BenchResult, keeper, load_result, measure, measurement
from dspctl.benchmarks import request as requests
from dspctl.benchmarks.calls import running, timing
from dspctl.benchmarks.calls.latency import measure_latency
from dspctl.benchmarks.calls.load import Load
from dspctl.benchmarks.keeper import Progress
from dspctl.benchmarks.memory.process import prepare
from dspctl.benchmarks.record.file import load_raw, save_result
from dspctl.benchmarks.request import Request
from dspctl.benchmarks.subjects import choose_observations
from dspctl.errors import (
    BackendUnavailable,
    ConfigProblem,
    InvalidRate,
    MissingExtra,
    ObservationShape,
    OutputExists,
    PolicyNotFound,
    ResultProblem,
    UnknownBackend,
)
from dspctl.runtime import Normalizer, NumpyRunner, ObservationSpec, load_policy, save_policy
from tests.benchmarks.networks import masked, network
from tests.benchmarks.results import paced
from tests.benchmarks.results import result as result_of

SECONDS = 0.1


def quick(*backends: str, **changes: Any) -> Request:
    """A request for little: latency alone, as short as it may be."""
    few: dict[str, Any] = {"paced_seconds": SECONDS, "memory": False, "episodes": 0}
    chosen = backends or ("numpy",)
    return Request(chosen, seconds=SECONDS, **{**few, **changes})


@pytest.fixture
def subjects(tmp_path: Path) -> dict[str, Path]:
    return {
        "unpruned": save_policy(network((4, 32, 32, 2)), tmp_path / "unpruned.safetensors"),
        "pruned": save_policy(network((4, 3, 2, 2)), tmp_path / "pruned.safetensors"),
    }


@pytest.fixture
def two_backends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two backends that are both NumPy, and a third that cannot run here."""

    def open_runner(path: Path, backend: str) -> NumpyRunner:
        if backend == "absent":
            raise MissingExtra("absent", "export", "the absent backend")
        return NumpyRunner(load_policy(path))

    monkeypatch.setattr(requests, "BACKENDS", ("one", "absent", "two"))
    monkeypatch.setattr(running, "open_runner", open_runner)


def test_a_whole_measurement(subjects: dict[str, Path], tmp_path: Path) -> None:
    seen: list[Progress] = []
    out = tmp_path / "out" / "bench.json"
    result = measure(subjects, quick(memory=True), out=out, on_progress=seen.append)
    assert result.status == "complete"
    assert [one.label for one in result.subjects] == ["unpruned", "pruned"]
    # By hand: 4*32 + 32*32 + 32*2 weights, and (2 in - 1) out for each layer (DSP Eq 23).
    unpruned, pruned = result.subjects
    assert unpruned.weights == 128 + 1024 + 64
    assert unpruned.flops == 7 * 32 + 63 * 32 + 63 * 2
    assert pruned.units == (3, 2)
    assert pruned.weights == 12 + 6 + 4
    assert unpruned.policy_bytes == subjects["unpruned"].stat().st_size
    ratio = result.ratio_of("weights", "pruned")
    assert ratio is not None
    assert ratio.value.estimate == pytest.approx(1216 / 22)
    speed = result.ratio_of("latency_p50", "pruned", "numpy")
    assert speed is not None
    assert speed.value.low <= speed.value.estimate <= speed.value.high
    figures = result.latency_of("pruned", "numpy")
    assert figures is not None
    assert figures.min_ns <= figures.p50_ns.estimate <= figures.p90_ns
    assert figures.p90_ns <= figures.p99_ns <= figures.p99_9_ns <= figures.max_ns
    assert result.fastest("pruned") is figures
    memory = result.memory_of("unpruned", "numpy")
    assert memory is not None
    assert memory.median("peak_rss_bytes") > 1 << 20
    assert {one.stage for one in seen} == {"latency", "paced", "memory"}
    assert seen[-1].done == seen[-1].total


def test_written_and_read_back(subjects: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    result = measure(subjects, quick("c", "native", "numpy"), out=out)
    read = load_result(out)
    assert read == result
    for label, samples in result.samples["numpy"].items():
        assert np.array_equal(read.samples["numpy"][label], samples)
        figures = read.latency_of(label, "numpy")
        assert figures is not None
        assert figures.single_calls == samples.size
    raw = load_raw(out, "numpy")
    assert raw.keys() == subjects.keys()
    one = raw["pruned"]
    assert len(one.single_ns) == result.settings.rounds
    assert len(one.batched_ns) in (0, result.settings.rounds)  # none for calls of microseconds
    assert len(one.wakeup_ns) == len(one.inference_ns)
    with np.load(tmp_path / "bench-numpy-paced.npz") as archive:
        for label in subjects:
            paced = result.paced_of(label, "numpy")
            assert paced is not None
            latency_ns = archive[f"wakeup:{label}"] + archive[f"inference:{label}"]
            assert latency_ns.size == archive[f"window_steps:{label}"].sum() == paced.steps
            assert latency_ns.max() == paced.latency_ns.max
    # The JSON alone is enough for the figures.
    (tmp_path / "bench-numpy.npz").unlink()
    assert load_result(out).samples == {"numpy": {}}
    # Policy files are refused by the other backends, with a reason that names no folder.
    assert result.skipped
    assert str(tmp_path) not in out.read_text()


def test_every_write_is_a_valid_result(
    subjects: dict[str, Path],
    tmp_path: Path,
    two_backends: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "bench.json"
    states: list[BenchResult] = []
    save = save_result

    def save_and_read(result: BenchResult, path: Path) -> None:
        save(result, path)
        states.append(load_result(path))

    monkeypatch.setattr(keeper, "save_result", save_and_read)
    result = measure(subjects, quick("one", "absent", "two"), out=out)
    assert [one.status for one in states] == ["partial"] * (len(states) - 1) + ["complete"]
    finished = [one.finished for one in states]
    assert all(later[: len(now)] == now for now, later in pairwise(finished))
    assert finished[-1] == (
        "one/latency",
        "one/paced",
        "absent/latency",
        "two/latency",
        "two/paced",
    )
    for one in states:  # whatever is called finished is there, ratios included
        for backend in ("one", "two"):
            timed = f"{backend}/latency" in one.finished
            assert (one.latency_of("pruned", backend) is not None) == timed
            assert (one.ratio_of("latency_p50", "pruned", backend) is not None) == timed
            looped = f"{backend}/paced" in one.finished
            assert (one.paced_of("pruned", backend) is not None) == looped
    assert states[-1] == result


def test_a_crash_leaves_what_was_finished(
    subjects: dict[str, Path],
    tmp_path: Path,
    two_backends: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "bench.json"
    real: Callable[..., Any] = measure_latency
    calls = 0

    def crash_second(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(timing, "measure_latency", crash_second)
    with pytest.raises(KeyboardInterrupt):
        measure(subjects, quick("one", "two"), out=out)
    left = load_result(out)
    assert left.status == "partial"
    assert left.backends == ("one",)
    assert left.ratio_of("latency_p50", "pruned", "one") is not None
    assert left.samples["one"]["pruned"].size > 0
    assert not list(tmp_path.glob(".*tmp"))
    # The same request goes on where it stopped, and measures nothing twice.
    whole = measure(subjects, quick("one", "two"), out=out)
    assert whole.status == "complete"
    assert whole.finished[: len(left.finished)] == left.finished
    assert whole.latency[: len(left.latency)] == left.latency
    assert whole.backends == ("one", "two")
    assert calls == 3  # "one", then "two" twice: it was interrupted


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "it is complete"),
        ({"hz": 200.0}, "it was asked for with another hz"),
        ({"seed": 1}, "it was asked for with another seed"),
    ],
)
def test_a_result_of_another_benchmark_is_neither_continued_nor_lost(
    subjects: dict[str, Path], tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    out = tmp_path / "bench.json"
    found = measure(subjects, quick(), out=out)
    if changes:
        save_result(replace(found, status="partial"), out)
    before = out.read_bytes()
    with pytest.raises(OutputExists, match=reason):
        measure(subjects, quick(**changes), out=out)
    assert out.read_bytes() == before


def test_a_partial_result_of_other_subjects_is_not_continued(
    subjects: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "bench.json"
    found = measure(subjects, quick(), out=out)
    save_result(replace(found, status="partial"), out)
    with pytest.raises(OutputExists, match="its subjects are other ones"):
        measure({"unpruned": subjects["unpruned"]}, quick(), out=out)


def test_what_cannot_run_is_listed_with_its_reason(
    subjects: dict[str, Path], two_backends: None
) -> None:
    result = measure(subjects, quick("one", "absent", "two"))
    assert {(one.label, one.backend) for one in result.skipped} == {
        ("unpruned", "absent"),
        ("pruned", "absent"),
    }
    assert all("pip install" in one.reason for one in result.skipped)


def test_one_subject_alone_on_a_backend_gets_figures_but_no_ratio(
    subjects: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_runner(path: Path, backend: str) -> NumpyRunner:
        if "unpruned" in path.name:
            raise BackendUnavailable("too large for this device: prune it")
        return NumpyRunner(load_policy(path))

    monkeypatch.setattr(running, "open_runner", open_runner)
    result = measure(subjects, quick())
    assert result.latency_of("pruned", "numpy") is not None
    assert result.latency_of("unpruned", "numpy") is None
    assert result.ratio_of("latency_p50", "pruned", "numpy") is None
    assert [one.label for one in result.skipped] == ["unpruned"]


def test_memory_that_cannot_be_measured_is_listed_with_its_reason(
    subjects: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(path: Path, backend: str) -> None:
        if path == subjects["unpruned"]:
            raise BackendUnavailable("its process was killed")
        prepare(path, backend)

    monkeypatch.setattr(measurement, "prepare", failing)
    result = measure(subjects, quick(memory=True))
    assert [one.label for one in result.memory] == ["pruned"]
    assert [(one.label, one.backend, one.reason) for one in result.skipped] == [
        ("unpruned", "numpy", "its process was killed")
    ]


def test_nothing_runs(subjects: dict[str, Path], tmp_path: Path, two_backends: None) -> None:
    out = tmp_path / "bench.json"
    with pytest.raises(BackendUnavailable, match=r"no backend could run any subject.*absent"):
        measure(subjects, quick("absent"), out=out)
    assert len(load_result(out).skipped) == 2


def test_bundles_are_measured_on_onnx_runtime(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    from dspctl.exporter import export

    paths = {"unpruned": tmp_path / "large", "pruned": tmp_path / "small"}
    export(network((4, 32, 32, 2)), "cpu", paths["unpruned"])
    export(network((4, 3, 2, 2)), "cpu", paths["pruned"])
    result = measure(paths, quick(*requests.BACKENDS))
    assert set(result.backends) >= {"c", "native", "numpy", "onnxruntime"}
    assert {each.backend for each in result.skipped} <= {"tensorrt"}  # no plan is built here
    assert {one.backend for one in result.paced} == set(result.backends)
    assert {one.label for one in result.code} == set(paths)
    flash = result.ratio_of("flash_bytes", "pruned", result.code[0].target)
    assert flash is not None
    assert flash.value.estimate > 1
    assert [one.label for one in result.advice] == list(paths)
    assert result.verdict.startswith("pruned ")
    for subject in result.subjects:
        assert subject.kind == "bundle"
        assert subject.onnx_bytes == (paths[subject.label] / "policy.onnx").stat().st_size


def test_a_masked_policy_gets_a_note(tmp_path: Path) -> None:
    policy = masked(network((4, 8, 8, 2)), [[0, 1], [2, 3]])
    path = save_policy(policy, tmp_path / "masked.safetensors")
    result = measure({"masked": path}, quick())
    assert any("still stores its masked units" in note for note in result.notes)


def test_the_control_loop_can_be_left_out(subjects: dict[str, Path]) -> None:
    result = measure(subjects, quick(hz=1.0, paced_seconds=0.0))
    assert result.paced == ()
    assert result.status == "complete"


def test_a_result_without_episodes_can_be_read_again(
    subjects: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "bench.json"
    unknown = {
        label: save_policy(replace(load_policy(path), environment="Nowhere-v9"), path, force=True)
        for label, path in subjects.items()
    }
    result = measure(unknown, quick(episodes=2), out=out)
    assert {one.backend for one in result.skipped} >= {"return"}
    assert load_result(out) == result


def test_the_load_is_where_calls_are_timed(
    subjects: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int | None]] = []

    @contextmanager
    def noted(processes: int, cpu: int | None = None) -> Iterator[Load]:
        asked.append((processes, cpu))
        yield Load((1, 2), 0, cpu)

    monkeypatch.setattr(measurement, "background_load", noted)
    measure(subjects, quick(load=2, cpu=0))
    assert asked == [(2, 0)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0, "deadline_misses": 0}, "no steps"),
        ({"steps": 3, "deadline_misses": 4}, "missed more"),
    ],
)
def test_loops_that_cannot_have_been(tmp_path: Path, change: dict[str, int], message: str) -> None:
    made = result_of({"numpy": (1000.0, 100.0)})
    loop = replace(paced("pruned", "numpy", 100.0), **change)  # type: ignore[arg-type]
    save_result(replace(made, paced=(loop,)), tmp_path / "bench.json")
    with pytest.raises(ResultProblem, match=message):
        load_result(tmp_path / "bench.json")


def test_what_the_machine_refuses_is_in_the_result_once(
    subjects: dict[str, Path], tmp_path: Path, two_backends: None
) -> None:
    out = tmp_path / "bench.json"
    result = measure(subjects, quick("one", "two", cpu=10**6), out=out)
    assert result.scheduling.cpu is not None
    assert not result.scheduling.cpu.granted
    assert len([note for note in result.notes if "processor 1000000" in note]) == 1
    assert load_result(out) == result


@pytest.mark.parametrize(
    ("broken", "error"),
    [
        ("none", ConfigProblem),
        ("missing", PolicyNotFound),
        ("sizes", ObservationShape),
        ("recorded", ObservationShape),
    ],
)
def test_refused_before_anything_is_measured(
    subjects: dict[str, Path], tmp_path: Path, broken: str, error: type[Exception]
) -> None:
    other = save_policy(network((5, 3, 2)), tmp_path / "other.safetensors")
    given = {
        "none": {},
        "missing": {"x": tmp_path / "absent.safetensors"},
        "sizes": {**subjects, "other": other},
    }.get(broken, subjects)
    with pytest.raises(error):
        measure(given, quick(), observations=np.zeros((3, 7)) if broken == "recorded" else None)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"backends": ("typo",)}, UnknownBackend, "no backend 'typo': choose from c, native"),
        ({"backends": ()}, ConfigProblem, "must be different ones, not none"),
        ({"backends": ("c", "c")}, ConfigProblem, "must be different ones, not c, c"),
        ({"seconds": 0.0}, ConfigProblem, "seconds must be a positive number"),
        ({"seconds": float("nan")}, ConfigProblem, "seconds must be a positive number"),
        ({"hz": 20.0}, InvalidRate, "from 50 to 10,000 Hz"),
        ({"paced_seconds": -1.0}, ConfigProblem, "paced seconds must be a positive number"),
        ({"load": -1}, ConfigProblem, "background load is from 0"),
        ({"energy_seconds": -1.0}, ConfigProblem, "energy seconds must be 0 or"),
        ({"episodes": -1}, ConfigProblem, "episodes and seed must be 0 or more"),
        ({"fifo": 100}, ConfigProblem, "SCHED_FIFO is from 1 to 99"),
    ],
)
def test_a_request_that_cannot_be_measured_is_refused_when_it_is_made(
    changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Request(**changes)


def test_recorded_observations_are_drawn_without_repetition() -> None:
    recorded = np.arange(40.0).reshape(10, 4)
    chosen, origin = choose_observations(network((4, 2)), recorded, seed=0, count=6)
    assert origin == "6 of 10 recorded observations"
    assert chosen.dtype == np.float32
    assert len(np.unique(chosen[:, 0])) == 6
    assert set(chosen[:, 0]) <= set(recorded[:, 0])


def test_random_observations_follow_bounds_and_statistics() -> None:
    policy = network((4, 2))
    spec = ObservationSpec(
        np.array([-1, -3.4e38, -np.inf, 0], np.float32),
        np.array([1, 3.4e38, np.inf, 5], np.float32),
    )
    plain = replace(policy, observation=spec)
    drawn, _ = choose_observations(plain, None, seed=0, count=4000)
    assert np.abs(drawn[:, 0]).max() <= 1
    assert np.abs(drawn[:, :1].mean()) < 0.05
    assert drawn[:, 1].std() == pytest.approx(1, rel=0.1)
    assert drawn[:, 3].min() >= 0
    assert drawn[:, 3].max() <= 5
    normalizer = Normalizer(
        mean=np.array([0, 7, 100, 2], np.float32), scale=np.array([1, 0.5, 0.1, 1], np.float32)
    )
    drawn, _ = choose_observations(replace(plain, normalizer=normalizer), None, seed=0, count=4000)
    assert drawn[:, 1].mean() == pytest.approx(7, abs=0.2)
    assert drawn[:, 2].std() == pytest.approx(10, rel=0.1)
    assert np.abs(drawn[:, 0]).max() <= 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there is no benchmark result"),
        ("{", "is not a JSON file"),
        ("[]", "is not a benchmark result"),
        ('{"kind": "dspctl.bench", "schema": 99}', "schema 99"),
        ('{"kind": "dspctl.bench", "schema": 1}', "schema 1, this dspctl reads 4: run the"),
        ('{"kind": "dspctl.bench", "schema": 4}', "is malformed"),
    ],
)
def test_unreadable_results(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "bench.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ResultProblem, match=message):
        load_result(path)


@pytest.mark.parametrize(
    "change", ["unknown field", "missing field", "status", "nested", "paced", "request", "backend"]
)
def test_malformed_results(subjects: dict[str, Path], tmp_path: Path, change: str) -> None:
    out = tmp_path / "bench.json"
    measure(subjects, quick(), out=out)
    values = json.loads(out.read_text())
    if change == "unknown field":
        values["extra"] = 1
    elif change == "missing field":
        del values["ratios"]
    elif change == "status":
        values["status"] = "finished"
    elif change == "paced":
        values["paced"][0]["wakeup_ns"]["p42"] = 1.0
    elif change == "request":
        values["scheduling"]["cpu"] = {"value": 1}
    elif change == "backend":
        values["latency"][0]["backend"] = "../elsewhere"  # it would become a file's name
    else:
        del values["latency"][0]["p99_ns"]
    out.write_text(json.dumps(values))
    with pytest.raises(ResultProblem, match="is malformed"):
        load_result(out)
