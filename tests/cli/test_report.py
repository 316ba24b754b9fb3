import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from dspctl.cli.app import Commands
from dspctl.cli.report import report

pytest.importorskip("altair")
pytest.importorskip("vl_convert")

Call = Callable[..., Any]


@pytest.fixture
def run_report() -> Call:
    """The command in a group of its own."""
    group = typer.Typer(cls=Commands)
    group.callback()(lambda: None)
    group.command("report")(report)
    return lambda *words: CliRunner().invoke(group, ["report", *map(str, words)])


def test_it_writes_one_page_and_names_what_is_missing(
    run_report: Call, trained: Path, tmp_path: Path
) -> None:
    out = tmp_path / "page.html"
    done = run_report(trained, "-o", out, "--no-animation", "--title", "Cart <1>")
    assert done.exit_code == 0, done.output
    html = out.read_text()
    assert "<title>Cart &lt;1&gt;</title>" in html
    assert f"page: {out}, " in done.stdout
    assert "dspctl bench" in done.stderr
    assert list(tmp_path.iterdir()) == [out]


def test_a_page_that_is_there_is_replaced_only_by_force(
    run_report: Call, policy: Path, tmp_path: Path
) -> None:
    out = tmp_path / "page.html"
    out.write_text("mine")
    refused = run_report(policy, "-o", out, "--no-animation")
    assert refused.exit_code == 2
    assert "--force" in refused.stderr
    assert out.read_text() == "mine"
    assert run_report(policy, "-o", out, "--no-animation", "--force").exit_code == 0
    assert out.read_text().startswith("<!doctype html>")


def test_json_tells_what_was_written(run_report: Call, policy: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    done = run_report(policy, "-o", out, "--no-animation", "--json")
    told = json.loads(done.stdout)
    assert told["report"] == str(out)
    assert told["size_bytes"] == out.stat().st_size
    assert told["environments"] == ["CartPole-v1"]
    assert all(set(one) == {"what", "command"} for one in told["missing"])


@pytest.mark.parametrize("content", [None, "{}", "[1]", "no policy"])
def test_what_is_no_source_is_one_sentence(
    content: str | None, run_report: Call, tmp_path: Path
) -> None:
    path = tmp_path / "source.json"
    if content is not None:
        path.write_text(content)
    done = run_report(path, "-o", tmp_path / "page.html")
    assert done.exit_code == 2
    assert done.stderr.strip().splitlines()[-1].startswith("dspctl: ")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "page.html").exists()
