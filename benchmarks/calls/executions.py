"""Timing calls in several processes, so that what differs from one to the next is in the intervals.

Where code and data lie in memory differs with every process, and moves a median by half a percent
(Mytkowicz et al., "Producing wrong data without doing anything obviously wrong!", ASPLOS 2009).
Rounds inside one process cannot see that. So a backend's calls are timed in a few processes one
after the other, in each of which the subjects take turns, and the *processes* are what is
resampled, the highest level of the experiment (Kalibera and Jones, ISMM 2013).
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
from dspctl.benchmarks.record.decode import decode
from dspctl.benchmarks.request import Request
from dspctl.errors import BackendUnavailable

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
    """

    samples: Mapping[str, Samples]
    steps: Mapping[str, PacedSamples]
    lost: Mapping[str, BackendUnavailable]
    clock_cost_ns: float
    scheduling: Scheduling


@dataclass(frozen=True, eq=False)
class _One:
    report: dict[str, Any]
    arrays: Mapping[str, NDArray[np.int64]]


def time_in_processes(
    subjects: Mapping[str, Path],
    backend: str,
    observations: NDArray[np.float32],
    request: Request,
    *,
    latency: bool,
    paced: bool,
    on_process: Callable[[int, int], None] | None = None,
) -> Executions:
    """Time all *subjects* in `Request.executions` fresh processes.

    Args:
        subjects: label → policy file or bundle folder.
        backend: any that runs in a Python process.
        observations: float32 [n, obs_dim], raw.
        request: what to measure; its seconds are divided among the processes.
        latency: whether to time calls back to back.
        paced: whether to run a control loop.
        on_process: called with processes done and processes in all.

    Raises:
        BackendUnavailable: a process failed; the message holds its last line.
    """
    count = request.executions
    share = replace(
        request, seconds=request.seconds / count, paced_seconds=request.paced_seconds / count
    )
    found: list[_One] = []
    with tempfile.TemporaryDirectory(prefix="dspctl-") as name:
        folder = Path(name)
        np.save(folder / "observations.npy", observations)
        job = Job(
            subjects={label: str(path.resolve()) for label, path in subjects.items()},
            backend=backend,
            request=share,
            latency=latency,
            paced=paced,
            rounds=max(1, ROUNDS // count),
            windows=max(1, WINDOWS // count),
            calls_per_sample={},
            observations=str(folder / "observations.npy"),
            out=str(folder / "samples.npz"),
        )
        for done in range(count):
            one = _run(job, folder)
            found.append(one)
            # Samples of all processes are of one kind, and a subject that cannot run stays out.
            job = replace(
                job,
                calls_per_sample=found[0].report["calls_per_sample"],
                subjects={
                    label: path
                    for label, path in job.subjects.items()
                    if label not in one.report["lost"]
                },
            )
            if on_process is not None:
                on_process(done + 1, count)
            if not job.subjects:
                break
    return _together(found, latency=latency, paced=paced)


def _run(job: Job, folder: Path) -> _One:
    path = folder / "job.json"
    path.write_text(json.dumps(asdict(job)))
    measured_s = job.request.seconds + job.request.paced_seconds
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
            f"timing {job.backend} in a process of its own did not end: try it with --executions 1"
        ) from error
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
        raise BackendUnavailable(
            f"timing {job.backend} in a process of its own failed ({last}): try it with  "
            "dspctl eval"
        )
    with np.load(job.out, allow_pickle=False) as archive:
        return _One(json.loads(done.stdout), {name: archive[name] for name in archive.files})


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
    )


def _labels(one: _One) -> list[str]:
    """In the order of the subjects."""
    names = [name.partition(":")[2] for name in one.arrays if name.startswith(("single", "wakeup"))]
    return list(dict.fromkeys(names))
