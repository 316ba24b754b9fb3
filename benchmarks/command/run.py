"""Running the bundles' static programs on this machine."""

import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from dspctl.benchmarks.command.answer import Answer, RunCommand, object_from_json
from dspctl.benchmarks.command.raw import MOST_BYTES
from dspctl.errors import BackendUnavailable
from dspctl.runtime.disks import check_disk
from dspctl.runtime.untrusted import read_bytes

START_S = 60.0
"""What a program may take besides measuring: warming up, locking memory, writing its samples."""

_TIMES = 10.0
"""How many times as long as asked for a measurement may take on a machine that is busy."""

_WORDS = 2000
"""Characters of a program's complaint that are passed on."""


def run_here(programs: Mapping[str, Path]) -> RunCommand:
    """A `RunCommand` for programs of this machine.

    Args:
        programs: label → the file ``policy`` of a verified bundle, as `command_of` finds it.
    """
    paths = {label: path.resolve() for label, path in programs.items()}

    def run(label: str, arguments: Sequence[str]) -> Answer:
        with tempfile.TemporaryDirectory(prefix="dspctl-") as folder:
            samples = Path(folder, "samples")
            words = [str(paths[label]), "bench", *arguments, "--json", "--samples", str(samples)]
            output = _output(label, words, time_limit_s(arguments))
            try:
                return Answer(
                    object_from_json(output), read_bytes(samples, MOST_BYTES, links=False)
                )
            except (OSError, ValueError) as error:
                raise BackendUnavailable(
                    f"the program of '{label}' gave no result ({error}): export the bundle again "
                    "with this dspctl"
                ) from error

    return run


def time_limit_s(arguments: Sequence[str]) -> float:
    """Seconds after which a run of ``policy bench`` with *arguments* is given up."""
    words = list(arguments)
    try:
        seconds = float(words[words.index("--seconds") + 1])
    except (ValueError, IndexError):
        seconds = 2.0  # the program's own
    modes = 1 if {"--back-to-back", "--paced"} & set(words) else 2
    return START_S + _TIMES * modes * seconds


def _output(label: str, words: Sequence[str], limit_s: float) -> bytes:
    """What the program prints; it is killed where it takes too long."""
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=limit_s
        )
    except subprocess.TimeoutExpired as error:
        raise BackendUnavailable(
            f"the program of '{label}' gave no answer within {limit_s:.0f} s: stop other programs "
            "and repeat"
        ) from error
    except OSError as error:
        raise BackendUnavailable(
            f"the program of '{label}' does not run here ({error.strerror or error}): export the "
            "bundle with  --target cpu  on this kind of machine"
        ) from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()[:_WORDS] or "it said nothing"
        check_disk(said)
        raise BackendUnavailable(
            f"the program of '{label}' ended with {_code(done.returncode)} ({said}): export the "
            f"bundle again with this dspctl, or run its  policy verify  to see why"
        )
    return done.stdout


def _code(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
