import json
import shlex
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from dspctl import trainer
from dspctl.benchmarks.record.file import load_result
from dspctl.benchmarks.report.build import write_report
from dspctl.benchmarks.report.commands import bench_command, train_command
from dspctl.benchmarks.report.sources import open_sources
from dspctl.benchmarks.request import Request
from dspctl.cli.app import app
from dspctl.errors import MissingExtra, ReportProblem, ResultProblem, RunIncomplete
from tests.benchmarks.report import results

MIXTURES = [
    ("bench",),
    ("ppo run",),
    ("dsp run",),
    ("dsp policy",),
    ("bench", "dsp run"),
    ("dsp policy", "ppo policy"),
    ("dsp run", "dsp policy", "ppo run"),
]


@pytest.fixture
def known(bench: Path, runs: dict[str, Path], policies: dict[str, Path]) -> dict[str, Path]:
    named = {f"{method} run": path for method, path in runs.items()}
    named |= {f"{method} policy": path for method, path in policies.items()}
    return {"bench": bench, **named}


@pytest.mark.parametrize("mixture", MIXTURES, ids="+".join)
def test_any_mixture_makes_a_page_that_says_what_is_missing(
    mixture: tuple[str, ...], known: dict[str, Path], tmp_path: Path
) -> None:
    written = write_report([known[one] for one in mixture], tmp_path / "r.html", animate=False)
    html = written.path.read_text()
    assert written.size_bytes == written.path.stat().st_size
    assert written.environments == ("CartPole-v1",)
    has_result, has_run = "bench" in mixture, any("run" in one for one in mixture)
    assert ('id="r0-side"' in html) is has_result
    assert ('id="c0-training"' in html) is has_run
    assert ('id="c0-maps-title"' in html) is (mixture not in [("bench",), ("ppo run",)])
    commands = " ".join(command for _, command in written.missing)
    assert ("dspctl bench" in commands) is not has_result
    assert ("dspctl train CartPole-v1" in commands) is (not {"ppo run", "dsp run"} <= {*mixture})


def test_progress_ends_where_it_said(known: dict[str, Path], tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    write_report(
        [known["bench"], known["dsp run"]],
        tmp_path / "r.html",
        animate=False,
        on_progress=lambda done, total, _: seen.append((done, total)),
    )
    assert len({total for _, total in seen}) == 1
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == seen[-1][1]


def test_a_policy_takes_the_label_it_was_measured_under(known: dict[str, Path]) -> None:
    (chapter,) = open_sources([known["bench"], known["ppo policy"], known["dsp policy"]])
    assert [(one.label, one.pruned) for one in chapter.policies] == [
        ("unpruned", False),
        ("DSP 93%", True),
    ]
    (alone,) = open_sources([known["dsp policy"]])
    assert alone.policies[0].label == "dsp.safetensors"


def test_environments_are_chapters(known: dict[str, Path], tmp_path: Path) -> None:
    other = results.write(results.result(), tmp_path / "other.json")
    written = write_report([known["dsp run"], other], tmp_path / "r.html", animate=False)
    assert set(written.environments) == {"CartPole-v1", "LunarLander-v3"}
    assert all(what.startswith(written.environments) for what, _ in written.missing)


def test_two_results_of_one_environment_stand_in_one_chapter(tmp_path: Path) -> None:
    paths = [results.write(results.result(), tmp_path / f"{name}.json") for name in "ab"]
    html = write_report(paths, tmp_path / "r.html", animate=False).path.read_text()
    assert html.count("<article") == 1
    assert html.count('data-result="1"') == html.count('data-result="0"') > 150


def test_a_result_without_a_baseline_says_so(tmp_path: Path) -> None:
    alone = results.write(results.result(("only",)), tmp_path / "a.json")
    written = write_report([alone], tmp_path / "r.html", animate=False)
    html = written.path.read_text()
    assert "only takes 508 ns" in html or "only takes 509 ns" in html
    assert any("--against" in command for _, command in written.missing)


def test_samples_that_were_not_copied_along_are_missed(tmp_path: Path) -> None:
    bare = results.write(results.result(), tmp_path / "a.json", samples=False)
    written = write_report([bare], tmp_path / "r.html", animate=False)
    assert "r0-single-0" not in written.path.read_text()
    assert any(".npz" in what for what, _ in written.missing)


@pytest.mark.parametrize("package", ["altair", "vl_convert", "jinja2", "PIL"])
def test_a_missing_package_is_named_with_its_extra(
    package: str, known: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=r"dspctl\[report\]"):
        write_report([known["dsp run"]], tmp_path / "r.html", animate=False)
    assert not (tmp_path / "r.html").exists()


def test_nothing_and_what_is_no_source_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReportProblem, match="at least one"):
        write_report([], tmp_path / "r.html")
    with pytest.raises(ReportProblem, match="nothing at"):
        write_report([tmp_path / "absent"], tmp_path / "r.html")
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(ResultProblem):
        write_report([tmp_path / "x.json"], tmp_path / "r.html")


def test_metrics_that_make_no_sense_are_refused(known: dict[str, Path], tmp_path: Path) -> None:
    run = shutil.copytree(known["dsp run"], tmp_path / "run")
    whole = (run / "metrics.jsonl").read_text()
    last = whole.count("\n") + 1
    rows: list[Any] = [[], {"steps": "9"}, {"steps": 9, "units": ["<b>", None]}, {"steps": 9}]
    for row in rows:
        (run / "metrics.jsonl").write_text(whole + json.dumps(row) + "\n")
        with pytest.raises(RunIncomplete, match=f"damaged in line {last} .*--force"):
            open_sources([run])


def parsed(command: str) -> dict[str, object]:
    """What the command line makes of a command on the page."""
    program, name, *words = shlex.split(command)
    assert program == "dspctl"
    group = typer.main.get_command(app)
    return dict(group.commands[name].make_context(name, words).params)  # type: ignore[attr-defined]


def test_the_command_of_a_benchmark_asks_for_the_same_again(bench: Path) -> None:
    result = load_result(bench)
    asked = parsed(bench_command(result, bench))
    request = result.settings.request
    assert (str(asked["subject"]), str(asked["against"])) == tuple(
        one.file for one in reversed(result.subjects)
    )
    for name in (
        *("seconds", "hz", "cpu", "fifo", "mlock", "load", "energy_seconds", "episodes"),
        *("executions", "seed"),
    ):
        assert asked[name] == getattr(request, name), name
    assert asked["paced_seconds"] == request.paced_seconds
    assert not asked["backend"]
    assert str(asked["output"]) == bench.name


def test_every_setting_of_a_request_has_its_flag(bench: Path) -> None:
    request = Request(
        backends=("numpy", "c"), seconds=2, hz=250, paced_seconds=3, cpu=1, fifo=7, mlock=True,
        load=2, memory=False, energy_seconds=60, episodes=5, executions=3, seed=4,
    )  # fmt: skip
    result = load_result(bench)
    result = replace(result, settings=replace(result.settings, request=request))
    asked = parsed(bench_command(result, bench))
    assert list(asked["backend"]) == ["numpy", "c"]  # type: ignore[call-overload]
    assert asked["no_memory"] is True
    for name in (
        *("seconds", "hz", "paced_seconds", "cpu", "fifo", "mlock", "load", "episodes"),
        *("executions", "seed"),
    ):
        assert asked[name] == getattr(request, name), name
    silent = replace(result.settings, request=replace(request, paced_seconds=0.0))
    asked = parsed(bench_command(replace(result, settings=silent), bench))
    assert asked["paced_seconds"] == 0.0


def test_the_command_of_a_run_gives_its_settings(known: dict[str, Path]) -> None:
    for method in ("ppo", "dsp"):
        (chapter,) = open_sources([known[f"{method} run"]])
        asked = parsed(train_command(chapter.runs[0]))
        settings = {
            name: value
            for name, value in asked.items()
            if name in trainer.TrainConfig.__dataclass_fields__ and name != "environment"
        }
        made = trainer.recipe(str(asked["environment"]), **settings)
        assert made == trainer.load_run(known[f"{method} run"]).config


def test_reading_a_run_imports_no_module_that_it_names(
    known: dict[str, Path], tmp_path: Path
) -> None:
    run = shutil.copytree(known["dsp run"], tmp_path / "run")
    config = json.loads((run / "config.json").read_text())
    config["config"]["environment"] = "antigravity:Evil-v0"
    (run / "config.json").write_text(json.dumps(config))
    html = write_report([run], tmp_path / "r.html", animate=False).path.read_text()
    assert "antigravity" not in sys.modules
    assert "antigravity:Evil-v0 --method dsp --seed 0 --steps 8192" in html


def test_the_same_sources_make_the_same_page(known: dict[str, Path], tmp_path: Path) -> None:
    pages = []
    for folder in ("a", "b"):
        out = tmp_path / folder / "r.html"
        pages.append(write_report([known["bench"], known["dsp run"]], out, animate=False).path)
    first, second = (page.read_bytes() for page in pages)
    assert first == second
    assert np.frombuffer(first, np.uint8).max() > 127  # UTF-8, and said to be
    assert b'<meta charset="utf-8">' in first[:200]
