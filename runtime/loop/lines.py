"""A file that takes whole lines or nothing, up to a size, whatever the disk does."""

import json
import os
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

_RESERVED = 8192
"""Bytes kept for the last line."""


class Line(NamedTuple):
    """One line of a log.

    Attributes:
        data: with its end.
        kind: of the events that it stands for; empty where it stands for none.
        events: how many.
        aggregate: whether it only counts them.
    """

    data: bytes
    kind: str = ""
    events: int = 0
    aggregate: bool = False


class Lines:
    """Appends lines and keeps count of the events in them; one thread at a time.

    Args:
        descriptor: an open file, which is closed by `close`.
        max_bytes: how large the file may become, the last line apart.

    Attributes:
        writing: the line that the disk has not taken yet, or None.
    """

    def __init__(self, descriptor: int, max_bytes: int) -> None:
        self._descriptor, self._most = descriptor, max(0, max_bytes - _RESERVED)
        self.size_bytes, self.error = 0, ""
        self.writing: Line | None = None
        self.written, self.aggregated, self.lost = (Counter[str]() for _ in range(3))

    def write(self, line: Line, *, last: bool = False) -> None:
        """Append *line*, or count the events it stands for as lost; never raises OSError.

        Args:
            line: what to append.
            last: the line for which room is kept.
        """
        if self.size_bytes + len(line.data) > self._most and not last:
            self._count(self.lost, line)
            return
        self.writing = line
        try:
            self._append(line.data)
        except OSError as error:
            self.error = error.strerror or str(error)
            # Half a line would spoil the next one. What cannot be shortened is no plain file.
            with suppress(OSError):
                os.ftruncate(self._descriptor, self.size_bytes)
                os.lseek(self._descriptor, self.size_bytes, os.SEEK_SET)
            self.writing = None
            self._count(self.lost, line)
            return
        self.writing = None
        self.size_bytes += len(line.data)
        self._count(self.aggregated if line.aggregate else self.written, line)

    def close(self) -> None:
        """Close the file; what the disk says then is kept in `error`."""
        try:
            os.close(self._descriptor)
        except OSError as error:
            self.error = error.strerror or str(error)

    @staticmethod
    def _count(where: Counter[str], line: Line) -> None:
        if line.events:
            where[line.kind] += line.events

    def _append(self, line: bytes) -> None:
        left = memoryview(line)
        while left:
            left = left[os.write(self._descriptor, left) :]


def line_of(record: Mapping[str, Any]) -> bytes:
    """A record as one line of JSON; what JSON has no form for becomes text."""
    return (json.dumps(record, separators=(", ", ": "), default=str) + "\n").encode()
