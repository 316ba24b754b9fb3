"""The small text files of ``/proc`` and ``/sys``: one value each, or not readable at all."""

import re
from pathlib import Path

from dspctl.runtime.untrusted import visible

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")  # the kernel prints nothing longer than 64 bits


def read_text(path: Path) -> str | None:
    """The text without surrounding blanks and the NUL of device trees; None where unreadable.

    An empty file is None too: a driver that has nothing to say prints nothing.
    """
    try:
        return visible(path.read_text(errors="replace").strip("\0\n\t ")) or None
    except OSError:  # absent, not permitted, or a sensor that is switched off (EAGAIN, EINVAL)
        return None


def read_int(path: Path) -> int | None:
    """A file that holds one decimal integer; None where it is unreadable or holds anything else."""
    text = read_text(path)
    return int(text) if text is not None and _INTEGER.fullmatch(text) else None


def numbered(folder: Path, prefix: str) -> list[Path]:
    """Entries called *prefix* and a number, in the order of their numbers: cpu2 before cpu10."""
    pattern = re.compile(re.escape(prefix) + r"([0-9]{1,9})")
    try:
        names = [entry.name for entry in folder.iterdir()]
    except OSError:
        return []
    found = sorted((int(match[1]), name) for name in names if (match := pattern.fullmatch(name)))
    return [folder / name for _, name in found]
