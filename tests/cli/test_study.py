"""``dspctl study``: what it prints, and how it ends; the runs themselves are tested elsewhere."""

import json
from pathlib import Path

import pytest

from dspctl.benchmarks.study.cell import RECORD, Finished
from dspctl.benchmarks.study.folder import open_folder
from dspctl.benchmarks.study.plan import plan
from dspctl.benchmarks.study.spec import load_spec
from dspctl.runtime.files import write_json
from tests.benchmarks.study.studies import result_of, written
from tests.cli.conftest import Call


@pytest.fixture
def study(tmp_path: Path) -> tuple[Path, Path]:
    """A study file, and the folder of that study with every cell finished."""
    path = written(tmp_path / "study.toml", methods=["ppo", "dsp"], seeds=[0, 1])
    spec, folder = load_spec(path), tmp_path / "s"
    with open_folder(folder, spec) as opened:
        for cell in plan(spec):
            result = result_of(cell, returns=(100.0 + 50 * cell.config.seed,) * cell.episodes)
            write_json(opened.cell(cell.key) / RECORD, Finished(result, {"cpu": "none"}).to_json())
    return path, folder


def test_a_finished_study_is_a_table(call: Call, study: tuple[Path, Path]) -> None:
    path, folder = study
    done = call("study", path, "-o", folder)
    assert done.code == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    # Environments fold at 80 columns: the row begins with a part of the name.
    assert ["ppo", "–", "–", "2", "125.0", "100.0"] in [row[1:] for row in rows]
    assert ["dsp", "50.0%", "0.0001", "2", "125.0", "100.0"] in [row[1:] for row in rows]
    assert "4 runs, 0 of them now" in done.stdout
    assert (folder / "results.json").is_file()


def test_json_is_all_that_is_printed(call: Call, study: tuple[Path, Path]) -> None:
    path, folder = study
    done = call("study", path, "-o", folder, "--json")
    values = json.loads(done.stdout)
    assert values["ran"] == values["failures"] == values["best"] == []
    assert [(group["method"], group["returns"]) for group in values["groups"]] == [
        ("ppo", [100.0, 150.0]),
        ("dsp", [100.0, 150.0]),
    ]


def test_what_others_have_is_taken_over(
    call: Call, study: tuple[Path, Path], tmp_path: Path
) -> None:
    path, folder = study
    assert call("study", path, "-o", folder).code == 0
    # One study from two: the unpruned cells from a folder, the others from stored results.
    unpruned = written(tmp_path / "unpruned.toml", methods=["ppo"], seeds=[0, 1])
    words = ["--reuse", folder, "--json"]
    first = call("study", unpruned, "-o", tmp_path / "unpruned", *words).json()
    assert (len(first["reused"]), first["ran"]) == (2, [])
    both = ["--reuse", tmp_path / "unpruned", "--reuse", folder / "results.json"]
    done = call("study", path, "-o", tmp_path / "all", *both)
    assert done.code == 0, done.stderr
    assert "4 runs, 0 of them now, 4 taken over" in done.stdout
    said = " ".join(done.stderr.split())
    assert f"2 finished runs are taken over from {tmp_path / 'unpruned'}" in said.replace("- ", "-")
    stored, merged = (one / "results.json" for one in (folder, tmp_path / "all"))
    assert merged.read_bytes() == stored.read_bytes()


def test_wrong_files_flags_and_folders_exit_2(
    call: Call, study: tuple[Path, Path], tmp_path: Path
) -> None:
    path, folder = study
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(path.read_text().replace("seeds", "seedes"))
    other = tmp_path / "other.toml"
    other.write_text(path.read_text().replace('"small"', '"other"'))
    for words, said in (
        (["study", wrong], "did you mean 'seeds'"),
        (["study", other, "-o", folder], "holds the study 'small'"),
        (["study", path, "-o", folder, "--address", "auto"], "add --engine ray"),
        (["study", path, "-o", folder, "--search", "optuna"], "a search has no sparsities"),
        (["study", tmp_path / "none.toml"], "cannot be read"),
        (["study", path, "--reuse", tmp_path / "none"], "there is nothing at"),
        (["study", path, "--reuse", wrong], "not the results file of a study"),
    ):
        done = call(*words)
        assert done.code == 2, done.stdout
        assert said in done.stderr
    assert not (tmp_path / "studies").exists()
