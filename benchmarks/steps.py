"""Pieces of measurements that are in already, kept until their measurement is complete.

A measurement is many runs of programs that take turns. Where the line to a board breaks, or
``dspctl`` is killed in the middle of one, the runs that were made need not be made again: the rerun
asks for the same ones in the same order, and is given what was kept.
"""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from dspctl.benchmarks.command.answer import Answer, RunCommand, object_from_json
from dspctl.benchmarks.record.archive import LARGEST_FILE_BYTES
from dspctl.benchmarks.record.file import stem_of
from dspctl.runtime.files import write_bytes
from dspctl.runtime.untrusted import read_bytes

_KEY_BYTES, _REPORT_BYTES = 1 << 16, 1 << 24
_KEY = "key"


class Steps:
    """The kept answers of one benchmark, in a folder beside its result.

    Args:
        out: the result's JSON file; None keeps nothing.
        key: which benchmark it is; answers of another one are thrown away.
    """

    def __init__(self, out: Path | None, key: str) -> None:
        self.folder = None if out is None else steps_folder(out)
        if self.folder is None or out is None:
            return
        try:
            same = read_bytes(self.folder / _KEY, _KEY_BYTES, links=False).decode() == key
        except (OSError, ValueError):
            same = False
        if not same or not out.exists():  # without the result there is nothing to go on with
            self.remove()
            write_bytes(self.folder / _KEY, key.encode())

    def get(self, measurement: str, name: str) -> Answer | None:
        """A kept answer; None where there is none, or not all of it."""
        if self.folder is None:
            return None
        try:
            kept = self.folder / f"{measurement}-{name}.samples"
            samples = read_bytes(kept, LARGEST_FILE_BYTES, links=False)
            report = read_bytes(kept.with_suffix(".json"), _REPORT_BYTES, links=False)
            return Answer(object_from_json(report), samples)
        except (OSError, ValueError):
            return None

    def keep(self, measurement: str, name: str, answer: Answer) -> None:
        """Keep an answer; raises `WriteFailed`."""
        if self.folder is None:
            return
        write_bytes(self.folder / f"{measurement}-{name}.samples", answer.samples)
        write_bytes(self.folder / f"{measurement}-{name}.json", json.dumps(answer.report).encode())

    def keeping(self, measurement: str, run: RunCommand) -> RunCommand:
        """Like *run*, but an answer that is in already is not asked for again.

        Args:
            measurement: what its runs are part of.
            run: runs a program; the same question twice has two answers.
        """
        asked: Counter[str] = Counter()

        def kept(label: str, arguments: Sequence[str]) -> Answer:
            question = hashlib.sha256(json.dumps([label, *arguments]).encode()).hexdigest()[:32]
            asked[question] += 1
            name = f"{question}-{asked[question]}"
            answer = self.get(measurement, name)
            if answer is None:
                answer = run(label, arguments)
                self.keep(measurement, name, answer)
            return answer

        return kept

    def drop(self, measurement: str) -> None:
        """Throw away what belongs to a measurement that is in the result now."""
        if self.folder is not None:
            for path in self.folder.glob(f"{measurement}-*.*"):
                with suppress(OSError):  # all of them go in the end
                    path.unlink()

    def remove(self) -> None:
        """Throw everything away."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)  # a disk that is bad is told by others


def steps_folder(out: Path) -> Path:
    """Where the pieces of the result at *out* are kept while it is measured."""
    return out.with_name(f"{stem_of(out)}.steps")
