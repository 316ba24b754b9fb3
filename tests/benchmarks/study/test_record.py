import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from dspctl.benchmarks.study.cell import curve_of
from dspctl.benchmarks.study.record import StudyResults, load_results, save_results
from dspctl.benchmarks.study.tables import save_tables
from dspctl.errors import ResultProblem
from tests.benchmarks.study.studies import CELL

OTHER = replace(CELL, key="A-first", sparsity=None, penalty=None, returns=(1.5,))
RESULTS = StudyResults("small", {"seeds": [0]}, {CELL.machine: {"cpu": "a"}}, (OTHER, CELL))


def test_results_survive_the_file_byte_by_byte(tmp_path: Path) -> None:
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    save_results(replace(RESULTS, cells=RESULTS.cells[::-1]), one)
    assert load_results(one) == RESULTS
    save_results(load_results(one), two)
    assert one.read_bytes() == two.read_bytes()
    # One line for each cell, so that versions of a file can be compared.
    assert (
        sum(CELL.machine in line and '"key"' in line for line in one.read_text().split("\n")) == 2
    )


def test_a_study_without_results_is_readable(tmp_path: Path) -> None:
    save_results(replace(RESULTS, cells=()), tmp_path / "none.json")
    assert load_results(tmp_path / "none.json").cells == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"schema": 1', '"schema": 2'),
        ('"seed": 0', '"seed": "0"'),
        ('"flops": 210', '"flop": 210'),
        ("[500.0, 9.0, 0.1]", "[]"),
        ("[null, 21.5]", "[21.5]"),
        ("500.0", "NaN"),
        ("{", "["),
    ],
)
def test_other_files_are_refused(tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "results.json"
    save_results(RESULTS, path)
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ResultProblem, match=r"results\.json"):
        load_results(path)


def test_tables_hold_the_same_figures(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    for results in (replace(RESULTS, cells=(CELL,)), RESULTS):  # replaced, not added to
        save_tables(results, path)
    with closing(sqlite3.connect(path)) as database:
        mean = "SELECT avg(value), count(*) FROM returns GROUP BY key ORDER BY key"
        assert database.execute(mean).fetchall() == [
            (1.5, 1),
            (pytest.approx((500 + 9 + 0.1) / 3), 3),
        ]
        first = "SELECT sparsity, mean_return, json_extract(units, '$[1]') FROM cells ORDER BY key"
        assert database.execute(first).fetchall() == [
            (None, 1.5, 7),
            (0.5, pytest.approx((500 + 9 + 0.1) / 3), 7),
        ]
    assert [one.name for one in tmp_path.iterdir()] == ["results.sqlite"]


def test_curves_keep_their_ends() -> None:
    rows = [
        {"steps": 10 * n, "episode_return": float(n), "units": [n], "threshold": None}
        for n in range(1, 1001)
    ]
    curve = curve_of(rows)
    assert len(curve.steps) == 200
    assert (curve.steps[0], curve.steps[-1]) == (10, 10_000)
    assert curve.units[-1] == (1000,)
    gaps = {after - before for before, after in zip(curve.steps, curve.steps[1:], strict=False)}
    assert gaps == {50, 60}  # 999 steps over 199 gaps
    assert curve_of(rows[:3]).returns == (1.0, 2.0, 3.0)
