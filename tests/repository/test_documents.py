import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from dspctl.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
# What the test adds to the commands that take long.
SHORT = {
    "train": ["--steps", "8192", "--episodes", "3"],
    "bench": ["--seconds", "0.2", "--no-memory"],
}


def blocks(document: Path, language: str) -> list[str]:
    """The fenced blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", document.read_text(), re.M | re.S)


def commands(document: Path) -> list[list[str]]:
    """Every dspctl command line of a document's `sh` blocks, as arguments."""
    text = "\n".join(blocks(document, "sh")).replace("\\\n", " ")
    lines = [shlex.split(line, comments=True) for line in text.splitlines()]
    return [words[1:] for words in lines if words and words[0] == "dspctl"]


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_resolve(document: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.M | re.S)
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    broken = []
    for target in targets:
        if re.match(r"https?://|mailto:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (document.parent / name) if name else document
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(target)
    assert broken == []


def anchors(document: Path) -> set[str]:
    """The anchors that a document's headings get."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(), re.M)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_parse(document: Path) -> None:
    group: Any = typer.main.get_command(app)
    for words in commands(document):
        if words[0].startswith("-"):
            continue
        assert words[0] in group.commands, words
        if "--help" not in words:
            group.commands[words[0]].make_context(words[0], words[1:])


def test_readme_tour_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command of the tour, in order in one folder, and the program that follows it."""
    monkeypatch.chdir(tmp_path)
    (tour,) = [block for block in blocks(ROOT / "README.md", "sh") if "dspctl train" in block]
    for line in tour.splitlines():
        program, *words = shlex.split(line, comments=True)
        assert program == "dspctl"
        done = CliRunner().invoke(app, [*words, *SHORT.get(words[0], [])])
        assert done.exit_code == 0, line + done.output
    (text,) = blocks(ROOT / "README.md", "python")
    shorter = text.replace("200_000", "8192")
    assert shorter != text
    run([sys.executable, "-c", shorter], tmp_path)


def run(command: list[str], folder: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"


def test_quick_commands_run() -> None:
    for words in (["--help"], ["train", "--help"], ["--version"]):
        done = subprocess.run(
            [sys.executable, "-m", "dspctl", *words], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout


def test_tables_name_every_method_and_target() -> None:
    from dspctl.exporter import TARGETS
    from dspctl.trainer import METHODS

    text = (ROOT / "README.md").read_text()
    assert re.findall(r"^\| `(\w[\w-]*)` \| [A-Z]", text, re.M) == list(METHODS)
    section = text[text.index("## Targets and backends") : text.index("## Layout")]
    first = [row.split("|")[1] for row in re.findall(r"^\|.*\|$", section, re.M)]
    named = [name for cell in first for name in re.findall(r"`(\w[\w-]*)`", cell)]
    assert sorted(named) == sorted(TARGETS)


def test_make_targets_named_in_documents_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for document in DOCUMENTS:
        named = re.findall(r"(?:^|`)make ([a-z-]+)", document.read_text(), re.M)
        assert set(named) <= targets, document


def test_no_machine_paths_or_registry_hosts() -> None:
    """Text that is true on one machine only has no place in the project."""
    # Put together here, so that this file does not hold what it looks for.
    paths = ["/".join(["", name, ""]) for name in ("work", "root", "home")]
    hosts = [".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"))]
    wrong = re.compile("|".join(map(re.escape, paths + hosts)))
    found = []
    for path in tracked():
        if path.is_symlink() or not path.is_file() or path.suffix in {".png", ".safetensors"}:
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if wrong.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}")
    assert found == []


def test_decisions_are_numbered_and_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    files = sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert [name[:4] for name in files] == [f"{n:04d}" for n in range(1, len(files) + 1)]
    index = (folder / "README.md").read_text()
    assert [name for name in files if f"({name})" not in index] == []
    for name in files:
        assert (folder / name).read_text().startswith(f"# {name[:4]} ")


def test_every_document_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    names = [path.name for path in (ROOT / "docs").glob("*.md") if path.name != "README.md"]
    assert [name for name in names if f"({name})" not in index] == []


def test_glossary_has_the_words_of_the_field() -> None:
    words = re.findall(r"\*\*([^*]+)\*\*", (ROOT / "docs" / "glossary.md").read_text())
    expected = (
        "return, rollout, advantage, GAE, minibatch, clip range, mask, unit, sparsity, opset, "
        "engine, plan, warm-up, percentile"
    )
    assert {word.strip() for word in expected.split(",")} <= set(words)
    assert len(words) == len(set(words))


def test_the_tables_of_faults_name_every_kind() -> None:
    from dspctl.runtime.loop import KINDS
    from dspctl.runtime.loop.plans import INJECTABLE

    text = (ROOT / "docs" / "control-loop.md").read_text()
    _, rest = text.split("\n| Kind |")
    kinds, injected = rest.split("\n| Fault |")
    assert re.findall(r"^\| `(\w+)` \|", kinds.split("\n\n")[0], re.M) == list(KINDS)
    assert re.findall(r"^\| `(\w+)` \|", injected.split("\n\n")[0], re.M) == list(INJECTABLE)
    example = (ROOT / "exporter/bundle_files/templates/loop/control_loop.hpp.jinja").read_text()
    named = re.findall(r"^//   (\w+) ", example, re.M)
    assert named == [kind for kind in KINDS if kind not in ("no_backend", "loop")]


def test_the_table_of_native_code_is_the_stored_result() -> None:
    from dspctl.cli.show import latency

    result = json.loads((ROOT / "benchmarks" / "results" / "native.json").read_text())
    found: dict[str, dict[str, str]] = {}
    for timing in result["timings"]:
        found.setdefault(timing["policy"], {})[timing["contender"]] = latency(timing["p50_ns"])
    columns = ["C, fast, gcc", "C, strict, gcc", "emx-onnx-cgen, gcc"]
    columns += ["ONNX Runtime run, Python", "native runner, Python"]
    text = (ROOT / "README.md").read_text()
    for policy, timings in found.items():
        cells = " | ".join([policy, *(timings[column] for column in columns)])
        assert f"| {cells} |" in text
    compact = ["8-9-9-4", "C, fast, gcc"]
    ratios = [
        f"{ratio['ratio']['estimate']:.0f}"
        for ratio in result["ratios"]
        if ratio["faster"] == compact and ratio["slower"][0] == "8-128-128-4"
    ]
    assert len(ratios) == 2
    for ratio in ratios:
        assert f"takes {ratio} times" in text or f"and {ratio} times" in text
