"""What a machine of a Ray cluster runs: one cell in a temporary folder, whose files are returned.

No file system is shared: the teacher and what an earlier call left of the run come as bytes, and
the run's files go back the same way.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

import ray
from ray.exceptions import RayError

import dspctl
from dspctl.benchmarks.study.cell import RECORD, RUN, run_cell
from dspctl.benchmarks.study.folder import run_files
from dspctl.benchmarks.study.plan import Cell
from dspctl.errors import ClusterUnsuitable, DspctlError

_REPORT_S = 0.5


@dataclass(frozen=True)
class Answer:
    """What became of a cell.

    Attributes:
        files: the run's files, by their path in the run folder.
        record: ``cell.json``, None if the cell is not finished.
        error: why it was given up, empty if it was not.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    record: bytes | None = None
    error: str = ""


class Board:
    """An actor beside the driver: cells write where they are, the driver whether to stop."""

    def __init__(self) -> None:
        self._reports: dict[str, tuple[int, int, str]] = {}
        self._starts: dict[str, int] = {}
        self._stopping = False

    def begin(self, key: str) -> bool:
        """A cell starts; returns whether it is to stop at once."""
        self._starts[key] = self._starts.get(key, 0) + 1
        return self._stopping

    def report(self, key: str, steps: int, total: int, phase: str) -> bool:
        """A cell is at work; returns whether it is to stop."""
        self._reports[key] = (steps, total, phase)
        return self._stopping

    def read(self) -> tuple[dict[str, tuple[int, int, str]], dict[str, int]]:
        """The last report of each cell, and how often each was started."""
        return self._reports, self._starts

    def stop(self) -> None:
        """Ask all cells to stop."""
        self._stopping = True


def run_task(
    values: dict[str, Any],
    version: str,
    teacher: dict[str, bytes],
    files: dict[str, bytes],
    board: Any,
) -> Answer:
    """Run a cell; never raises for what is wrong with it.

    Args:
        values: the cell, as `Cell.to_json` gives it.
        version: the driver's dspctl.
        teacher: the files of the run to learn from, by path; none without a teacher.
        files: what there is of the cell's own run already, by path.
        board: handle of the `Board`.
    """
    cell = Cell.from_json(values)
    asked = _Asked(cell.key, board)
    with TemporaryDirectory(prefix="dspctl-") as temporary:
        folder = Path(temporary)
        _unpack(files, folder / RUN)
        _unpack(teacher, folder / "teacher")
        try:
            if version != dspctl.__version__:
                raise ClusterUnsuitable(
                    f"{ray.util.get_node_ip_address()} has dspctl {dspctl.__version__}, the study "
                    f"runs with {version}: install the same version on every machine"
                )
            source = folder / "teacher" if teacher else None
            found = run_cell(
                cell, folder, source, on_steps=asked.report, should_stop=asked.should_stop
            )
        except DspctlError as error:
            return Answer(error=str(error))
        record = None if found is None else (folder / RECORD).read_bytes()
        return Answer(dict(run_files(folder / RUN)), record)


def _unpack(files: dict[str, bytes], folder: Path) -> None:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


class _Asked:
    """Tells the board where a cell is, and hears from it whether to stop; never waits for it.

    Args:
        key: the cell's.
        board: handle of the `Board`.
    """

    def __init__(self, key: str, board: Any) -> None:
        self._key, self._board = key, board
        self._stopping = False
        self._reported = 0.0
        self._pending = [board.begin.remote(key)]

    def report(self, steps: int, total: int, phase: str) -> None:
        if monotonic() - self._reported > _REPORT_S:
            self._reported = monotonic()
            self._pending.append(self._board.report.remote(self._key, steps, total, phase))

    def should_stop(self) -> bool:
        if self._pending:
            count = len(self._pending)
            ready, self._pending = ray.wait(self._pending, num_returns=count, timeout=0)
            with suppress(RayError):  # without the board there is no driver, and Ray ends this
                self._stopping = self._stopping or any(ray.get(ready))
        return self._stopping
