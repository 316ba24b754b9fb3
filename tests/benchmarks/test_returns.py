"""The returns benchmark: nothing is run twice, and the table says what the file holds."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dspctl.benchmarks.returns import Cell, main, markdown_table, read_cells, run_cell, write_cells
from dspctl.errors import ResultProblem

CELL = Cell(
    environment="CartPole-v1",
    method="dsp",
    seed=0,
    mean=499.0,
    std=3.0,
    ci_low=498.0,
    ci_high=500.0,
    units=(9, 9),
    weight_sparsity=0.992,
    seconds=5.5,
    steps=200_704,
)


def test_cells_survive_the_file(tmp_path: Path) -> None:
    path = tmp_path / "returns.json"
    other = replace(CELL, seed=1, mean=400.0, units=(10, 8))
    write_cells(path, [other, CELL], {"cpu": "test"})
    assert read_cells(path) == [CELL, other]
    assert read_cells(tmp_path / "none.json") == []


@pytest.mark.parametrize("content", ["{", "[]", '{"schema": 7}', '{"schema": 1, "cells": [{}]}'])
def test_foreign_files_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "returns.json"
    path.write_text(content)
    with pytest.raises(ResultProblem, match=r"returns\.json"):
        read_cells(path)
    assert path.read_text() == content


def test_the_table_has_means_over_seeds() -> None:
    table = markdown_table([CELL, replace(CELL, seed=1, mean=401.0, units=(10, 8))])
    assert "| CartPole-v1 | dsp | 450.0 (2) | 499, 401 | 9-9, 10-8 | 99.2% | 6 s |" in table


def test_finished_cells_are_not_run_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "returns.json"
    write_cells(path, [CELL], {})
    command = ["--method", "dsp", "--seeds", "1", "--out", str(path), "--runs", str(tmp_path / "r")]
    assert main(command) == 0
    assert "| 499.0 (1) |" in capsys.readouterr().out
    assert not (tmp_path / "r").exists()
    assert json.loads(path.read_text())["cells"][0]["mean"] == 499.0


def test_a_cell_is_a_whole_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dspctl.trainer import recipes

    monkeypatch.setitem(recipes.RECIPES["CartPole-v1"], "steps", 4_096)
    cell = run_cell("CartPole-v1", "dsp", 3, tmp_path, episodes=5)
    assert cell.key == ("CartPole-v1", "dsp", 3)
    assert sum(cell.units) <= 18
    assert cell.ci_low <= cell.mean <= cell.ci_high
    assert cell.steps == 4_096
    assert (tmp_path / "CartPole-v1-dsp-3" / "policy.safetensors").is_file()


def test_the_documented_table_is_the_stored_results() -> None:
    root = Path(__file__).resolve().parents[2]
    cells = read_cells(root / "benchmarks" / "results" / "returns.json")
    assert cells, "the results are part of the repository"
    assert markdown_table(cells) in (root / "docs" / "recipes.md").read_text()
