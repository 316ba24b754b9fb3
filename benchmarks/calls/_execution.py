"""One of the processes in which a backend's calls are timed; see :mod:`.executions`.

``python -m dspctl.benchmarks.calls._execution JOB.json`` writes the raw samples as the job says and
prints one JSON object.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dspctl.benchmarks.calls.latency import measure_latency
from dspctl.benchmarks.calls.paced import measure_paced
from dspctl.benchmarks.calls.running import running
from dspctl.benchmarks.calls.scheduling import scheduled
from dspctl.benchmarks.calls.timer import calibrate
from dspctl.benchmarks.record.decode import decode_record
from dspctl.benchmarks.request import Request
from dspctl.runtime.sleep import choose_sleeper


@dataclass(frozen=True)
class Job:
    """What one process does.

    Attributes:
        subjects: label → policy file or bundle folder.
        backend: what runs them.
        request: the whole request; its seconds are those of this process.
        latency: whether to time calls back to back.
        paced: whether to run a control loop.
        rounds: blocks per subject.
        windows: turns of the control loop per subject.
        calls_per_sample: label → calls of a sample; without an entry the process chooses.
        observations: a .npy file, float32 [n, obs_dim].
        out: where the raw samples go.
    """

    subjects: Mapping[str, str]
    backend: str
    request: Request
    latency: bool
    paced: bool
    rounds: int
    windows: int
    calls_per_sample: Mapping[str, int]
    observations: str
    out: str


def run(job: Job) -> dict[str, Any]:
    """Measure, write the arrays, and return what goes with them."""
    observations = np.load(job.observations, allow_pickle=False)
    clock = calibrate()
    arrays: dict[str, Any] = {}
    warm: dict[str, Any] = {}
    per_sample: dict[str, int] = {}
    period_ns = 0
    subjects = {label: Path(path) for label, path in job.subjects.items()}
    with (
        running(subjects, job.backend, observations[0]) as opened,
        scheduled(job.request.wanted) as granted,
    ):
        runners = opened.runners
        if runners and job.latency:
            found = measure_latency(
                runners,
                observations,
                clock,
                seconds=job.request.seconds,
                rounds=job.rounds,
                calls_per_sample=job.calls_per_sample,
            )
            for label, one in found.items():
                arrays[f"single:{label}"] = one.single
                arrays[f"batched:{label}"] = np.concatenate([*one.batched_ns])
                per_sample[label], warm[label] = one.calls_per_sample, asdict(one.warm_up)
        if runners and job.paced:
            loops = measure_paced(
                runners,
                observations,
                hz=job.request.hz,
                seconds=job.request.paced_seconds,
                read=clock.read,
                sleep_until=choose_sleeper(clock.read).until,
                windows=job.windows,
            )
            for label, loop in loops.items():
                period_ns = loop.period_ns
                arrays[f"wakeup:{label}"] = loop.wakeup_ns
                arrays[f"inference:{label}"] = loop.inference_ns
    np.savez(job.out, **arrays)  # without allow_pickle: see record/file.py
    return {
        "lost": {label: str(error) for label, error in opened.lost.items()},
        "clock_cost_ns": clock.cost_ns,
        "scheduling": asdict(granted),
        "device_memory": opened.device_memory,
        "warm_up": warm,
        "calls_per_sample": per_sample,
        "period_ns": period_ns,
    }


if __name__ == "__main__":
    job = decode_record(Job, json.loads(Path(sys.argv[1]).read_text()), "the job")
    print(json.dumps(run(job)))
