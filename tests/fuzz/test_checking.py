"""The check itself: a reader that breaks a promise does not pass."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dspctl.errors import ResultProblem
from tests.fuzz.checking import Broken, check
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS


def reads(read: Callable[[bytes, Path], object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TARGETS, "made up", Target(read, tuple, "bytes"))


def refuse(data: bytes, folder: Path) -> object:
    raise ResultProblem("it is wrong: correct it")


def test_a_value_and_an_error_of_ours_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    reads(lambda data, folder: (folder / "x").write_bytes(data), monkeypatch)
    assert check("made up", b"x")
    reads(refuse, monkeypatch)
    assert not check("made up", b"x")


def test_other_exceptions_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    reads(lambda data, folder: data[5], monkeypatch)
    with pytest.raises(IndexError):
        check("made up", b"x")


def test_files_elsewhere_do_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    reads(lambda data, folder: (folder / "../x").write_bytes(data), monkeypatch)
    with pytest.raises(Broken, match="outside"):
        check("made up", b"x")
    reads(lambda data, folder: (tmp_path / "x").write_bytes(data), monkeypatch)
    with pytest.raises(Broken, match="outside"):
        check("made up", b"x")

    def by_link(data: bytes, folder: Path) -> object:
        (folder / "link").symlink_to(tmp_path / "elsewhere")
        return (folder / "link").write_bytes(data)

    (tmp_path / "elsewhere").write_bytes(b"")
    reads(by_link, monkeypatch)
    with pytest.raises(Broken, match="outside"):
        check("made up", b"x")


def test_much_memory_and_time_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    reads(lambda data, folder: bytearray(1 << 27) and None, monkeypatch)
    with pytest.raises(Broken, match="bytes for 1"):
        check("made up", b"x")

    def slow(data: bytes, folder: Path) -> None:
        until = time.process_time() + 1.2
        while time.process_time() < until:
            pass

    reads(slow, monkeypatch)
    with pytest.raises(Broken, match="takes 1"):
        check("made up", b"x")


def test_a_sentence_without_end_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def shout(data: bytes, folder: Path) -> object:
        raise ResultProblem("a" * 20_000)

    reads(shout, monkeypatch)
    with pytest.raises(Broken, match="20000 characters"):
        check("made up", b"x")
