"""Names from strangers' files, and where they come out: terminal, page, database, folders, code.

A reader refuses names with control characters; what is printed is looked at again, since sentences
of errors, paths and lineages may hold anything.
"""

import io
import json
import logging
import re
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress, TextColumn
from rich.table import Table
from rich.text import Text

from dspctl import errors
from dspctl.benchmarks.record.file import load_result, result_from_bytes
from dspctl.benchmarks.record.hlog import tags_of
from dspctl.benchmarks.report.page import render
from dspctl.benchmarks.report.view import PageView
from dspctl.benchmarks.study.plan import plan
from dspctl.benchmarks.study.record import load_results, results_from_bytes, save_results
from dspctl.benchmarks.study.spec import spec_from_values
from dspctl.benchmarks.study.tables import save_tables
from dspctl.cli import bench_report, show
from dspctl.exporter.bundle_files.escapes import markdown_text, xml_text
from dspctl.exporter.c.names import comment_text, identifier_from_environment, string_literal
from dspctl.runtime.bundle.manifest import manifest_from_bytes
from dspctl.runtime.policy.file import bytes_from_policy, policy_from_bytes
from dspctl.runtime.tensorrt.stamp import stamp_from_bytes
from dspctl.runtime.untrusted import LONGEST_NAME, check_name, is_plain, visible
from dspctl.trainer import TrainConfig
from tests.benchmarks.study.figures import made_up
from tests.cli.conftest import Call
from tests.fuzz import seeds
from tests.fuzz.mutations import NAMES
from tests.fuzz.targets import resealed
from tests.runtime.policies import make_policy, rewritten

ROOT = Path(__file__).resolve().parents[2]
UNPRINTABLE = [name for name in NAMES if not is_plain(name)]
PRINTABLE = [name for name in NAMES if is_plain(name) and len(name) <= LONGEST_NAME]
ACTED_ON = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What a terminal acts on: written down here a second time."""


def test_names_are_told_apart() -> None:
    assert len(UNPRINTABLE) == 4
    for name in (
        "LunarLander-v3",
        "è",
        "日本",
        "a b",
        "\u200d",
        "👩‍🚀",
        "\u00a0",
        "<b>",
        "x" * 200,
    ):
        assert check_name(name, "it") == name
    bidi = [chr(code) for code in (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F))]
    bidi += [chr(code) for code in range(0x2066, 0x206A)]
    for letter in (*map(chr, range(32)), *map(chr, range(0x7F, 0xA0)), *bidi, "\ufeff", "\ud800"):
        with pytest.raises(ValueError, match="control character"):
            check_name(f"a{letter}b", "it")
    with pytest.raises(ValueError, match="201 characters"):
        check_name("x" * 201, "it")
    assert visible("a\n\tb\x1b[2J\u202e\r") == "a\n\tb\ufffd[2J\ufffd\ufffd"


@pytest.mark.parametrize("name", UNPRINTABLE, ids=ascii)
def test_readers_refuse_names_that_mislead(name: str) -> None:
    def policy(key: str, value: object) -> None:
        data = rewritten(seeds.policies()[0], lambda meta, _: meta.update({key: value}))
        with pytest.raises(errors.PolicyFormat, match="control character"):
            policy_from_bytes(data, name="p")

    policy("environment", name)
    policy("observation_names", [name, "b", "c"])
    policy("lineage", {name: 1})
    manifest = json.loads(seeds.bundle_files()["manifest.json"])
    for key in ("environment", "dspctl"):
        with pytest.raises(ValueError, match="control character"):
            manifest_from_bytes(resealed(json.dumps({**manifest, key: name}).encode()))
    result = json.loads(seeds.results()[0])
    for key in ("label", "environment", "file"):
        result["subjects"][0] |= {key: name}
        with pytest.raises(errors.ResultProblem, match=r"control character|lacks"):
            result_from_bytes(json.dumps(result).encode(), "r")
    study = json.loads(seeds.study_results())
    for key in ("key", "environment", "method", "variant", "teacher", "machine"):
        study["cells"][0] |= {key: name}
        with pytest.raises(errors.ResultProblem, match="control character"):
            results_from_bytes(json.dumps(study).encode(), "r")
    stamp = json.loads(seeds.stamp())
    with pytest.raises(errors.EngineMismatch, match="control character"):
        stamp_from_bytes(json.dumps({**stamp, "platform": name}).encode())
    config = json.loads(seeds.run_files()["config.json"])["config"]
    for key in ("environment", "teacher"):
        with pytest.raises(errors.ConfigProblem):
            TrainConfig.from_json({**config, key: name})
    with pytest.raises(errors.PolicyFormat):
        bytes_from_policy(replace(make_policy(), environment=name))


# --- terminals --------------------------------------------------------------------------------


def drawn(draw: Callable[[Console], object]) -> str:
    """What reaches a terminal, without the styles that rich adds."""
    file = io.StringIO()
    console = show.PlainConsole(
        file=file, force_terminal=True, color_system=None, markup=False, emoji=False, width=200
    )
    draw(console)
    return file.getvalue()


@pytest.mark.parametrize("name", [name[:300] for name in NAMES], ids=ascii)
def test_nothing_printed_acts_on_a_terminal(name: str) -> None:
    def table(console: Console) -> None:
        grid = Table(title=name)
        grid.add_column(name)
        grid.add_row(Text(name))
        grid.add_row(name)
        console.print(grid, soft_wrap=False)

    for draw in (
        lambda console: console.print(Text(name)),
        lambda console: console.print(name),
        lambda console: console.print(Text.assemble("next: ", (name, "bold"))),
        lambda console: console.print(Text("dspctl: "), Text(name), sep=""),
        table,
    ):
        assert not ACTED_ON.search(drawn(draw))
    if "[" in name:  # no markup
        assert name.replace("\x1b", "\ufffd").split("\x07")[0] in drawn(lambda c: c.print(name))


def test_progress_bars_print_no_names_that_act() -> None:
    def draw(console: Console) -> None:
        with Progress(
            TextColumn("{task.fields[details]}", markup=False), console=console, auto_refresh=False
        ) as bar:
            bar.add_task("", total=1, details="[red]evil\x1b]0;title\x07\u202e[/]")
            bar.refresh()

    said = drawn(draw)
    assert "[red]evil\ufffd]0;title\ufffd" in said
    assert "\x1b]0;" not in said


def test_styles_stay() -> None:
    file = io.StringIO()
    console = show.PlainConsole(file=file, force_terminal=True, color_system="standard", width=80)
    console.print(Text("a\x1b[2Jb", style="bold red"))
    assert file.getvalue() == "\x1b[1;31ma\ufffd[2Jb\x1b[0m\n"


def test_warnings_are_plain(capsys: pytest.CaptureFixture[str]) -> None:
    show.log_to_stderr()
    try:
        logging.getLogger("dspctl.x").warning("no %s", "evil\x1b[2J")
    finally:
        logging.getLogger("dspctl").handlers = []
    assert capsys.readouterr().err == "dspctl: no evil\ufffd[2J\n"


def test_a_policy_of_the_wildest_lineage_is_shown(call: Call, tmp_path: Path) -> None:
    wild = {f"entry {index}": [name, {"inside": name}] for index, name in enumerate(NAMES)}
    path = tmp_path / "[bold]p[].safetensors"
    path.write_bytes(bytes_from_policy(make_policy().with_lineage(**wild, seed="\x1b[2J\u202e")))
    done = call("inspect", path)
    assert done.code == 0, done.error
    assert not ACTED_ON.search(done.stdout)
    assert "[bold]p[]" in done.stdout.replace("\n", "")  # a narrow terminal breaks it
    done = call("inspect", path, "--json")
    assert done.code == 0
    assert done.stdout.isascii()
    assert done.json()["policy"]["lineage"]["seed"] == "\x1b[2J\u202e"


def test_an_error_about_a_wild_path_is_plain(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "a\x1b[2J\u202eb[red]"
    done = call("inspect", path)
    assert done.code == 2
    assert not ACTED_ON.search(done.stderr)
    assert "b[red]" in done.stderr


# --- pages, tables and folders ----------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name[:20]))
def test_a_page_shows_names_as_text(name: str) -> None:
    page = render(PageView(title=name, subtitle=name, command=name, chapters=()))
    assert "<script>alert" not in page
    assert not ACTED_ON.search(page)
    assert page.count("<script") == page.count("</script>")


def test_a_database_holds_names_as_values(tmp_path: Path) -> None:
    cells = [
        replace(made_up.cell(seed=seed), key=name, environment=name, settings={"a": name})
        for seed, name in enumerate(PRINTABLE)
    ]
    results = made_up.study(cells)
    save_tables(results, tmp_path / "r.sqlite")
    save_results(results, tmp_path / "r.json")
    with closing(sqlite3.connect(tmp_path / "r.sqlite")) as database:
        found = {row[0] for row in database.execute("SELECT environment FROM cells")}
    assert found == set(PRINTABLE)
    assert {cell.key for cell in load_results(tmp_path / "r.json").cells} == set(PRINTABLE)


def test_names_in_a_study_become_names_of_folders() -> None:
    values = {"environments": ["CartPole-v1"], "methods": ["dsp"], "name": "small"}
    for name in NAMES:
        for changes in (
            {"name": name},
            {"variants": [{"name": name, "settings": {"gamma": 0.5}}]},
            {"environments": [name]},
        ):
            try:
                cells = plan(spec_from_values({**values, **changes}, "it"))
            except errors.DspctlError:
                continue
            for cell in cells:
                assert re.fullmatch(r"[\w.-]{1,200}", cell.key)
                assert cell.key.strip(".")
    slashes = [name for name in NAMES if "/" in name]
    for name in slashes:
        with pytest.raises(errors.StudyProblem):
            spec_from_values({**values, "name": name}, "it")


def test_names_in_a_log_are_tags() -> None:
    tags = tags_of(tuple(NAMES))
    assert len(set(tags.values())) == len(NAMES)
    assert all(re.fullmatch(r"[\w.%+=@-]+", tag) for tag in tags.values())


# --- code -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name[:20]))
def test_names_in_code_are_words_or_text(name: str) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]{0,40}", identifier_from_environment(name))
    comment = comment_text(name)
    assert "*/" not in comment
    assert "/*" not in comment
    assert comment.isprintable()
    literal = string_literal(name)
    assert re.fullmatch(r'"([A-Za-z0-9 _.,:;()+=<>@%/-]|\\[0-7]{3})*"', literal)
    for text in (markdown_text(name), xml_text(name)):
        assert not re.search(r"[<>\"'`$\\|\[\]\n\x00-\x1f]", text)


# --- no reader runs what it reads -------------------------------------------------------------

FORBIDDEN = re.compile(
    r"\bpickle\b|allow_pickle\s*=\s*True|\btorch\.load\b|\byaml\.(unsafe_)?load\b|\beval\(|\bexec\(|"
    r"\bmarshal\b|\bshelve\b|\bdill\b|\bjoblib\b|\bextractall\b|\bunpack_archive\b|shell\s*=\s*True|"
    r"\bos\.system\b"
)
_COMMENT = re.compile(r"#.*|\"\"\".*?\"\"\"", re.S)


def test_no_reader_runs_what_it_reads() -> None:
    done = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True)
    names = [name for name in done.stdout.split() if not name.startswith("tests/")]
    assert len(names) > 200
    found = []
    for name in names:
        path = ROOT / name
        if path.is_symlink():
            continue
        code = _COMMENT.sub("", path.read_text())
        found += [f"{name}: {hit[0]}" for hit in FORBIDDEN.finditer(code)]
    assert [hit for hit in found if not hit.endswith(": eval(") or "torch_runner" not in hit] == []


def test_the_search_for_what_runs_finds_it() -> None:
    for code in ("import pickle", "np.load(x, allow_pickle=True)", "eval(x)", "torch.load(x)"):
        assert FORBIDDEN.search(code)
    assert not FORBIDDEN.search("np.load(x, allow_pickle=False)")
    assert not FORBIDDEN.search("evaluate(x)")


def test_a_result_on_the_screen_is_plain(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sentences in a result may hold anything: they are printed as text."""
    value = json.loads(seeds.results()[0])
    value["notes"] = ["[bold]note[/bold]\x1b[2J\u202e"]
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(value))
    bench_report.draw(load_result(path))
    said = capsys.readouterr()
    assert "[bold]note[/bold]\ufffd[2J\ufffd" in said.out + said.err
    assert not ACTED_ON.search(said.out + said.err)
