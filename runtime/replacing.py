"""Folders that change places at once, and what killed processes left of unfinished ones."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_HERE, _EXCHANGE = -100, 2  # AT_FDCWD, RENAME_EXCHANGE


def exchange(one: Path, other: Path) -> bool:
    """Let two paths change places, so that there is no moment without either: renameat2(2).

    Returns:
        False where nothing was done: the system, the C library or the file system cannot.
    """
    import ctypes  # which a vehicle's process does not need otherwise

    try:
        renameat2 = ctypes.CDLL(None).renameat2
    except (OSError, AttributeError):
        return False
    names = os.fsencode(one), os.fsencode(other)
    return bool(renameat2(_HERE, names[0], _HERE, names[1], _EXCHANGE) == 0)


def remove(path: Path) -> None:
    """Remove a folder, file or link, as far as it goes."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


@contextmanager
def in_use(folder: Path) -> Iterator[None]:
    """Keep `clear` of other processes away from *folder*, until this one ends at the latest.

    Raises:
        OSError: it is not there.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        with suppress(OSError):  # no locks on this file system, and nobody clears there either
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def clear(parent: Path, pattern: str) -> None:
    """Remove the folders of that pattern in *parent* that no process has `in_use`."""
    for path in parent.glob(pattern):
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path)
            finally:
                os.close(descriptor)
