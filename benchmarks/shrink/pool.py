"""Candidates side by side, each in a process that ends with this one."""

import json
import subprocess
from dataclasses import asdict
from pathlib import Path

from dspctl.benchmarks._process import command, environment
from dspctl.benchmarks.record.decode import decode_record
from dspctl.benchmarks.shrink._candidate import JOB, POINT, Job
from dspctl.benchmarks.shrink.ladder import Candidate
from dspctl.benchmarks.shrink.record import Point
from dspctl.errors import TrainingFailed
from dspctl.runtime.files import write_json

_MODULE = "dspctl.benchmarks.shrink._candidate"


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
        write_json(folder / JOB, asdict(job))
        with (folder / "log.txt").open("ab") as log:
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

    def finished(self) -> list[Point]:
        """Points of the candidates that have ended since the last call.

        Raises:
            TrainingFailed: a process ended without a point; the message holds its last line.
        """
        ended = [name for name, (_, process) in self._running.items() if process.poll() is not None]
        points = []
        for name in ended:
            _, process = self._running.pop(name)
            if process.stdin is not None:
                process.stdin.close()
            path = self._folder / name / POINT
            if not path.is_file():
                raise TrainingFailed(
                    f"training {name} failed ({_last_line(path.with_name('log.txt'))}): look at "
                    f"{path.with_name('log.txt')}, then repeat the command"
                )
            points.append(decode_record(Point, json.loads(path.read_text()), "point"))
        return points

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


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").strip().splitlines() if path.is_file() else []
    return lines[-1] if lines else "it said nothing"
