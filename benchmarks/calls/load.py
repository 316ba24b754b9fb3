"""Background load: other programs that want the processor and its caches while calls are timed.

Each process alternates between copying 1 MiB of a memory larger than the last-level cache and some
milliseconds of integer arithmetic. So it competes for what a control loop competes for with the
rest of a vehicle's software: processor time, caches, and the bandwidth of memory. It makes no
input, output, network traffic or interrupts, and asks for no accelerator. The processes are
ordinary ones (SCHED_OTHER, nice 0), wherever the system puts them, or all on one processor.
"""

import json
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dspctl.errors import BackgroundLoadFailed

START_S = 60.0
"""What processes may take until all of them are at work."""

_ENDING_S = 0.05

_USUAL_CACHE = 32 << 20
_LEAST, _MOST = 16 << 20, 512 << 20
"""Bytes of one process."""
_SIZE = re.compile(r"(\d+)([KMG]?)\s*")
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_BUSY = Path(__file__).with_name("_busy.py")


@dataclass(frozen=True)
class Load:
    """What is running.

    Attributes:
        processes: the processes' numbers.
        bytes_each: memory that each of them goes through.
        cpu: the processor they are on; None for all of them.
    """

    processes: tuple[int, ...]
    bytes_each: int
    cpu: int | None

    @property
    def note(self) -> str:
        """A sentence for the result; empty without any processes."""
        if not self.processes:
            return ""
        where = "anywhere" if self.cpu is None else f"on processor {self.cpu}"
        return (
            f"{len(self.processes)} other processes kept the machine busy, {where}: each with "
            f"arithmetic and with copying through {self.bytes_each >> 20} MiB"
        )


@contextmanager
def background_load(processes: int, cpu: int | None = None) -> Iterator[Load]:
    """Keep the machine busy with so many *processes*; they are at work when this yields.

    They end with the block, whatever happens in it, and with this process, even if it is killed.

    Args:
        processes: how many; 0 starts nothing.
        cpu: the one processor for all of them; None lets the system choose.

    Raises:
        BackgroundLoadFailed: they do not start, or one of them ended while it was needed: then the
            figures were not measured under that load.
    """
    size = memory_each(processes)
    with ExitStack() as stack:
        started = [stack.enter_context(_process(size, cpu)) for _ in range(processes)]
        deadline = time.monotonic() + START_S
        for one in started:
            _wait_until_busy(one, deadline)
        yield Load(tuple(one.pid for one in started), size, cpu)
        ended = sum(_has_ended(one) for one in started)
        if ended:
            raise BackgroundLoadFailed(
                f"{ended} of {processes} processes of the background load ended while calls were "
                "timed: free some memory, or use fewer, and repeat"
            )


def memory_each(processes: int, root: Path = Path("/")) -> int:
    """Bytes for each process: twice the last-level cache, all together a quarter of free memory.

    Args:
        processes: how many share the memory.
        root: the folder under which ``sys`` and ``proc`` are found.
    """
    wanted = min(max(2 * last_level_cache(root), _LEAST), _MOST)
    free = _available(root)
    if free is None:
        return wanted
    return max(2 << 20, min(wanted, free // (4 * max(processes, 1))))


def last_level_cache(root: Path = Path("/")) -> int:
    """Bytes of the largest cache of the first processor; 32 MiB where the system does not say."""
    found = []
    for path in (root / "sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        try:
            size = _SIZE.fullmatch(path.read_text())
        except (OSError, ValueError):
            continue
        if size is not None:
            found.append(int(size[1]) * _UNITS[size[2]])
    return max(found, default=_USUAL_CACHE)


@contextmanager
def _process(size: int, cpu: int | None) -> "Iterator[subprocess.Popen[bytes]]":
    words = [sys.executable, "-I", "-S", str(_BUSY), str(size), "any" if cpu is None else str(cpu)]
    try:
        process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except OSError as error:
        raise _failed(str(error)) from error
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


def _has_ended(process: "subprocess.Popen[bytes]") -> bool:
    """Waits for a moment: a process that was just killed takes one until it counts as ended."""
    try:
        process.wait(_ENDING_S)
    except subprocess.TimeoutExpired:
        return False
    return True


def _wait_until_busy(process: "subprocess.Popen[bytes]", deadline: float) -> None:
    stream, answer = process.stdout, b""
    if stream is None:
        raise _failed("there is no pipe to them")
    while not answer.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([stream], [], [], left)[0]:
            raise _failed(f"they were not at work after {START_S:.0f} s")
        piece = os.read(stream.fileno(), 4096)
        if not piece:
            raise _failed(f"one ended with code {process.wait()}")
        answer += piece
    said: dict[str, Any] = json.loads(answer)
    if "error" in said:
        raise _failed(said["error"])


def _available(root: Path) -> int | None:
    """Bytes of memory that programs can have; None where the system does not say."""
    try:
        text = (root / "proc/meminfo").read_text()
    except OSError:
        return None
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", text, re.MULTILINE)
    return None if found is None else int(found[1]) << 10


def _failed(why: str) -> BackgroundLoadFailed:
    return BackgroundLoadFailed(
        f"the background load does not run ({why}): use fewer processes, or a processor that this "
        "process may use, or measure without it"
    )
