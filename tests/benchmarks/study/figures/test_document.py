import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dspctl.benchmarks.study.figures.__main__ import main
from dspctl.benchmarks.study.figures.collecting import collect
from dspctl.benchmarks.study.figures.document import blocks_of, replace_blocks
from dspctl.benchmarks.study.figures.random_returns import RandomReturn, write_random
from dspctl.benchmarks.study.record import save_results
from dspctl.errors import ConfigProblem
from tests.benchmarks.study.figures.made_up import RANDOM, cell, everything, study

pytest.importorskip("matplotlib")
ROOT = Path(__file__).resolve().parents[4]


def prepare(folder: Path) -> list[str]:
    """A copy of the document and made-up results; the command's arguments."""
    folder.mkdir()
    shutil.copy(ROOT / "docs" / "study.md", folder / "study.md")
    cells = [one for one in everything(2).cells if one.environment == "CartPole-v1"]
    save_results(study(cells), folder / "one.json")
    zeros = {name: RandomReturn(name, 100, 0, mean, 1.0) for name, mean in RANDOM.items()}
    write_random(folder / "random.json", zeros)
    return [
        *(str(folder / "one.json"), "--doc", str(folder / "study.md")),
        *("--images", str(folder / "images"), "--random", str(folder / "random.json")),
    ]


def test_everything_twice_is_the_same_bytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = prepare(tmp_path / "a"), prepare(tmp_path / "b")
    assert main(first) == main(second) == 0
    names = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert {"study.md", "sweep.png", "lambda-dsp.png"} <= {path.name for path in names}
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name

    # A number and a picture changed, and a picture of nothing; another's is none of its business.
    capsys.readouterr()
    doc, images = tmp_path / "a" / "study.md", tmp_path / "a" / "images"
    doc.write_text(doc.read_text().replace("`dsp-kd` | 93%", "`dsp-kd` | 94%"))
    (images / "units.png").write_bytes(b"")
    (images / "lambda-old.png").write_bytes(b"")
    (images / "mine.png").write_bytes(b"")
    assert main([*first, "--check"]) == 1
    listed = [line.rpartition("/")[2] for line in capsys.readouterr().out.splitlines()]
    assert listed == ["study.md", "lambda-old.png", "units.png"]
    assert (images / "units.png").read_bytes() == b""
    assert main(first) == 0
    assert doc.read_bytes() == (tmp_path / "b" / "study.md").read_bytes()
    assert not (images / "lambda-old.png").exists()
    assert (images / "mine.png").exists()


def test_cells_that_several_studies_hold_change_nothing() -> None:
    whole = everything(3)
    cells = whole.cells
    # As studies that share their unpruned cells and more, in one order and the other.
    first, second = (
        [one for one in cells if one.method in (*methods, "ppo")]
        for methods in (("dsp", "linear", "dense-small"), ("dsp", "dsp-kd"))
    )
    assert {one.key for one in (*first, *second)} == {one.key for one in cells}
    assert len(first) + len(second) > len(cells)
    alone = blocks_of({"a": whole}, collect([whole], RANDOM), [], ".")
    for one, two in ((first, second), (second, first)):
        studies = {"a": study(one), "b": study(two)}
        found = blocks_of(studies, collect(list(studies.values()), RANDOM), [], ".")
        assert {**found, "provenance": ""} == {**alone, "provenance": ""}
        counted = f"{len(cells)} in all, each counted once"
        assert counted in found["provenance"]
        assert counted not in alone["provenance"]


def test_the_stored_document_is_the_stored_results() -> None:
    """docs/study.md and its pictures, made again from benchmarks/results/study."""
    stored = sorted((ROOT / "benchmarks" / "results" / "study").glob("*.json"))
    done = subprocess.run(
        [sys.executable, "-m", "dspctl.benchmarks.study.figures", *map(str, stored), "--check"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_prose_is_kept() -> None:
    text = "before\n<!-- a -->\nold\n<!-- end a -->\nbetween\n<!-- b -->\n<!-- end b -->\nafter\n"
    expected = (
        "before\n<!-- a -->\n\n1\n\n<!-- end a -->\nbetween\n<!-- b -->\n\n\\2\n\n<!-- end b -->\n"
        "after\n"
    )
    assert replace_blocks(text, {"a": "1", "b": "\\2"}) == expected
    assert replace_blocks(expected, {"a": "1", "b": "\\2"}) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<!-- a -->\n",
        "<!-- end a -->\n<!-- a -->\n",
        "<!-- a -->\n<!-- a -->\n<!-- end a -->\n",
    ],
)
def test_a_document_without_a_place_is_refused(text: str) -> None:
    with pytest.raises(ConfigProblem, match="no place for the block 'a'"):
        replace_blocks(text, {"a": "1"})


def test_refusals_name_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = prepare(tmp_path / "a")
    doc = tmp_path / "a" / "study.md"
    before = doc.read_bytes()
    assert main([*arguments, str(tmp_path / "none.json")]) == 2
    assert "none.json" in capsys.readouterr().err
    other = tmp_path / "other.json"
    save_results(study([cell(method="dsp", settings={"steps": 7})]), other)
    assert main([*arguments, str(other)]) == 2
    assert "different settings" in capsys.readouterr().err
    (tmp_path / "random.json").write_text("{}")
    assert main([*arguments, "--random", str(tmp_path / "random.json")]) == 2
    assert "random policies" in capsys.readouterr().err
    assert main([*arguments, "--doc", str(tmp_path / "none.md")]) == 2
    assert "none.md cannot be read" in capsys.readouterr().err
    assert doc.read_bytes() == before
    assert not (tmp_path / "a" / "images").exists()
