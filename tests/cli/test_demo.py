import json
from pathlib import Path

import pytest

from dspctl.runtime.bundle import open_bundle
from tests.cli.conftest import Call, Outcome

SHORT = ["--steps", "4096", "--episodes", "3", "--seconds", "0.2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "demo"


@pytest.fixture(scope="module")
def done(folder: Path) -> Outcome:
    from typer.testing import CliRunner

    from dspctl.cli.app import app

    result = CliRunner().invoke(app, ["demo", "-o", str(folder), *SHORT])
    return Outcome(result.exit_code, result.stdout, result.stderr, result.exception)


def test_the_demo_puts_both_policies_side_by_side(done: Outcome) -> None:
    assert done.code == 0, done.stderr
    for part in ("unpruned PPO", "DSP 93%", "128-128", "14.2×", "17,152", "return", "latency,"):
        assert part in done.stdout


def test_its_summary_holds_what_the_table_shows(done: Outcome, folder: Path) -> None:
    summary = json.loads((folder / "summary.json").read_text())
    unpruned, pruned = (summary["policies"][name] for name in ("unpruned PPO", "DSP 93%"))
    assert unpruned["compaction"]["after"]["units"] == [128, 128]
    assert sum(pruned["compaction"]["after"]["units"]) == 18
    assert unpruned["evaluation"]["seed"] == pruned["evaluation"]["seed"]
    assert len(pruned["evaluation"]["returns"]) == 3
    assert summary["bench"]["status"] == "complete"
    for picture in summary["pictures"]:
        assert (folder / picture).read_bytes().startswith(b"\x89PNG")
    assert summary["pictures"][0] == "demo.png"


def test_its_bundles_verify(done: Outcome, folder: Path) -> None:
    assert sum(open_bundle(folder / "pruned" / "bundle").policy.counts.units) == 18
    assert open_bundle(folder / "unpruned" / "bundle").policy.counts.weights == 17_152


def test_it_replaces_only_what_it_made(call: Call, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    refused = call("demo", "-o", tmp_path, *SHORT)
    assert refused.code == 2
    assert "did not write" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_it_starts_afresh_in_its_own_folder(folder: Path, done: Outcome) -> None:
    from dspctl.cli.demo import _start_folder

    _start_folder(folder)
    assert [path.name for path in folder.iterdir()] == [".dspctl-demo"]
