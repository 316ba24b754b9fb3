"""Run in a process of its own: reads a board's power rails a few times a second.

``python -m dspctl.benchmarks.energy._sampler '{"root": "/", "interval_s": 0.25, "program": null}'``
prints one JSON object per reading, ``{"t": seconds of CLOCK_MONOTONIC, "rails": {name: watts}}``,
from the sensor's files, or from what *program* (tegrastats) prints. It ends when its standard input
is closed or its parent is gone, so that a benchmark that is killed leaves nothing running.

Standard library only: importing NumPy would cost more than all the readings of a window.
"""

import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from dspctl.benchmarks.device.ina3221 import read_rails
from dspctl.benchmarks.device.tegrastats import parse_tegrastats

_STDIN = 0
_STOP_S = 2.0
_MS_PER_S = 1000


def sample_files(root: Path, interval_s: float, parent: int) -> None:
    """Read the sensor's files every *interval_s*."""
    due = time.monotonic()
    while os.getppid() == parent:
        rails = read_rails(root)
        _report(rails)
        due = max(due + interval_s, time.monotonic())  # a reading that is late moves the next ones
        if _ready((_STDIN,), due - time.monotonic()):
            return


def relay(program: str, interval_s: float, parent: int) -> None:
    """Run tegrastats, and stamp each of its lines with the time at which it came."""
    milliseconds = max(1, round(interval_s * _MS_PER_S))
    process = subprocess.Popen(
        [program, "--interval", str(milliseconds)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        output = process.stdout.fileno() if process.stdout is not None else _STDIN
        begun = b""
        while os.getppid() == parent:
            ready = _ready((_STDIN, output), _STOP_S)
            if _STDIN in ready:
                return
            if output not in ready:
                continue
            data = os.read(output, 1 << 16)
            if not data:
                return
            *lines, begun = (begun + data).split(b"\n")
            for line in lines:
                reading = parse_tegrastats(line.decode(errors="replace"))
                if reading is not None:
                    _report(reading.rails_w)
    finally:
        _stop(process)


def _report(rails: dict[str, float]) -> None:
    print(json.dumps({"t": time.monotonic(), "rails": rails}), flush=True)


def _ready(descriptors: tuple[int, ...], timeout_s: float) -> list[int]:
    return select.select(descriptors, (), (), max(timeout_s, 0.0))[0]


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main(request: dict[str, Any]) -> None:
    """Sample as *request* says until there is nobody to sample for."""
    parent, interval_s = os.getppid(), float(request["interval_s"])
    if request["program"] is None:
        sample_files(Path(request["root"]), interval_s, parent)
    else:
        relay(request["program"], interval_s, parent)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
