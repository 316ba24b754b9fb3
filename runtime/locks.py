"""A folder that one process works in at a time.

The lock is flock(2) on a file in the folder, which the system takes back however its process ends:
none is ever left behind by a kill. The file stays, since removing it would let two processes lock
two files of one name.
"""

import errno
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dspctl.errors import DspctlError, WriteFailed
from dspctl.runtime.untrusted import opener_without_links

log = logging.getLogger(__name__)

LOCK = ".lock"
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)
"""What file systems without locks answer, such as some of clusters."""
_TURN_S = 0.1


@contextmanager
def locked(path: Path, error: type[DspctlError], *, wait_s: float) -> Iterator[int]:
    """Hold the lock of the folder *path*, which is made where there is none.

    Args:
        path: the folder.
        error: raised where somebody else holds it.
        wait_s: how long it is waited for.

    Yields:
        A descriptor; processes that inherit it hold the lock too.

    Raises:
        DspctlError: of the type *error*: another process works there, or ``.lock`` is a link or no
            plain file.
        WriteFailed: the folder cannot be written, or nothing there can be locked.
    """
    descriptor = _opened(path, error)
    try:
        _wait(descriptor, path, error, time.monotonic() + wait_s)
        with suppress(OSError):  # a full disk: who holds it is for people to read
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _opened(path: Path, error: type[DspctlError]) -> int:
    file = path / LOCK
    try:
        path.mkdir(parents=True, exist_ok=True)
        return opener_without_links(str(file), os.O_RDWR | os.O_CREAT)
    except OSError as reason:
        # No errno: found to be something else after it was opened.
        if file.is_symlink() or not reason.errno or reason.errno in (errno.ENXIO, errno.EISDIR):
            raise error(
                f"{file} cannot be locked ({reason.strerror or reason}): remove it, or choose "
                "another folder with -o"
            ) from reason
        raise WriteFailed(
            f"could not write {file} ({reason.strerror or reason}); what was there before is "
            "untouched: free some space, make the folder writable or choose another one, then "
            "repeat the command"
        ) from reason


def _wait(descriptor: int, path: Path, error: type[DspctlError], deadline: float) -> None:
    while not _taken(descriptor, path):
        if time.monotonic() > deadline:
            holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
            raise error(
                f"another process{f' ({holder})' if holder.isdigit() else ''} works on {path}: "
                "wait for it, or stop it with Ctrl-C, then repeat the command"
            )
        time.sleep(_TURN_S)


def _taken(descriptor: int, path: Path) -> bool:
    try:
        return take(descriptor, path)
    except OSError as reason:
        raise WriteFailed(
            f"could not lock {path / LOCK} ({reason.strerror or reason}): choose a folder on "
            "another disk, then repeat the command"
        ) from reason


def take(descriptor: int, path: Path) -> bool:
    """Lock an open file, without waiting.

    Args:
        descriptor: the file's.
        path: its folder, for the warning that it has no locks, which is no reason to do nothing.

    Returns:
        False where somebody else holds it.

    Raises:
        OSError: the file system could not tell.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as reason:
        if reason.errno not in _NO_LOCKS:
            raise
        log.warning(
            "the file system of %s has no locks: see that no other process works there", path
        )
    return True
