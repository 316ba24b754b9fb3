"""Measure in a process of its own, as a request on the disk says.

``python -m dspctl.benchmarks.worker REQUEST.json`` reads ``{"subjects": {label: path}, "request":
{…}, "observations": path of a .npy file or null, "out": path}`` and prints one JSON object per
line: ``{"stage", "backend", "done", "total"}`` as measurements proceed, ``{"finished": true}`` at
the end. An error of ours is a line ``{"error": {"type", "message"}}`` and exit code 2. Started
again, it goes on with what ``out`` holds.

Needs NumPy and safetensors, and what the measured backends need.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dspctl.benchmarks.keeper import Progress
from dspctl.benchmarks.measurement import measure
from dspctl.benchmarks.record.decode import decode_record
from dspctl.benchmarks.request import Request
from dspctl.errors import ConfigProblem, DspctlError
from dspctl.runtime.strict_json import value_from_json
from dspctl.runtime.untrusted import read_bytes

_REQUEST_BYTES = 1 << 20


@dataclass(frozen=True)
class _Job:
    subjects: Mapping[str, str]
    request: Request
    observations: str | None
    out: str


def run(path: Path) -> None:
    """Measure what the job in *path* says.

    Raises:
        ConfigProblem: it cannot be read.
        DspctlError: as :func:`dspctl.benchmarks.measurement.measure`.
    """
    try:
        given = value_from_json(read_bytes(path, _REQUEST_BYTES), "the request")
        job = decode_record(_Job, given, "the request")
        observations = (
            None if job.observations is None else np.load(job.observations, allow_pickle=False)
        )
    except (OSError, ValueError) as error:
        raise ConfigProblem(f"the request in {path} cannot be used: {error}") from error
    measure(
        {label: Path(where) for label, where in job.subjects.items()},
        job.request,
        observations=observations,
        out=Path(job.out),
        on_progress=_print_progress,
    )


def _print_progress(progress: Progress) -> None:
    _print(asdict(progress))


def _print(value: Any) -> None:
    sys.stdout.write(f"{json.dumps(value)}\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> int:
    """Returns the exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m dspctl.benchmarks.worker REQUEST.json\n")
        return 2
    try:
        run(Path(arguments[0]))
    except DspctlError as error:
        _print({"error": {"type": type(error).__name__, "message": str(error)}})
        return 2
    _print({"finished": True})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
