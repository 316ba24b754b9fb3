from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dspctl.benchmarks.study.cell import RECORD, Finished
from dspctl.benchmarks.study.engines import Event
from dspctl.benchmarks.study.folder import StudyFolder
from dspctl.benchmarks.study.plan import Cell
from dspctl.benchmarks.study.progress import Best
from dspctl.benchmarks.study.search import search_study
from dspctl.benchmarks.study.spec import StudySpec
from dspctl.errors import StudyProblem
from dspctl.runtime.files import write_json
from tests.benchmarks.study.studies import result_of, small

pytest.importorskip("optuna", reason="optuna is not installed: pip install 'dspctl[optuna]'")
# SQLAlchemy's connections are closed by the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:.*:ResourceWarning")


class Formula:
    """Answers every cell with a formula that is highest at lambda 1e-5 and sparsity 0.85."""

    def __init__(self, folder: StudyFolder, started: list[Cell], most: int | None = None) -> None:
        self.folder, self.slots, self.started, self.most = folder, 4, started, most
        self.waiting: list[Cell] = []
        self.stopping = False

    def start(self, cell: Cell) -> None:
        self.started.append(cell)
        self.waiting.append(cell)

    def wait(self, timeout_s: float) -> Sequence[Event]:
        cell = self.waiting.pop(0)
        if self.stopping:
            return [Event(cell.key, "stopped")]
        result = result_of(cell, returns=(self.value(cell),) * cell.episodes)
        path = self.folder.cell(cell.key) / RECORD
        write_json(path, Finished(result, {"cpu": "none"}).to_json())
        return [Event(cell.key, "finished")]

    def value(self, cell: Cell) -> float:
        assert cell.sparsity is not None
        assert cell.penalty is not None
        return 100 * (cell.penalty == 1e-5) - abs(cell.sparsity - 0.85) + cell.config.seed

    def stop(self) -> None:
        self.stopping = True

    def close(self) -> None: ...


def spec(trials: int = 24) -> StudySpec:
    return small(sparsities=[], settings={"hidden": [64, 64]}, search={"trials": trials})


class OtherSeeds(Formula):
    """What seed 0 likes is not what seed 1 likes, and that counts ten times as much."""

    def value(self, cell: Cell) -> float:
        liked = 1e-5 if cell.config.seed == 0 else 1e-3
        return (1 + 9 * cell.config.seed) * 100.0 * (cell.penalty == liked)


def test_seeds_that_are_added_count(tmp_path: Path) -> None:
    started: list[Cell] = []

    def found(seeds: list[int], folder: str) -> Best:
        asked = replace(spec(), seeds=tuple(seeds))
        _, (best,) = search_study(asked, tmp_path / folder, lambda at: OtherSeeds(at, started))
        return best

    assert found([0], "a").penalty == 1e-5
    begun = len(started)
    added = found([0, 1], "a")
    assert {cell.config.seed for cell in started[begun:]} == {1}
    assert (added.penalty, added.mean) == (1e-3, 500.0)
    assert added.mean == found([0, 1], "b").mean


def test_the_whole_grid_has_one_best(tmp_path: Path) -> None:
    started: list[Cell] = []
    outcome, (best,) = search_study(spec(), tmp_path, lambda folder: Formula(folder, started))
    assert len(started) == 24 * 2  # every combination once, for both seeds
    assert len({cell.key for cell in started}) == 48
    assert (best.penalty, best.sparsity, best.trials) == (1e-5, 0.85, 24)
    assert best.mean == pytest.approx(100.5)
    assert len(outcome.results.cells) == 48


def test_a_search_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    first: list[Cell] = []
    outcome, _ = search_study(
        spec(8),
        tmp_path,
        lambda folder: Formula(folder, first),
        should_stop=lambda: len(first) >= 9,
    )
    assert outcome.stopped
    done = {cell.key for cell in outcome.results.cells}
    second: list[Cell] = []
    outcome, (best,) = search_study(spec(8), tmp_path, lambda folder: Formula(folder, second))
    assert not outcome.stopped
    assert best.trials == 8
    # What was finished is not trained again, what was cut off is.
    assert {cell.key for cell in first} - done <= {cell.key for cell in second}
    assert not done & {cell.key for cell in second}
    assert len(outcome.results.cells) == 16
    third: list[Cell] = []
    outcome, _ = search_study(spec(8), tmp_path, lambda folder: Formula(folder, third))
    assert third == []
    assert len(outcome.results.cells) == 16


def test_a_search_takes_over_what_another_has_tried(tmp_path: Path) -> None:
    first: list[Cell] = []
    before, _ = search_study(spec(), tmp_path / "one", lambda folder: Formula(folder, first))
    started: list[Cell] = []
    outcome, (best,) = search_study(
        spec(8),
        tmp_path / "two",
        lambda folder: Formula(folder, started),
        reuse=[tmp_path / "one" / "results.json"],
    )
    assert started == []
    assert best.trials == 8
    assert len(outcome.reused) == len(outcome.results.cells) == 16
    assert all(cell in before.results.cells for cell in outcome.results.cells)


def test_what_is_searched_is_not_crossed(tmp_path: Path) -> None:
    with pytest.raises(StudyProblem, match="no sparsities"):
        search_study(small(), tmp_path, lambda folder: Formula(folder, []))
