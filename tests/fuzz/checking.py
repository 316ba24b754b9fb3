"""What every reader promises, looked at for one input: a value or one of our errors, and no more.

No other exception; no file opened for writing outside the folder that it was given; less than a
second; memory in proportion to the input. Memory and files are watched from inside, by the
interpreter's own hooks, so that a reader cannot get around it by another way to open files.
"""

import os
import sys
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from threadpoolctl import ThreadpoolController

from dspctl.errors import DspctlError
from tests.fuzz import seeds, stored_targets, trust_seeds
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

MOST_S = 1.0
MOST_BYTES, BYTES_PER_BYTE = 48 << 20, 64
"""The most that a reader may take: as much as small files need, and so many times a large one."""

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_EVENTS = {
    **{"open": (0, None), "os.truncate": (0, None), "os.symlink": (1, 2)},
    **{"os.rename": (1, 3), "os.link": (1, 3), "os.mkdir": (0, 2), "os.chmod": (0, 2)},
    **{"os.remove": (0, 1), "os.rmdir": (0, 1)},
}
"""Events of the interpreter → which argument is the file that is written, and which is the open
folder that it lies in, where there is one."""
_watched: list[str] = []
_outside: list[str] = []
_hooked: list[bool] = []


class Broken(AssertionError):
    """A reader broke its promise."""


def check(name: str, data: bytes, *, memory: bool = True) -> bool:
    """Give *data* to the reader called *name*; returns whether it made a value of it.

    Raises:
        Broken: it did something else than to return a value or to refuse.
    """
    target = TARGETS[name]
    seeds.make_all()
    trust_seeds.make_all()
    stored_targets.make_all()
    with TemporaryDirectory(prefix="dspctl-fuzz-") as outer:
        folder = Path(outer, "inside")
        folder.mkdir()
        with _files_watched(folder):
            took, peak, refused = _timed(target, data, folder, memory)
        left = sorted(one.name for one in Path(outer).iterdir())
    if _outside or left != ["inside"]:
        raise Broken(f"{name} writes outside its folder: {_outside[:3] or left}")
    if took > MOST_S:  # once more: another program may have had the processor
        with TemporaryDirectory(prefix="dspctl-fuzz-") as outer:
            took = min(took, _timed(target, data, Path(outer), False)[0])
        if took > MOST_S:
            raise Broken(f"{name} takes {took:.2f} s for {len(data)} bytes")
    if peak > MOST_BYTES + BYTES_PER_BYTE * len(data):
        raise Broken(f"{name} takes {peak} bytes for {len(data)}")
    return not refused


def _timed(target: Target, data: bytes, folder: Path, memory: bool) -> tuple[float, int, bool]:
    """Processor time in seconds, peak memory in bytes, and whether the input was refused."""
    if memory:
        tracemalloc.start()
    started = time.process_time()
    refused = False
    try:
        # Threads that wait for work use a processor, which is no time of the reader's.
        with _threads().limit(limits=1):
            target.read(data, folder)
    except target.refuses as error:
        refused = True
        _check_sentence(error)
    finally:
        took = time.process_time() - started
        peak = tracemalloc.get_traced_memory()[1] if memory else 0
        if memory:
            tracemalloc.stop()
    return took, peak, refused


@cache
def _threads() -> ThreadpoolController:
    return ThreadpoolController()


def _check_sentence(error: Exception) -> None:
    """An error of ours is a sentence that can be printed."""
    text = str(error)
    if len(text) > 10_000 or (isinstance(error, DspctlError) and not text):
        raise Broken(
            f"{type(error).__name__} has {len(text)} characters: {text[:200]!r}"
        ) from error
    if isinstance(error, DspctlError):
        try:
            text.encode()
        except UnicodeEncodeError as half:
            raise Broken(f"half a character in {text[:200]!r}") from half


@contextmanager
def _files_watched(folder: Path) -> Iterator[None]:
    """Note every file that is opened for writing outside of *folder* meanwhile."""
    if not _hooked:  # a hook cannot be taken off again
        sys.addaudithook(_hook)
        _hooked.append(True)
    _outside.clear()
    _watched[:] = [os.path.realpath(folder), os.path.realpath(os.devnull)]
    try:
        yield
    finally:
        _watched.clear()


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watched or event not in _EVENTS:
        return
    if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & _WRITING):
        return
    which, beside = _EVENTS[event]
    path = arguments[which]
    if not isinstance(path, str | os.PathLike) or ".pyc" in os.fspath(path):
        return
    if beside is not None and arguments[beside] != -1:
        path = Path(f"/proc/self/fd/{arguments[beside]}").readlink() / os.fspath(path)
    # Where it leads: for a link that is opened, the file behind it; a link that is made, removed or
    # renamed is one itself.
    whole = Path(os.fspath(path))
    place = os.path.realpath(whole)
    if event != "open":
        place = f"{os.path.realpath(whole.parent)}/{whole.name}"
    if not any(f"{place}/".startswith(f"{one}/") for one in _watched):
        _outside.append(os.fspath(path))
