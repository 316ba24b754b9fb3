"""Timing calls in several processes, so that what differs from one to the next is in the intervals.

Where code and data lie in memory differs with every process, and moves a median by half a percent
(Mytkowicz et al., "Producing wrong data without doing anything obviously wrong!", ASPLOS 2009).
Rounds inside one process cannot see that. So a backend's calls are timed in a few processes, in
each of which the subjects take turns, and the *processes* are what is resampled, the highest level
of the experiment (Kalibera and Jones, ISMM 2013).
"""

import json
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.benchmarks._process import command, environment
from dspctl.benchmarks.calls._execution import Job
from dspctl.benchmarks.calls.latency import ROUNDS, Samples
from dspctl.benchmarks.calls.paced import WINDOWS, PacedSamples
from dspctl.benchmarks.calls.scheduling import Scheduling
from dspctl.benchmarks.calls.timer import WarmUp
from dspctl.benchmarks.command.answer import Answer, object_from_json
from dspctl.benchmarks.record.archive import LARGEST_FILE_BYTES, arrays_from_bytes
from dspctl.benchmarks.record.decode import decode
from dspctl.benchmarks.request import Request
from dspctl.benchmarks.steps import Steps
from dspctl.errors import BackendUnavailable
from dspctl.runtime.disks import check_disk
from dspctl.runtime.untrusted import read_bytes

_START_S = 120.0
"""What a process may take besides measuring."""


@dataclass(frozen=True, eq=False)
class Executions:
    """What all processes gave, a block per process.

    Attributes:
        samples: label → calls back to back.
        steps: label → control loop.
        lost: label → why it does not run on this backend.
        clock_cost_ns: of one reading, the median over processes.
        scheduling: the answers to the first process.
        device_memory: label → bytes on an accelerator, of runners that say.
    """

    samples: Mapping[str, Samples]
    steps: Mapping[str, PacedSamples]
    lost: Mapping[str, BackendUnavailable]
    clock_cost_ns: float
    scheduling: Scheduling
    device_memory: Mapping[str, int]


_LOOP = ("wakeup", "inference")


@dataclass(frozen=True)
class _Report:
    """What a process prints, see :mod:`._execution`."""

    lost: Mapping[str, str]
    clock_cost_ns: float
    scheduling: Scheduling
    device_memory: Mapping[str, int]
    warm_up: Mapping[str, WarmUp]
    calls_per_sample: Mapping[str, int]
    period_ns: int


@dataclass(frozen=True, eq=False)
class _One:
    report: dict[str, Any]
    arrays: Mapping[str, NDArray[np.int64]]


class Processes:
    """The processes of one backend, a few at a time.

    Args:
        subjects: label → policy file or bundle folder.
        backend: any that runs in a Python process.
        observations: float32 [n, obs_dim], raw.
        request: what to measure; its seconds are divided among `Request.executions` processes.
        latency: whether to time calls back to back.
        paced: whether to run a control loop.
        steps: keeps what each process gave.
        on_process: called with processes done and processes in all.
    """

    def __init__(
        self,
        subjects: Mapping[str, Path],
        backend: str,
        observations: NDArray[np.float32],
        request: Request,
        *,
        latency: bool,
        paced: bool,
        steps: Steps | None = None,
        on_process: Callable[[int, int], None] | None = None,
    ) -> None:
        self._backend, self._observations = backend, observations
        self._steps, self._on_process = steps, on_process
        self._count = count = request.executions
        self._found: list[_One] = []
        self._job = Job(
            subjects={label: str(path.resolve()) for label, path in subjects.items()},
            backend=backend,
            request=replace(
                request,
                seconds=request.seconds / count,
                paced_seconds=request.paced_seconds / count,
            ),
            latency=latency,
            paced=paced,
            rounds=max(1, ROUNDS // count),
            windows=max(1, WINDOWS // count),
            calls_per_sample={},
            observations="",
            out="",
        )

    def until(self, count: int) -> Executions:
        """Run what is missing of the first so many processes; returns what all of them gave.

        Raises:
            BackendUnavailable: a process failed; the message holds its last line.
        """
        for index in range(len(self._found), min(count, self._count)):
            # Samples of all processes are of one kind, and a subject that cannot run stays out.
            lost = {label for one in self._found for label in one.report["lost"]}
            left = {label: path for label, path in self._job.subjects.items() if label not in lost}
            if not left:
                break
            fixed = self._found[0].report["calls_per_sample"] if self._found else {}
            self._found.append(
                self._one(index, replace(self._job, subjects=left, calls_per_sample=fixed))
            )
            if self._on_process is not None:
                self._on_process(index + 1, self._count)
        return _together(self._found, latency=self._job.latency, paced=self._job.paced)

    def _one(self, index: int, job: Job) -> _One:
        kept = None if self._steps is None else self._steps.get(self._backend, str(index))
        if kept is not None and (found := _checked(kept, job)) is not None:
            return found
        answer = _run(job, self._observations)
        if self._steps is not None:
            self._steps.keep(self._backend, str(index), answer)
        found = _checked(answer, job)
        if found is None:
            raise BackendUnavailable(
                f"timing {job.backend} in a process of its own gave something else than was asked "
                "for: try it with --executions 1"
            )
        return found


def _checked(answer: Answer, job: Job) -> _One | None:
    """The answer to *job*; None where it is another one's, or damaged."""
    try:
        report = decode(_Report, answer.report, "the report")
        arrays = arrays_from_bytes(answer.samples)
    except ValueError:
        return None
    left = job.subjects.keys() - report.lost.keys()
    wanted = {
        f"{kind}:{label}"
        for asked, kinds in ((job.latency, ("single", "batched")), (job.paced, _LOOP))
        for kind in kinds
        for label in left
        if asked
    }
    told = (report.warm_up.keys(), report.calls_per_sample.keys())
    if arrays.keys() != wanted or any(one.dtype != np.int64 for one in arrays.values()):
        return None
    if job.latency and any(labels != left for labels in told):
        return None
    return _One(answer.report, {name: one.astype(np.int64) for name, one in arrays.items()})


def _run(job: Job, observations: NDArray[np.float32]) -> Answer:
    """Let a fresh process do a job."""
    measured_s = job.request.seconds + job.request.paced_seconds
    with tempfile.TemporaryDirectory(prefix="dspctl-") as name:
        folder = Path(name)
        path, given, out = folder / "job.json", folder / "observations.npy", folder / "samples.npz"
        np.save(given, observations)
        path.write_text(json.dumps(asdict(replace(job, observations=str(given), out=str(out)))))
        try:
            done = subprocess.run(
                command("dspctl.benchmarks.calls._execution", str(path)),
                env=environment(),
                capture_output=True,
                text=True,
                timeout=_START_S + 10 * measured_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise BackendUnavailable(
                f"timing {job.backend} in a process of its own did not end: try it with "
                "--executions 1"
            ) from error
        if done.returncode != 0:
            check_disk(done.stderr)
            last = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
            raise BackendUnavailable(
                f"timing {job.backend} in a process of its own failed ({last}): try it with  "
                "dspctl eval"
            )
        try:
            report = object_from_json(done.stdout.encode())
            return Answer(report, read_bytes(out, LARGEST_FILE_BYTES))
        except (OSError, ValueError) as error:
            raise BackendUnavailable(
                f"timing {job.backend} in a process of its own gave no result ({error}): try it "
                "with --executions 1"
            ) from error


def _together(found: list[_One], *, latency: bool, paced: bool) -> Executions:
    first = found[0]
    lost = {
        label: BackendUnavailable(why) for one in found for label, why in one.report["lost"].items()
    }
    labels = [label for label in _labels(first) if label not in lost]
    samples, steps = {}, {}
    for label in labels:
        if latency:
            warm = [one.report["warm_up"][label] for one in found]
            samples[label] = Samples(
                single_ns=tuple(one.arrays[f"single:{label}"] for one in found),
                batched_ns=tuple(one.arrays[f"batched:{label}"] for one in found),
                calls_per_sample=first.report["calls_per_sample"][label],
                warm_up=WarmUp(
                    sum(one["calls"] for one in warm),
                    float(np.median([one["call_ns"] for one in warm])),
                    settled=all(one["settled"] for one in warm),
                ),
            )
        if paced:
            wakeup = [one.arrays[f"wakeup:{label}"] for one in found]
            steps[label] = PacedSamples(
                period_ns=first.report["period_ns"],
                wakeup_ns=np.concatenate(wakeup),
                inference_ns=np.concatenate([one.arrays[f"inference:{label}"] for one in found]),
                window_steps=tuple(int(one.size) for one in wakeup),
            )
    return Executions(
        samples=samples,
        steps=steps,
        lost=lost,
        clock_cost_ns=float(np.median([one.report["clock_cost_ns"] for one in found])),
        scheduling=decode(Scheduling, first.report["scheduling"], "scheduling"),
        device_memory=first.report["device_memory"],
    )


def _labels(one: _One) -> list[str]:
    """In the order of the subjects."""
    names = [name.partition(":")[2] for name in one.arrays if name.startswith(("single", "wakeup"))]
    return list(dict.fromkeys(names))
