"""Strikes a command at a chosen operation on the disk, in whichever of its processes that comes.

Python imports this before anything else where its folder is in ``PYTHONPATH``. An audit hook sees
every opening for writing, renaming, removing and making of folders before it happens; what is below
``CRASH_PLACE`` is counted, over all processes together, and at number ``CRASH_DUE``

- ``kill``: the whole process group of the command gets SIGKILL;
- ``full``, ``read-only``: this operation and all later ones fail, as on such a disk.
"""

import errno
import os
import signal
import sys
from pathlib import Path
from typing import Any

_PLACE = os.environ.get("CRASH_PLACE", "")
_DUE = int(os.environ.get("CRASH_DUE", "0"))
_HOW = os.environ.get("CRASH_HOW", "kill")
_COUNT = os.environ.get("CRASH_COUNT", "")
_GROUP = int(os.environ.setdefault("CRASH_GROUP", str(os.getpgrp())))

_TO_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Event → where in its arguments the path is, and the descriptor of the folder it is relative to.
_EVENTS = {
    "os.mkdir": (0, 2),
    "os.remove": (0, 1),
    "os.rename": (1, 3),
    "os.rmdir": (0, 1),
    "os.truncate": (0, None),
}
# A full disk lets files be removed and renamed.
_OF_FULL = ("open", "os.mkdir", "fsync")


def _below(path: Any, folder: Any) -> bool:
    try:
        if isinstance(path, int):
            path = Path(f"/proc/self/fd/{path}").readlink()
        path = os.fsdecode(path)
        if not path.startswith("/"):
            relative = isinstance(folder, int) and folder >= 0
            start = Path(f"/proc/self/fd/{folder}" if relative else "/proc/self/cwd").readlink()
            path = f"{start}/{path}"
    except (OSError, TypeError, ValueError):
        return False
    return str(path) == _PLACE or str(path).startswith(f"{_PLACE}/")


def _strike(event: str) -> None:
    os.write(_count, b".")
    number = os.fstat(_count).st_size
    if _HOW == "kill":
        if number == _DUE:
            os.killpg(_GROUP, signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        return
    # Later operations as well, whoever does them: the disk stays as it is.
    if not _DUE or number < _DUE or (_HOW == "full" and event not in _OF_FULL):
        return
    code = errno.ENOSPC if _HOW == "full" else errno.EROFS
    raise OSError(code, os.strerror(code))


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open":
        path, _, flags = arguments
        if isinstance(flags, int) and flags & _TO_WRITE and _below(path, None):
            _strike(event)
    elif event in _EVENTS:
        at, folder = _EVENTS[event]
        if _below(arguments[at], None if folder is None else arguments[folder]):
            _strike(event)


def _fsync(descriptor: Any) -> None:
    if _below(descriptor, None):
        _strike("fsync")
    _real_fsync(descriptor)


if _PLACE and _COUNT:
    _count = os.open(_COUNT, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    _real_fsync = os.fsync
    os.fsync = _fsync  # type: ignore[assignment]
    sys.addaudithook(_hook)
