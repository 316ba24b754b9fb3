"""The log of a loop: JSON Lines, written by a thread of its own, bounded in every direction.

The loop's part is to append to a queue, which takes no lock that anybody holds for long and never
waits: a full queue costs the event, which is counted. The thread writes at most some lines per
second and kind, the rest as one line that counts; it stops at a size; and a disk that takes
nothing costs lines, which are counted too, and is tried again. Unlike other outputs the file grows
under its own name, since it is for reading while the loop runs and after it was killed.
"""

import contextlib
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from dspctl.errors import ConfigProblem, WriteFailed
from dspctl.runtime.files import check_output
from dspctl.runtime.loop.limiter import Limiter
from dspctl.runtime.loop.lines import Line, Lines, line_of
from dspctl.runtime.loop.records import Event, LogAccount, Summary
from dspctl.runtime.loop.repeating import repeated

LINES_PER_SECOND = 20
QUEUE = 10_000
MAX_BYTES = 64 << 20
_EVERY_S = 0.05
_LAST_S = 5.0
"""How long the end waits for a disk that hangs."""


class EventLog:
    """Takes events at once, writes them later; a context manager.

    Args:
        path: the file.
        start: a record for the first line, such as the settings of the loop.
        force: replace a file that is there.
        lines_per_second: of each kind; more events are counted together.
        queue: events that wait for the thread at most.
        max_bytes: of the file; what comes later is counted only.

    Raises:
        OutputExists: the file is there, and not *force*.
        WriteFailed: it cannot be created.
        ConfigProblem: a limit is below 1.
    """

    def __init__(
        self,
        path: Path,
        start: Mapping[str, Any] | None = None,
        *,
        force: bool = False,
        lines_per_second: int = LINES_PER_SECOND,
        queue: int = QUEUE,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        if min(lines_per_second, queue, max_bytes) < 1:
            raise ConfigProblem("a log needs room for at least one line, event and byte")
        check_output(path, force=force)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        except OSError as error:
            raise WriteFailed(
                f"could not write {path} ({error.strerror}): choose another place for the log"
            ) from error
        self._lines = Lines(descriptor, max_bytes)
        self._limiter = Limiter(lines_per_second)
        self._queue: deque[Event] = deque()
        self._room, self._dropped = queue, dict[str, int]()
        self._draining = threading.Lock()
        self._ends = contextlib.ExitStack()
        self._account: LogAccount | None = None
        self._last_s = time.monotonic()
        self._lines.write(Line(line_of({"record": "start", **(start or {})})))
        self._ends.enter_context(repeated(self.drain, _EVERY_S, last_s=_LAST_S, name="dspctl log"))

    def put(self, event: Event) -> None:
        """Take an event; never waits, and may be called by any thread.

        A kind of event comes from one thread at a time.
        """
        if len(self._queue) >= self._room:
            self._dropped[event.kind] = self._dropped.get(event.kind, 0) + 1
        else:
            self._queue.append(event)

    def drain(self) -> None:
        """Write what waits; called by the log's own thread."""
        with self._draining:
            self._write_queue()
            if time.monotonic() - self._last_s > 1.0:  # the second is over, whatever comes next
                self._write_counts()

    def close(
        self, summary: Summary | None = None, also: Mapping[str, Any] | None = None
    ) -> LogAccount:
        """Write what is left and the last line, which accounts for every event.

        Args:
            summary: of the loop; None where it made none.
            also: more fields of the last line.

        Returns:
            The same account; where the disk hangs, without what waits for it.
        """
        if self._account is not None:
            return self._account
        self._ends.close()
        if not self._draining.acquire(timeout=_LAST_S):
            self._account = self._found(waiting=True)
            return self._account
        try:
            self._write_queue()
            self._write_counts()
            last = self._found()
            record = {
                "record": "summary",
                **({} if summary is None else summary.to_json()),
                **(also or {}),
                "log": last.to_json(),
            }
            self._lines.write(Line(line_of(record)), last=True)
            self._account = self._found()
            self._lines.close()
        finally:
            self._draining.release()
        return self._account

    def __enter__(self) -> "EventLog":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _write_queue(self) -> None:
        while self._queue:
            self._last_s = time.monotonic()
            for line in self._limiter.take(self._queue.popleft()):
                self._lines.write(line)

    def _write_counts(self) -> None:
        for line in self._limiter.rest():
            self._lines.write(line)

    def _found(self, *, waiting: bool = False) -> LogAccount:
        lost = Counter(self._lines.lost)
        if waiting:  # the disk hangs: what it has not taken is lost, as far as anybody knows
            lost.update(event.kind for event in tuple(self._queue))
            lost.update(self._limiter.waiting())
            line = self._lines.writing
            if line is not None and line.events:
                lost[line.kind] += line.events
        return LogAccount(
            written=dict(self._lines.written),
            aggregated=dict(self._lines.aggregated),
            dropped=dict(self._dropped),
            lost=dict(lost),
            size_bytes=self._lines.size_bytes,
            error=self._lines.error,
        )
