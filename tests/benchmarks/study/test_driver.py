"""What runs and in which order, with an engine that trains nothing."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from dspctl.benchmarks.study.cell import RECORD, Finished
from dspctl.benchmarks.study.driver import run_study
from dspctl.benchmarks.study.engines import Event
from dspctl.benchmarks.study.folder import StudyFolder, open_folder
from dspctl.benchmarks.study.plan import Cell, plan
from dspctl.benchmarks.study.progress import Overview, Watcher
from dspctl.benchmarks.study.record import load_results
from dspctl.errors import ConfigProblem, OtherStudy, OutputExists, ResultProblem, StudyLocked
from dspctl.runtime.files import write_json
from tests.benchmarks.study.studies import result_of, small


class Recorded:
    """Finishes cells in the order in which they were started, or fails them."""

    def __init__(self, folder: StudyFolder, slots: int, failing: str = "") -> None:
        self.folder, self.slots, self.failing = folder, slots, failing
        self.started: list[str] = []
        self.waiting: list[Cell] = []
        self.most = 0
        self.stopping = self.closed = False

    def start(self, cell: Cell) -> None:
        self.started.append(cell.key)
        self.waiting.append(cell)
        self.most = max(self.most, len(self.waiting))

    def wait(self, timeout_s: float) -> Sequence[Event]:
        cell = self.waiting.pop(0)
        if self.stopping:
            return [Event(cell.key, "stopped")]
        if self.failing and self.failing in cell.key:
            return [Event(cell.key, "failed", text="it was to fail")]
        path = self.folder.cell(cell.key) / RECORD
        write_json(path, Finished(result_of(cell), {"cpu": "none"}).to_json())
        half = Event(cell.key, "steps", 2048, 4096, "pruning")
        return [half, Event(cell.key, "finished")]

    def stop(self) -> None:
        self.stopping = True

    def close(self) -> None:
        self.closed = True


class Engines:
    """Makes engines and keeps them."""

    def __init__(self, slots: int = 2, failing: str = "") -> None:
        self.slots, self.failing = slots, failing
        self.made: list[Recorded] = []

    def __call__(self, folder: StudyFolder) -> Recorded:
        self.made.append(Recorded(folder, self.slots, self.failing))
        return self.made[-1]


def test_teachers_first_and_never_more_than_there_are_slots(tmp_path: Path) -> None:
    spec, engines = small(methods=["dsp-kd", "dsp"], seeds=[0, 1, 2]), Engines(slots=2)
    seen: list[Overview] = []
    outcome = run_study(spec, tmp_path / "s", engines, watcher=Watcher(on_overview=seen.append))
    (engine,) = engines.made
    cells = {cell.key: cell for cell in plan(spec)}
    assert sorted(engine.started) == sorted(cells)
    assert engine.most == 2
    assert engine.closed
    for key in engine.started:
        teacher = cells[key].teacher
        assert not teacher or outcome.ran.index(teacher) < engine.started.index(key)
    assert [cell.key for cell in outcome.results.cells] == sorted(cells)
    assert load_results(tmp_path / "s" / "results.json") == outcome.results
    assert (seen[-1].done, seen[-1].total, seen[-1].steps_left) == (9, 9, 0)
    # At first all 9 cells of 4096 steps are left.
    assert (seen[0].done, seen[0].steps_left) == (0, 9 * 4096)


def test_only_what_is_missing_runs(tmp_path: Path) -> None:
    engines = Engines()
    first = run_study(small(seeds=[0, 1]), tmp_path, engines)
    again = run_study(small(seeds=[0, 1]), tmp_path, engines)
    more = run_study(small(seeds=[0, 1, 2], methods=["dsp", "ppo"]), tmp_path, engines)
    assert (len(first.ran), len(again.ran), len(more.ran)) == (2, 0, 4)
    assert len(more.results.cells) == 6
    assert not set(first.ran) & set(more.ran)


def test_results_are_made_again_from_the_cells(tmp_path: Path) -> None:
    engines = Engines()
    before = run_study(small(), tmp_path, engines)
    (tmp_path / "results.json").unlink()
    (tmp_path / "results.sqlite").unlink()
    assert run_study(small(), tmp_path, engines).results == before.results
    assert (tmp_path / "results.sqlite").is_file()


def test_a_lost_teacher_takes_its_students_along_and_nobody_else(tmp_path: Path) -> None:
    spec = small(methods=["ppo", "dsp", "dsp-kd"])
    outcome = run_study(spec, tmp_path, Engines(failing="ppo-seed0"))
    assert sorted(failure.title for failure in outcome.failures) == [
        "CartPole-v1 dsp-kd 50% lambda 0.0001 seed 0",
        "CartPole-v1 ppo seed 0",
    ]
    student = next(one for one in outcome.failures if "kd" in one.title)
    assert student.reason == "its teacher was given up: it was to fail"
    assert len(outcome.results.cells) == 4
    # The next call tries them again.
    assert len(run_study(spec, tmp_path, Engines()).ran) == 2


def test_asked_to_stop_nothing_new_is_started(tmp_path: Path) -> None:
    engines, finished = Engines(slots=1), list[str]()
    outcome = run_study(
        small(seeds=[0, 1, 2, 3]),
        tmp_path,
        engines,
        watcher=Watcher(on_result=lambda result: finished.append(result.key)),
        should_stop=lambda: len(finished) == 2,
    )
    assert outcome.stopped
    assert len(outcome.ran) == len(engines.made[0].started) == 2
    assert len(load_results(tmp_path / "results.json").cells) == 2


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"name": "other"}, "name"),
        ({"episodes": 6}, "episodes"),
        ({"settings": {"steps": 4096}}, "settings"),
        ({"seeds": [1]}, "seeds"),
        ({"sparsities": []}, "sparsities"),
        ({"penalties": [1e-3]}, "penalties"),
        ({"search": {"penalties": [1e-3]}}, "search"),
    ],
)
def test_another_study_in_the_folder_is_left_alone(
    tmp_path: Path, changes: dict[str, object], named: str
) -> None:
    run_study(small(), tmp_path, Engines())
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(OtherStudy, match=f"with other {named}"):
        run_study(small(**changes), tmp_path, Engines())
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("a")
    with pytest.raises(OutputExists, match="no study"):
        run_study(small(), tmp_path, Engines())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_two_processes_do_not_share_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dspctl.benchmarks.study.folder._LOCK_S", 0.2)
    with (
        open_folder(tmp_path, small()),
        pytest.raises(StudyLocked, match=rf"another process \({os.getpid()}\)"),
    ):
        run_study(small(), tmp_path, Engines())
    assert len(run_study(small(), tmp_path, Engines()).ran) == 2


def test_what_killed_processes_left_is_removed_and_keeps_nobody_out(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "study", tmp_path / "elsewhere"
    for path in (folder, elsewhere):
        path.mkdir()
    half = ".study.json.01234567.tmp"
    (folder / ".lock").write_text("1\n")
    (folder / half).write_text("{")
    (elsewhere / half).write_text("precious")
    (key, _) = run_study(small(), folder, Engines()).ran
    assert not (folder / half).exists()
    left = [
        folder / ".results.json.01234567.tmp",
        folder / "cells" / key / ".cell.json.01234567.tmp",
    ]
    for path in left:
        path.write_text("{")
    (folder / "cells" / "link").symlink_to(elsewhere)
    run_study(small(), folder, Engines())
    assert [path for path in left if path.exists()] == []
    assert (elsewhere / half).read_text() == "precious"


def test_a_damaged_record_is_named_and_not_replaced(tmp_path: Path) -> None:
    key = run_study(small(), tmp_path, Engines()).ran[0]
    path = tmp_path / "cells" / key / RECORD
    values = json.loads(path.read_text())
    del values["cell"]["flops"]
    path.write_text(json.dumps(values))
    with pytest.raises(ResultProblem, match="lacks the field 'flops'"):
        run_study(small(), tmp_path, Engines())
    assert path.is_file()


def test_files_from_elsewhere_replace_a_run_and_stay_in_it(tmp_path: Path) -> None:
    with open_folder(tmp_path / "s", small()) as folder:
        folder.receive("a", {"candidates/000001.safetensors": b"1", "run.json": b"{}"}, b"{}")
        assert (folder.run("a") / "candidates" / "000001.safetensors").read_bytes() == b"1"
        folder.receive("a", {"run.json": b"[]"}, None)
        assert [path.name for path in folder.run("a").iterdir()] == ["run.json"]
        with pytest.raises(ConfigProblem, match="outside"):
            folder.receive("a", {"run.json": b"2", "../../../../gone": b""}, None)
        assert (folder.run("a") / "run.json").read_bytes() == b"[]"
    assert not list(tmp_path.rglob("gone"))
