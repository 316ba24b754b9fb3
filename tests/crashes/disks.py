"""Disks that fill up or turn read-only while a command works: simulated anywhere, real for root."""

import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.crashes.commands import Ended, Strike, run
from tests.crashes.jobs import Job, contents

_LARGE = "64m"
_PAGE_BYTES = 4096


@dataclass(frozen=True)
class BadDisk:
    """What happens to the disk.

    Attributes:
        name: ``full``, ``read-only``, and ``real-full``, ``real-read-only`` of a file system that
            is mounted for it.
    """

    name: str

    def __str__(self) -> str:
        return self.name

    @property
    def real(self) -> bool:
        return self.name.startswith("real-")

    @property
    def full(self) -> bool:
        return self.name.endswith("full")


ALL = tuple(BadDisk(name) for name in ("full", "read-only", "real-full", "real-read-only"))


class Disk:
    """A place that can go bad, and be mended."""

    def __init__(self, how: BadDisk, place: Path) -> None:
        self.how, self.place = how, place

    def run(self, job: Job, words: list[str], temporary: Path, rng: Random) -> tuple[str, Ended]:
        """Run a command while it goes bad; says when that was."""
        if not self.how.real:
            strike = Strike(self.how.name, operation=rng.randint(1, job.measured.operations))
            return str(strike), run(words, self.place, temporary, strike)
        if self.how.full:
            # Somewhere between what is there and what is needed.
            share = rng.random()
            pages = _pages(self.place) + int(share * _pages(job.reference))
            _remount(self.place, f"size={(pages + 4) * _PAGE_BYTES},rw")
            # Temporary files as well, every other time: as on a machine with one disk.
            inside = self.place / ".temporary" if rng.random() < 0.5 else None
            if inside is not None:
                inside.mkdir()
            ended = run(words, self.place, temporary, inside=inside)
            if inside is not None:
                shutil.rmtree(inside)
            said = "" if inside is None else ", with temporary files on it"
            return f"full at {share:.0%} of what is needed{said}", ended
        after_s = rng.uniform(0.0, 0.9) * job.measured.seconds
        turning = threading.Thread(target=_turn_read_only, args=(self.place, after_s))
        turning.start()
        try:
            return f"read-only after {after_s:.3f} s", run(words, self.place, temporary)
        finally:
            turning.join()

    def mend(self) -> None:
        """Room, and leave to write."""
        if self.how.real:
            _remount(self.place, f"size={_LARGE},rw")


@contextmanager
def bad_disk(how: BadDisk, place: Path) -> Iterator[Disk]:
    """A place for the job's output.

    Raises:
        PermissionError: a real one was asked for, and nothing may be mounted here.
    """
    place.mkdir(parents=True)
    if not how.real:
        yield Disk(how, place)
        return
    words = ["mount", "-t", "tmpfs", "-o", f"size={_LARGE}", "tmpfs", str(place)]
    if not can_mount(words):
        raise PermissionError("only root may mount a file system")
    try:
        yield Disk(how, place)
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def can_mount(words: list[str]) -> bool:
    """Whether this mount came about."""
    try:
        return subprocess.run(words, capture_output=True).returncode == 0
    except OSError:
        return False


def _remount(place: Path, options: str) -> bool:
    words = ["mount", "-o", f"remount,{options}", str(place)]
    return subprocess.run(words, capture_output=True).returncode == 0


def _turn_read_only(place: Path, after_s: float) -> None:
    """At that moment, or the next one at which no file is open for writing."""
    time.sleep(after_s)
    for _ in range(2000):
        if _remount(place, "ro"):
            return
        time.sleep(0.005)


def _pages(folder: Path) -> int:
    return sum(1 + len(data) // _PAGE_BYTES for data in contents(folder).values())
