"""Answers of the bundle's program that are in already, kept until their measurement is complete.

A measurement is many runs of the program that take turns. When the line breaks in the middle of
one, the runs that were made need not be made again: the rerun asks for the same ones in the same
order, and is given what was kept.
"""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from dspctl.benchmarks.command.answer import Answer
from dspctl.benchmarks.remote.results import finished_in
from dspctl.runtime.files import write_bytes

_KEY = "key"


class Steps:
    """The kept answers of one benchmark, in a folder beside its result.

    An answer belongs to the measurement that was under way: to how many had finished before it.
    Once that is in the result, its answers go.

    Args:
        out: the result's JSON file.
        key: what the benchmark is; answers of another one are thrown away.
    """

    def __init__(self, out: Path, key: str) -> None:
        self._out = out
        self.folder = out.with_name(f"{out.stem}.steps")
        self._stage = -1
        self._asked: Counter[str] = Counter()
        try:
            same = (self.folder / _KEY).read_text() == key
        except OSError:
            same = False
        if not same or not out.exists():  # without the result there is nothing to go on with
            self.remove()
            write_bytes(self.folder / _KEY, key.encode())

    def name(self, subject: str, arguments: Sequence[str]) -> str:
        """The name of the next answer to these arguments; the same question twice has two."""
        finished = len(finished_in(self._out))
        if finished != self._stage:
            self._stage = finished
            self._asked.clear()
            for path in self.folder.glob("*.*"):
                if not path.name.startswith(f"{finished}-"):
                    path.unlink(missing_ok=True)
        question = hashlib.sha256(json.dumps([subject, *arguments]).encode()).hexdigest()[:32]
        self._asked[question] += 1
        return f"{finished}-{question}-{self._asked[question]}"

    def get(self, name: str) -> Answer | None:
        """A kept answer; None where there is none, or not all of it."""
        try:
            samples = (self.folder / f"{name}.samples").read_bytes()
            report = json.loads((self.folder / f"{name}.json").read_bytes())
        except (OSError, ValueError):
            return None
        return Answer(report, samples) if isinstance(report, dict) else None

    def keep(self, name: str, answer: Answer) -> None:
        """Keep an answer; raises `WriteFailed`."""
        write_bytes(self.folder / f"{name}.samples", answer.samples)
        write_bytes(self.folder / f"{name}.json", json.dumps(answer.report).encode())

    def count(self) -> int:
        """How many answers are kept."""
        return sum(1 for _ in self.folder.glob("*.json"))

    def remove(self) -> None:
        """Throw everything away."""
        with suppress(FileNotFoundError):
            shutil.rmtree(self.folder)
