"""What a job is, and what all of them share: what was made without any kill, to compare with."""

import shutil
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

from dspctl.runtime.files import is_temporary
from tests.crashes.commands import Ended, run


class Broken(AssertionError):
    """A promise was not kept."""


def hold(promise: object, sentence: str) -> None:
    """Refuse with *sentence* unless *promise* holds."""
    if not promise:
        raise Broken(sentence)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def visible(folder: Path) -> set[str]:
    """What lies in a folder, without what a kill may leave and everybody passes over."""
    return {path.name for path in folder.iterdir() if not is_temporary(path)}


@dataclass
class Case:
    """One output while it is made, with as many interruptions as there may be.

    Attributes:
        place: the folder that the job writes into.
        replaces: whether a finished output was there, which ``--force`` replaces.
        known: what was found after earlier kills.
    """

    place: Path
    replaces: bool = False
    known: dict[str, Any] = field(default_factory=dict)


class Job(ABC):
    """A command, what it must leave when it is killed, and what it must come to in the end.

    Args:
        folder: where references are made, once.
    """

    name: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def needed(self) -> None:
        """Make what the command reads."""

    @abstractmethod
    def older(self, place: Path) -> None:
        """Make the finished output that a command with ``--force`` replaces."""

    @abstractmethod
    def words(self, case: Case) -> list[str] | None:
        """The command line for what is there now; None where all is done."""

    @abstractmethod
    def check_left(self, case: Case) -> str:
        """Check what a kill or a bad disk has left; says what it is."""

    @abstractmethod
    def check_done(self, case: Case) -> None:
        """Check what the last command has come to."""

    def begin(self, place: Path, rng: Random) -> Case:
        """An empty place, or every other time one with an older output."""
        case = Case(place, replaces=rng.random() < 0.5)
        place.mkdir(parents=True, exist_ok=True)
        if case.replaces:
            shutil.copytree(self.reference_of_older, place, dirs_exist_ok=True)
        return case

    @cached_property
    def reference_of_older(self) -> Path:
        place = self.folder / f"{self.name}-older"
        if not place.exists():
            self.older(place.with_suffix(".tmp"))
            place.with_suffix(".tmp").rename(place)
        return place

    @cached_property
    def reference(self) -> Path:
        """The output of a command that nothing happened to."""
        self.measured  # noqa: B018
        return self.folder / self.name

    @cached_property
    def measured(self) -> Ended:
        """How long it took, and how many operations on the disk."""
        place = self.folder / self.name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        words = self.words(Case(place))
        assert words is not None
        ended = run(words, place, self.folder / f"{self.name}-temporary")
        assert ended.code == 0, ended.stderr
        return ended

    def finish(self, words: list[str], place: Path) -> None:
        """Run a command that makes a part of the references."""
        place.mkdir(parents=True, exist_ok=True)
        ended = run(words, place, self.folder / f"{self.name}-temporary")
        assert ended.code == 0, ended.stderr
