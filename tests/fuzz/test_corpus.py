"""Inputs that once broke a reader, and the program that finds more."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.checking import check
from tests.fuzz.run import CORPUS, kept
from tests.fuzz.targets import TARGETS

KEPT = [(folder.name, path) for folder in sorted(CORPUS.iterdir()) for path in kept(folder.name)]
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(("name", "path"), KEPT, ids=lambda part: getattr(part, "name", part))
def test_kept_inputs_are_read_or_refused(name: str, path: Path) -> None:
    check(name, path.read_bytes())


def test_every_kept_input_has_a_reader_and_is_small() -> None:
    assert KEPT
    assert {name for name, _ in KEPT} <= set(TARGETS)
    assert max(path.stat().st_size for _, path in KEPT) < 100_000


def test_the_command_fuzzes_a_reader() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.run", "stamp", "--plain", "--seconds", "0.5"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "stamp: " in done.stdout
    assert " 0 findings" in done.stdout


def test_the_command_names_the_readers() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.run", "nothing", "--plain"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 2
    assert "known are json, tensors" in done.stderr
