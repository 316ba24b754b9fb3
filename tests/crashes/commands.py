"""Commands in processes of their own, as a user starts them, which are killed at some moment."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHIM = Path(__file__).resolve().parent / "shim"
LONGEST_S = 300.0


@dataclass(frozen=True)
class Strike:
    """What happens to a command, and when.

    Attributes:
        how: ``kill``, or ``full`` and ``read-only`` for a disk that becomes so.
        after_s: seconds after the start; None at an operation on the disk.
        operation: number of that operation, from 1; 0 for none.
    """

    how: str
    after_s: float | None = None
    operation: int = 0

    def __str__(self) -> str:
        if self.after_s is not None:
            return f"{self.how} after {self.after_s:.3f} s"
        return f"{self.how} at operation {self.operation}"


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: exit code, negative for a signal.
        seconds: how long it took.
        operations: on the disk, below the place that was watched.
        stderr: what it said.
    """

    code: int
    seconds: float
    operations: int
    stderr: str

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


def run(
    words: list[str],
    place: Path,
    temporary: Path,
    strike: Strike | None = None,
    *,
    inside: Path | None = None,
) -> Ended:
    """Run ``dspctl WORDS`` until it ends or is struck.

    Args:
        words: the command line after ``dspctl``.
        place: where operations on the disk are counted, and struck.
        temporary: where the count is kept, and what it says; also for its temporary files.
        strike: what happens to it, None for nothing.
        inside: for its temporary files instead.
    """
    temporary.mkdir(parents=True, exist_ok=True)
    count = temporary / "operations"
    count.unlink(missing_ok=True)
    due = strike.operation if strike is not None else 0
    started = time.monotonic()
    with (temporary / "stderr").open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "dspctl", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
            env={
                **{k: v for k, v in os.environ.items() if not k.startswith("CRASH_")},
                "PYTHONPATH": os.pathsep.join([str(SHIM), str(ROOT)]),
                "CRASH_PLACE": str(place),
                "CRASH_COUNT": str(count),
                "CRASH_DUE": str(due),
                "CRASH_HOW": "kill" if strike is None else strike.how,
                "TMPDIR": str(inside or temporary),
            },
        )
        try:
            process.wait(LONGEST_S if strike is None or strike.after_s is None else strike.after_s)
        except subprocess.TimeoutExpired:
            if strike is None or strike.after_s is None:
                raise
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    return Ended(
        process.returncode,
        time.monotonic() - started,
        count.stat().st_size if count.exists() else 0,
        (temporary / "stderr").read_text(errors="replace"),
    )
