"""Searches for the smallest network of a study's teachers: running, storing and showing them."""

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dspctl.benchmarks.record.machine import describe_machine
from dspctl.benchmarks.shrink import Goal, SearchProgress, ShrinkResult
from dspctl.benchmarks.shrink._candidate import POLICY
from dspctl.benchmarks.shrink.costs import Costs
from dspctl.benchmarks.shrink.ladder import Candidate
from dspctl.benchmarks.shrink.record import Confirmation, Network, Point, save_shrink
from dspctl.benchmarks.study.figures.smallest_plots import smallest_figure
from dspctl.benchmarks.study.figures.smallest_tables import NO_SEARCHES, smallest_table
from dspctl.benchmarks.study.record import save_results
from dspctl.benchmarks.study.smallest import __main__ as program
from dspctl.benchmarks.study.smallest.record import (
    Shrunk,
    Smallest,
    load_smallest,
    ordered,
    save_smallest,
)
from dspctl.errors import NothingKept, ResultProblem
from dspctl.runtime import save_policy
from tests.benchmarks.shrink.teachers import balancing_policy
from tests.benchmarks.study.figures.made_up import cell, study


def found(environment: str = "CartPole-v1", *, kept: float = 490.0) -> ShrinkResult:
    """A complete search in which four units pass, and three earn *kept*."""

    def point(size: int, earned: float) -> Point:
        network = Network((size,), 4, 6 * size, 11 * size, (earned,) * 100)
        return Point(Candidate(size, (size,), "tanh", "fresh", 0), network, 60.0)

    points = (point(4, 500.0), point(3, kept))
    passed = kept >= 485
    return ShrinkResult(
        environment=environment,
        source="somewhere",
        sha256="0" * 64,
        teacher=Network((128, 128), 4, 17_152, 34_046, (500.0,) * 100),
        goal=Goal(0.97),
        points=points,
        chosen=points[1 if passed else 0].candidate.name,
        confirmation=Confirmation((498.0,) * 100, (500.0,) * 100),
        seconds=90.0,
        status="complete",
        exhausted=True,
    )


def nothing_found() -> ShrinkResult:
    """A complete search in which no network kept enough."""
    whole = found(kept=100.0)
    return replace(whole, points=whole.points[1:], chosen="", confirmation=None)


def smallest() -> Smallest:
    """Searches in two environments, one of which found nothing."""
    searches = [
        Shrunk(1, nothing_found(), 800.0, None),
        Shrunk(0, found("LunarLander-v3"), 840.0, 20.0),
        Shrunk(0, found(), 800.0, 16.0),
    ]
    return Smallest(describe_machine(), ordered(searches))


def test_what_is_stored_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "smallest.json"
    assert load_smallest(path) is None
    stored = smallest()
    save_smallest(stored, path)
    read = load_smallest(path)
    assert read is not None
    assert read == stored
    assert [(one.search.environment, one.seed) for one in read.searches] == [
        *(("CartPole-v1", 0), ("CartPole-v1", 1), ("LunarLander-v3", 0))
    ]


def test_what_is_no_such_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "smallest.json"
    save_smallest(smallest(), path)
    whole = json.loads(path.read_text())
    partial = json.loads(path.read_text())
    partial["searches"][0]["search"]["status"] = "partial"
    unconfirmed = json.loads(path.read_text())
    unconfirmed["searches"][0]["search"]["confirmation"] = None
    files: tuple[Any, ...] = (
        [],
        {**whole, "kind": "dspctl.study"},
        {**whole, "schema": 2},
        {**whole, "odd": 1},
        partial,
        unconfirmed,
    )
    for values in files:
        path.write_text(json.dumps(values))
        with pytest.raises(ResultProblem, match="make it again with"):
            load_smallest(path)


def test_the_table_says_what_was_found() -> None:
    lines = smallest_table(smallest()).splitlines()
    assert [line.split("|")[1:4] for line in lines[2:5]] == [
        [" CartPole-v1 ", " 0 ", " 500.0 "],
        [" CartPole-v1 ", " 1 ", " 500.0 "],
        [" LunarLander-v3 ", " 0 ", " 500.0 "],
    ]
    assert "| 3 | 3 | 4 of 4 | 18 | 99.9% | 99.6% | 99.6% | 2 | 2 | 16 ns | 50 |" in lines[2]
    assert lines[3].count("–") == 9
    assert smallest_table(None) == NO_SEARCHES


def test_a_search_that_its_time_ended_is_marked() -> None:
    assert "Ended by its time" not in smallest_table(smallest())
    whole = smallest()
    first = replace(whole.searches[0].search, exhausted=False)
    cut = replace(whole, searches=(replace(whole.searches[0], search=first), *whole.searches[1:]))
    text = smallest_table(cut)
    assert "| 2 | 2\\* | 16 ns | 50 |" in text.splitlines()[2]
    assert "- \\* Ended by its time, with more to try" in text


def test_the_picture_has_a_panel_an_environment() -> None:
    pytest.importorskip("matplotlib")
    figure = smallest_figure(smallest())
    assert figure is not None
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.axison]
    assert titles == ["CartPole-v1", "LunarLander-v3"]
    assert smallest_figure(None) is None


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study with two unpruned policies; searching finds for the first alone, at once."""
    folder = tmp_path / "study"
    folder.mkdir()
    cells = [cell(method="ppo", seed=seed) for seed in (0, 1, 7)]
    cells = [replace(one, key=f"ppo-{one.seed}") for one in cells]
    save_results(study([*cells, cell(method="dsp")]), folder / "results.json")

    def search(run: Path, output: Path, goal: Goal, options: Any, **hooks: Any) -> ShrinkResult:
        assert options.budget_s == 60.0
        works = run.parent.name == "ppo-0"
        result = found() if works else nothing_found()
        output.mkdir(parents=True)
        save_policy(balancing_policy(), output / POLICY)
        save_shrink(result, output)
        hooks["on_progress"](SearchProgress(30.0, 60.0, (), result.points[0], 4))
        if not works:
            raise NothingKept("no network keeps enough")
        return result

    class Run:
        def policy(self) -> Any:
            return balancing_policy()

    monkeypatch.setattr(program, "shrink", search)
    monkeypatch.setattr(program, "load_run", lambda path: Run())
    monkeypatch.setattr(
        program, "measure_costs", lambda policies: {name: Costs(9.0, 1) for name in policies}
    )
    return folder


def test_every_teacher_is_searched_once(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(finished), "-o", str(tmp_path / "searches"), "--minutes", "1"]
    arguments += ["--out", str(tmp_path / "smallest.json")]
    assert program.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "CartPole-v1 seed 0, 0.5 min: 4 earns 500.0; smallest that passed: 4" in printed
    assert "CartPole-v1 seed 1: no network keeps enough" in printed
    stored = load_smallest(tmp_path / "smallest.json")
    assert stored is not None
    assert [(one.seed, one.search.source, one.call_ns) for one in stored.searches] == [
        *((0, "ppo-0", 9.0), (1, "ppo-1", None))
    ]
    # What is complete is taken as it is: another search would fail, for its folder is there.
    assert program.main(arguments) == 0
    assert "earns" not in capsys.readouterr().out


def test_a_search_that_its_time_ended_goes_on_with_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = program.Teacher("CartPole-v1", 0, "ppo-0", tmp_path / "run")
    cut = replace(found(), exhausted=False)  # after 90 s
    teacher.folder(tmp_path).mkdir(parents=True)
    save_shrink(cut, teacher.folder(tmp_path))
    monkeypatch.setattr(program, "shrink", lambda *given, **hooks: found())
    stop = threading.Event()
    assert program.search(teacher, tmp_path, 1.5, 0.97, stop) == cut
    assert program.search(teacher, tmp_path, 2.0, 0.97, stop) == found()


def test_a_study_without_such_teachers(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main([str(finished), "--env", "Hopper-v5"]) == 2
    assert "has no ppo run of these environments and seeds" in capsys.readouterr().err
    assert program.main([str(tmp_path)]) == 2
