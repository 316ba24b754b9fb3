"""Opening files that somebody else wrote, and looking at the names in them.

A path may lead to a pipe that nobody writes to, to a device, to a link out of the folder, or to a
file that is larger than the memory. All of these are told apart before a byte is read.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path

LONGEST_NAME = 200
"""Characters of a name: of an environment, a feature, a label, a file."""

# What a terminal acts on (C0, C1), what turns or hides the text around it (directions, separators
# of lines, a byte order mark), and halves of characters, which no encoding can write.
_NOT_PLAIN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def open_plain(path: Path, *, links: bool = True) -> BinaryIO:
    """Open a file for reading, and nothing that is not one; never waits for a pipe.

    Args:
        path: where it is.
        links: whether the file may be reached by a link. What a person names may; what is found
            in a folder may not.

    Raises:
        OSError: it is not there, may not be read, is a link, or no plain file.
    """
    found = path.stat(follow_symlinks=links)  # first: opening some devices does something
    _check_plain(found.st_mode, path)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | _no_link(links))
    try:
        _check_plain(os.fstat(descriptor).st_mode, path)
        return os.fdopen(descriptor, "rb", buffering=0)
    except BaseException:
        os.close(descriptor)
        raise


def followed(path: Path) -> Path:
    """What a link leads to, or *path* itself.

    Raises:
        OSError: a folder above may not be looked into, or links lead to each other.
    """
    if not path.is_symlink():
        return path
    try:
        return path.resolve()
    except RuntimeError as error:  # what Python before 3.13 says of such links
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from error


def read_bytes(path: Path, most_bytes: int, *, links: bool = True) -> bytes:
    """A file's bytes, at most so many.

    Raises:
        OSError: as `open_plain`.
        ValueError: it is larger.
    """
    with open_plain(path, links=links) as file:
        size = os.fstat(file.fileno()).st_size
        data = b"" if size > most_bytes else file.read(size)
    if size > most_bytes:
        raise ValueError(f"{path.name} is too large: {size} bytes, at most {most_bytes} are read")
    return data


def opener_without_links(path: str, flags: int) -> int:
    """An opener, as `open` takes one, for a file to write that must not lie elsewhere.

    Raises:
        OSError: there is a link, or something else than a plain file.
    """
    descriptor = os.open(path, flags & ~os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    try:
        _check_plain(os.fstat(descriptor).st_mode, path)
        if flags & os.O_TRUNC:
            os.ftruncate(descriptor, 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def is_plain(text: str) -> bool:
    """True where *text* has no character that a terminal or a reader's eye could be misled by."""
    return _NOT_PLAIN.search(text) is None


def visible(text: str) -> str:
    """*text* for a person to read: what is not plain becomes a replacement character.

    Line breaks and tabs stay.
    """
    return _NOT_PLAIN.sub(lambda found: found[0] if found[0] in "\n\t" else "\ufffd", text)


def visible_name(text: str) -> str:
    """*text* in a sentence: as `visible`, and on one line."""
    return _NOT_PLAIN.sub("\ufffd", text)


def check_name(text: str, where: str) -> str:
    """*text*, if it may be a name.

    Raises:
        ValueError: it is longer than `LONGEST_NAME`, or not plain.
    """
    if len(text) > LONGEST_NAME:
        raise ValueError(f"{where} has {len(text)} characters, and at most {LONGEST_NAME} are read")
    if not is_plain(text):
        raise ValueError(f"{where} holds a control character: {visible(text)[:80]!r}")
    return text


def _no_link(links: bool) -> int:
    return 0 if links else os.O_NOFOLLOW


def _check_plain(mode: int, path: Path | str) -> None:
    if stat.S_ISREG(mode):
        return
    kind = "a link" if stat.S_ISLNK(mode) else "no plain file"
    raise OSError(0, f"it is {kind}", str(path))
