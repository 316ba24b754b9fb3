"""Memory of the bundle's static program, read while it waits for its next observation."""

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Timer

from dspctl.benchmarks.memory._probe import resident
from dspctl.errors import BackendUnavailable


def probe_command(
    program: Path, observation: Sequence[float], *, calls: int, timeout_s: float
) -> tuple[dict[str, int], int]:
    """One fresh process of ``policy act``.

    Args:
        program: the command.
        observation: a valid one, raw.
        calls: actions to ask for before its memory is read.
        timeout_s: when to give it up.

    Returns:
        What `resident` reads, and nanoseconds from its start to its first action.

    Raises:
        BackendUnavailable: it does not run here, or does not answer.
    """
    line = " ".join(f"{value:.9g}" for value in observation).encode() + b"\n"
    begin = time.perf_counter_ns()
    try:
        process = subprocess.Popen(
            [str(program.absolute()), "act"],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except OSError as error:
        raise BackendUnavailable(
            f"{program} does not run here ({error.strerror or error}): check that it is there and "
            "executable, or copy the bundle again"
        ) from error
    limit = Timer(timeout_s, process.kill)
    limit.start()
    try:
        with process:
            return _measure(process, line, calls, begin)
    except (OSError, EOFError) as error:
        raise BackendUnavailable(
            f"{program} did not answer an observation ({error}): run  {program} verify  to see why"
        ) from error
    finally:
        process.kill()
        limit.cancel()


def _measure(
    process: "subprocess.Popen[bytes]", line: bytes, calls: int, begin: int
) -> tuple[dict[str, int], int]:
    _ask(process, line)
    first_action_ns = time.perf_counter_ns() - begin
    for _ in range(calls - 1):
        _ask(process, line)
    return resident(str(process.pid)), first_action_ns


def _ask(process: "subprocess.Popen[bytes]", line: bytes) -> None:
    """One observation in, one line out; EOFError, with what it said, when nothing comes out."""
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise EOFError("it has no streams")
    process.stdin.write(line)
    if not process.stdout.readline():
        said = process.stderr.read().decode(errors="replace").strip().splitlines()
        raise EOFError(said[-1] if said else "it printed nothing")
