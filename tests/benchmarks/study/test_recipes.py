"""The table of recipes says what the stored results hold."""

from dataclasses import replace
from pathlib import Path

import pytest

from dspctl.benchmarks.study.plan import plan
from dspctl.benchmarks.study.recipes import STORED, main, markdown_table, rows_from_results
from dspctl.benchmarks.study.record import StudyResults, load_results, save_results
from dspctl.benchmarks.study.spec import load_spec
from tests.benchmarks.study.studies import CELL

ROOT = Path(__file__).resolve().parents[3]
RESULTS = StudyResults(
    "recipes",
    {},
    {CELL.machine: {}},
    (
        replace(CELL, key="a", seed=1, returns=(399.0, 403.0), units=(10, 8), seconds=6.5),
        replace(CELL, key="b", seed=0, returns=(499.0,), units=(9, 9), seconds=5.5),
        replace(CELL, key="c", seed=0, variant="other", returns=(1.0,)),
    ),
)


def test_the_table_has_means_over_seeds() -> None:
    # Of 352 weights 113 are left: 67.9% are gone.
    row = "| CartPole-v1 | dsp | 450.0 (2) | 499, 401 | 9-9, 10-8 | 67.9% | 6 s |"
    assert row in markdown_table(rows_from_results(RESULTS))


def test_the_command_prints_the_table_of_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_results(RESULTS, tmp_path / "results.json")
    assert main([str(tmp_path / "results.json")]) == 0
    assert "| 450.0 (2) |" in capsys.readouterr().out
    assert main([str(tmp_path / "other.json")]) == 2
    assert "other.json cannot be read" in capsys.readouterr().err


def test_the_documented_table_is_the_stored_results() -> None:
    rows = rows_from_results(load_results(STORED))
    assert rows, "the results are part of the repository"
    assert markdown_table(rows) in (ROOT / "docs" / "recipes.md").read_text()


def test_the_study_of_recipes_can_be_planned() -> None:
    cells = plan(load_spec(ROOT / "benchmarks" / "studies" / "recipes.toml"))
    assert len(cells) == 2 * 3 * 5
    assert {cell.config.threads for cell in cells} == {1}
    assert all(cell.settings == {} for cell in cells)
