"""Run in a fresh process: one cell. It ends at once when the process that started it does.

The first line of standard input is the job; its end is the end of the parent, even of one that was
killed. Standard output carries JSON lines: steps now and then, and what became of the cell last.
"""

import json
import os
import signal
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, TextIO

from dspctl.benchmarks._process import end_with_parent
from dspctl.benchmarks.study.cell import run_cell
from dspctl.benchmarks.study.plan import Cell
from dspctl.errors import DspctlError

INTERRUPTED = 130
_REPORT_S = 0.25


@dataclass(frozen=True)
class Job:
    """What one process does.

    Attributes:
        cell: the cell.
        folder: its folder.
        teacher: run folder or policy file that it learns from; None without one.
    """

    cell: Cell
    folder: Path
    teacher: Path | None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        teacher = None if self.teacher is None else str(self.teacher)
        return {"cell": self.cell.to_json(), "folder": str(self.folder), "teacher": teacher}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Job":
        """Inverse of `to_json`."""
        teacher = values["teacher"]
        return cls(
            Cell.from_json(values["cell"]),
            Path(values["folder"]),
            None if teacher is None else Path(teacher),
        )


def main() -> int:
    """Run the job; returns the exit code."""
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda signum, frame: asked.set())
    answers = _own_stdout()
    job = Job.from_json(json.loads(sys.stdin.readline()))
    end_with_parent()
    reported = 0.0

    def report(steps: int, total: int, phase: str) -> None:
        nonlocal reported
        if monotonic() - reported > _REPORT_S:
            reported = monotonic()
            _say(answers, {"steps": steps, "total": total, "phase": phase})

    try:
        found = run_cell(
            job.cell, job.folder, job.teacher, on_steps=report, should_stop=asked.is_set
        )
    except DspctlError as error:
        _say(answers, {"error": str(error)})
        return 2
    if found is None:
        _say(answers, {"stopped": True})
        return INTERRUPTED
    _say(answers, {"finished": True})
    return 0


def _own_stdout() -> TextIO:
    """Standard output for answers alone; what libraries print goes to standard error."""
    own = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return own


def _say(stream: TextIO, value: dict[str, Any]) -> None:
    stream.write(json.dumps(value) + "\n")
    stream.flush()


if __name__ == "__main__":
    sys.exit(main())
