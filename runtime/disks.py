"""A full or read-only disk, told from a defect of the program that met it."""

import errno
import os
import shutil
import tempfile
from pathlib import Path

from dspctl.errors import WriteFailed

OF_A_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Errors of the system that are the disk's: the same command succeeds once it has been seen to."""
ADVICE = (
    "free some space there, or name another folder for temporary files with TMPDIR, then repeat "
    "the command"
)
_ROOM_BYTES = 4 << 20
"""A compiler, whose temporary files go with it, may leave so much of a disk that was full to it."""


def check_disk(said: str, *folders: Path) -> None:
    """Blame the disk for what a program of ours, or a compiler, could not do, where it is to blame.

    Args:
        said: what it wrote to standard error; Python, C and compilers name the system's errors
            alike, in English.
        folders: where it wrote, if it may have said nothing of that: a linker on a full disk does.

    Raises:
        WriteFailed: the disk is full, or may not be written.
    """
    for code in OF_A_DISK:
        if os.strerror(code) in said:
            raise _problem(tempfile.gettempdir(), code)
    for folder in folders:
        if shutil.disk_usage(folder).free < _ROOM_BYTES:
            raise _problem(str(folder), errno.ENOSPC)


def _problem(where: str, code: int) -> WriteFailed:
    reason = os.strerror(code)
    problem = WriteFailed(f"could not write to {where} ({reason}): {ADVICE}")
    problem.__cause__ = OSError(code, reason)
    return problem
