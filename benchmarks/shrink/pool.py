"""Candidates side by side, each in a process that ends with this one."""

import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from dspctl.benchmarks._process import command, environment, last_line
from dspctl.benchmarks.record.decode import decode_record
from dspctl.benchmarks.shrink._candidate import JOB, POINT, Job
from dspctl.benchmarks.shrink.ladder import Candidate
from dspctl.benchmarks.shrink.record import Point
from dspctl.errors import TrainingFailed
from dspctl.runtime.files import open_log, write_json
from dspctl.runtime.strict_json import value_from_json
from dspctl.runtime.untrusted import read_bytes

_LARGEST_BYTES = 1 << 20
_MODULE = "dspctl.benchmarks.shrink._candidate"


@dataclass(frozen=True)
class Failure:
    """A candidate whose process ended without a point.

    Attributes:
        candidate: which one.
        reason: the last thing that it said, and where the rest is.
    """

    candidate: Candidate
    reason: str


class Pool:
    """Processes that train candidates.

    Args:
        folder: where each candidate has a folder of its name.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, tuple[Candidate, subprocess.Popen[bytes]]] = {}

    @property
    def running(self) -> list[Candidate]:
        """Those that have not ended."""
        return [candidate for candidate, _ in self._running.values()]

    def start(self, job: Job) -> None:
        """Train a candidate, or go on with it."""
        folder = self._folder / job.candidate.name
        folder.mkdir(parents=True, exist_ok=True)
        # One that is trained further, for another goal, has left a point before.
        (folder / POINT).unlink(missing_ok=True)
        write_json(folder / JOB, asdict(job))
        with open_log(folder / "log.txt", "a") as log:
            process = subprocess.Popen(
                command(_MODULE, str(folder)),
                env=environment(),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                # Ctrl-C in a terminal goes to the search alone, which then ends its candidates.
                start_new_session=True,
            )
        self._running[job.candidate.name] = job.candidate, process

    def finished(self) -> list[Point | Failure]:
        """What became of the candidates that have ended since the last call."""
        ended = [name for name, (_, process) in self._running.items() if process.poll() is not None]
        return [self._ended(name) for name in ended]

    def _ended(self, name: str) -> Point | Failure:
        candidate, process = self._running.pop(name)
        if process.stdin is not None:
            process.stdin.close()
        path = self._folder / name / POINT
        log = path.with_name("log.txt")
        if not path.is_file():
            return Failure(candidate, f"{last_line(log) or 'it said nothing'} (see {log})")
        try:
            return _point(path)
        except TrainingFailed as error:
            return Failure(candidate, str(error))

    def stop(self, names: set[str]) -> None:
        """End the candidates of these names; their checkpoints stay."""
        for name in names:
            _, process = self._running.pop(name)
            process.kill()
            process.wait()
            if process.stdin is not None:
                process.stdin.close()

    def close(self) -> None:
        """End all of them."""
        self.stop(set(self._running))


def _point(path: Path) -> Point:
    """What a candidate's process left.

    Raises:
        TrainingFailed: it cannot be read.
    """
    try:
        content = read_bytes(path, _LARGEST_BYTES, links=False)
        return decode_record(Point, value_from_json(content, "it"), "point")
    except (OSError, ValueError) as error:
        raise TrainingFailed(f"{path} is not what training leaves ({error}): remove it") from error
