"""Cells of other studies: what is taken over, what is trained all the same, what is refused."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from dspctl.benchmarks.study import reuse
from dspctl.benchmarks.study.cell import RECORD, RUN, Finished
from dspctl.benchmarks.study.driver import run_study
from dspctl.benchmarks.study.engines import Event
from dspctl.benchmarks.study.engines.local import LocalEngine
from dspctl.benchmarks.study.folder import StudyFolder, open_folder
from dspctl.benchmarks.study.plan import Cell, plan
from dspctl.benchmarks.study.progress import Watcher
from dspctl.benchmarks.study.record import load_results
from dspctl.benchmarks.study.spec import StudySpec
from dspctl.errors import ConfigProblem, NoStudy, ResultProblem
from dspctl.runtime.files import write_json
from dspctl.trainer import load_run
from tests.benchmarks.study.studies import SETTINGS, result_of, small
from tests.benchmarks.study.test_driver import Recorded

WHOLE = "whole"
"""A file that makes a folder a run here, where nothing is trained."""


class WithRuns(Recorded):
    """Finishes cells, and leaves something for a run; a teacher has to have one."""

    def start(self, cell: Cell) -> None:
        assert not cell.teacher or (self.folder.run(cell.teacher) / WHOLE).is_file()
        super().start(cell)

    def wait(self, timeout_s: float) -> Sequence[Event]:
        events = super().wait(timeout_s)
        for event in events:
            if event.kind == "finished":
                run = self.folder.run(event.key)
                (run / "tensorboard").mkdir(parents=True, exist_ok=True)
                (run / "tensorboard" / "events").write_text("large")
                (run / WHOLE).write_text(event.key)
        return events


class Calls:
    """Runs studies, and keeps what they started and said."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.notes: list[str] = []

    def __call__(self, spec: StudySpec, path: Path, *sources: Path) -> list[str]:
        """Keys of what was trained."""
        engines: list[WithRuns] = []

        def make(folder: StudyFolder) -> WithRuns:
            engines.append(WithRuns(folder, 2))
            return engines[0]

        watcher = Watcher(on_note=self.notes.append)
        outcome = run_study(spec, path, make, reuse=sources, watcher=watcher)
        self.reused = outcome.reused
        return engines[0].started


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> Calls:
    monkeypatch.setattr(reuse, "finished_run", lambda run: (run / WHOLE).is_file())
    return Calls()


def files(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Everything in a folder: contents and times."""
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def lines(folder: Path) -> list[str]:
    """The lines of the cells in a study's results."""
    text = (folder / "results.json").read_text()
    return [one.strip().rstrip(",") for one in text.splitlines() if '"curve"' in one]


def methods_of(keys: list[str]) -> list[str]:
    return sorted(key.split("-seed")[0].split("-v1-")[1] for key in keys)


def test_a_folder_gives_records_and_runs_and_stays_as_it_is(study: Calls, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    study(small(methods=["ppo", "dsp"]), one)
    before = files(one)
    started = study(small(name="two", methods=["ppo", "dsp", "ssl"]), two, one)
    assert methods_of(started) == ["ssl-s0.5-l0.0001"] * 2
    assert len(study.reused) == 4
    assert files(one) == before
    assert set(lines(one)) < set(lines(two))
    for key in study.reused:
        mine, theirs = two / "cells" / key, one / "cells" / key
        assert (mine / RECORD).read_bytes() == (theirs / RECORD).read_bytes()
        assert (mine / RUN / WHOLE).read_bytes() == (theirs / RUN / WHOLE).read_bytes()
        # What is written into one must never reach the other.
        assert (mine / RUN / WHOLE).stat().st_nlink == 1
        assert [path.name for path in (mine / RUN).iterdir()] == [WHOLE]
    assert study.notes == [f"4 finished runs are taken over from {one}"]


def test_a_results_file_gives_all_but_the_teachers_that_are_needed(
    study: Calls, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    study(small(methods=["ppo", "dsp", "dsp-kd"], seeds=[0]), one)
    stored = tmp_path / "stored.json"
    stored.write_bytes((one / "results.json").read_bytes())
    # Seed 0 has its student, whose teacher is needed no more; of seed 1 there is nothing.
    started = study(small(methods=["ppo", "dsp", "dsp-kd"], seeds=[0, 1]), two, stored)
    assert all("seed1" in key for key in started)
    assert set(lines(one)) < set(lines(two))
    assert not any((two / "cells" / key / RUN).exists() for key in study.reused)
    assert load_results(two / "results.json").machines == load_results(stored).machines

    # Another student of seed 0 learns from the run that the file has not.
    study.notes.clear()
    more = small(methods=["ppo", "dsp", "dsp-kd"], sparsities=[0.5, 0.75], seeds=[0, 1])
    assert methods_of(study(more, tmp_path / "three", stored, two / "results.json")) == [
        *["dsp-kd-s0.75-l0.0001"] * 2,
        *["dsp-s0.75-l0.0001"] * 2,
        *["ppo"] * 2,
    ]
    assert len(study.reused) == 4
    assert [note for note in study.notes if "trained again" in note] == [
        f"CartPole-v1 ppo seed {seed}: its result is there, but not its run, which others learn "
        "from: it is trained again"
        for seed in (0, 1)
    ]


def test_a_teacher_that_came_without_its_run_is_trained_when_it_is_needed(
    study: Calls, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    study(small(methods=["ppo"], seeds=[0]), one)
    assert study(small(methods=["ppo"], seeds=[0]), two, one / "results.json") == []
    (cell,) = plan(small(methods=["ppo"], seeds=[0]))
    # A part of a run, from a process that was killed, is none to learn from.
    (two / "cells" / cell.key / RUN).mkdir()
    record = (two / "cells" / cell.key / RECORD).read_bytes()
    more = small(methods=["ppo", "dsp-kd"], seeds=[0])
    # The same record with its run is as good as training.
    assert methods_of(study(more, two, one)) == ["dsp-kd-s0.5-l0.0001"]
    assert study.reused == (cell.key,)
    assert (two / "cells" / cell.key / RECORD).read_bytes() == record
    (two / "cells" / cell.key / RUN / WHOLE).unlink()
    most = small(methods=["ppo", "dsp-kd"], sparsities=[0.5, 0.75], seeds=[0])
    assert methods_of(study(most, two)) == ["dsp-kd-s0.75-l0.0001", "ppo"]


def test_another_name_for_the_same_run(study: Calls, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    relu = {"name": "relu", "settings": {"activation": "relu"}}
    study(small(variants=[relu], seeds=[0]), one)
    other = small(settings={**SETTINGS, "activation": "relu"}, seeds=[0])
    assert study(other, two, one) == []
    (theirs,) = [line for line in lines(one) if '"variant": "relu"' in line]
    (mine,) = lines(two)
    (cell,) = plan(other)
    assert cell.key != json.loads(theirs)["key"]
    changed = {**json.loads(theirs), "key": cell.key, "variant": "base"}
    assert mine == json.dumps(changed, sort_keys=True)
    assert (two / "cells" / cell.key / RUN / WHOLE).is_file()


def test_what_a_study_has_is_never_replaced(study: Calls, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    study(small(seeds=[0, 1]), one)
    study(small(seeds=[0]), two)
    (cell,) = plan(small(seeds=[0]))
    other = Finished(result_of(cell, seconds=9.0), {"cpu": "mine"})
    write_json(two / "cells" / cell.key / RECORD, other.to_json())
    before = files(two / "cells")
    assert study(small(seeds=[0, 1]), two, one, one / "results.json") == []
    assert len(study.reused) == 1
    after = files(two / "cells")
    assert {name: after[name] for name in before} == before


def test_a_run_that_is_not_that_of_the_record_is_not_put_beside_it(
    study: Calls, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    study(small(methods=["ppo"], seeds=[0]), one)
    study(small(methods=["ppo"], seeds=[0]), two, one / "results.json")
    (cell,) = plan(small(methods=["ppo"], seeds=[0]))
    other = Finished(result_of(cell, seconds=9.0), {"cpu": "mine"})
    write_json(two / "cells" / cell.key / RECORD, other.to_json())
    started = study(small(methods=["ppo", "dsp-kd"], seeds=[0]), two, one)
    assert methods_of(started) == ["dsp-kd-s0.5-l0.0001", "ppo"]
    assert study.reused == ()


def test_a_source_with_the_run_is_preferred(study: Calls, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    study(small(methods=["ppo"], seeds=[0]), one)
    started = study(small(methods=["ppo", "dsp-kd"], seeds=[0]), two, one / "results.json", one)
    assert methods_of(started) == ["dsp-kd-s0.5-l0.0001"]


def test_asked_to_stop_while_taking_over(study: Calls, tmp_path: Path) -> None:
    spec, one, two = small(seeds=[0, 1, 2]), tmp_path / "one", tmp_path / "two"
    study(spec, one)
    asked = iter([False, True])
    outcome = run_study(
        spec, two, lambda folder: WithRuns(folder, 1), reuse=[one], should_stop=lambda: next(asked)
    )
    assert outcome.stopped
    assert len(outcome.reused) == len(load_results(two / "results.json").cells) == 1
    assert study(spec, two, one) == []
    assert len(study.reused) == 2


def no_path(folder: Path) -> Path:
    return folder / "none"


def no_study(folder: Path) -> Path:
    (folder / "study.json").unlink()
    return folder


def other_schema(folder: Path) -> Path:
    return _changed(folder / "study.json", '"schema": 1', '"schema": 2').parent


def other_results(folder: Path) -> Path:
    return _changed(folder / "results.json", '"schema": 1', '"schema": 2')


def no_machine(folder: Path) -> Path:
    return _changed(folder / "results.json", '"machine": "0123456789ab"', '"machine": "f"')


def half_a_record(folder: Path) -> Path:
    path = next((folder / "cells").rglob(RECORD))
    path.write_bytes(path.read_bytes()[:100])
    return folder


def a_record_of_another(folder: Path) -> Path:
    one, two = sorted((folder / "cells").rglob(RECORD))
    one.write_bytes(two.read_bytes())
    return folder


def another_run(folder: Path) -> Path:
    return _changed(folder / "results.json", '"method": "dsp"', '"method": "ssl"')


def fewer_episodes(folder: Path) -> Path:
    return _changed(folder / "results.json", "[100.0, 101.0, ", "[100.0, ")


def _changed(path: Path, old: str, new: str) -> Path:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    return path


@pytest.mark.parametrize(
    ("spoil", "error", "said"),
    [
        (no_path, NoStudy, "nothing at"),
        (no_study, NoStudy, "holds no study"),
        (other_schema, ResultProblem, "schema 2, not 1"),
        (other_results, ResultProblem, "schema"),
        (no_machine, ResultProblem, "lacks the machine 'f'"),
        (half_a_record, ResultProblem, "leave it out of --reuse"),
        (a_record_of_another, ResultProblem, "is the record of CartPole-v1-dsp-s0.5"),
        (another_run, ResultProblem, "has method ssl, and by its key it must be dsp"),
        (fewer_episodes, ResultProblem, "has episodes 4, and by its key it must be 5"),
    ],
)
def test_other_sources_are_refused_before_anything_is_trained(
    study: Calls,
    tmp_path: Path,
    spoil: Callable[[Path], Path],
    error: type[Exception],
    said: str,
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    study(small(), one)
    source = spoil(one)
    before = files(one)
    with pytest.raises(error, match=said):
        study(small(), two, source)
    assert files(one) == before
    assert not list(two.rglob("cells"))


def test_the_study_itself_is_no_source(study: Calls, tmp_path: Path) -> None:
    study(small(), tmp_path / "one")
    with pytest.raises(ConfigProblem, match="own folder"):
        study(small(), tmp_path / "one", tmp_path / "one" / "cells" / "..")


def test_a_real_teacher_from_elsewhere_teaches(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    run_study(small(methods=["ppo"], seeds=[0]), one, lambda f: LocalEngine(f, jobs=1))
    outcome = run_study(
        small(name="two", methods=["dsp-kd"], seeds=[0]),
        two,
        lambda folder: LocalEngine(folder, jobs=1),
        reuse=[one],
    )
    assert outcome.failures == ()
    (teacher,) = outcome.reused
    (student,) = outcome.ran
    assert lines(one)[0] in lines(two)
    run = load_run(two / "cells" / student / RUN)
    assert run.info["teacher"]["source"] == str(two / "cells" / teacher / RUN)
    copied = load_run(two / "cells" / teacher / RUN)
    assert copied.policy().counts.units == (16, 16)


def test_a_folder_takes_files_of_its_own(tmp_path: Path) -> None:
    (cell,) = plan(small(seeds=[0]))
    finished = Finished(result_of(cell), {"cpu": "none"})
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    with open_folder(tmp_path / "s", small(seeds=[0])) as folder:
        folder.take_over(cell.key, finished, tmp_path / "run")
        assert folder.finished == {cell.key: finished}
        assert (folder.run(cell.key) / "run.json").read_text() == "{}"
