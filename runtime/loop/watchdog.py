"""Notices from outside that a step does not end.

The loop stores which step it is in and since when, as one tuple, which a thread of its own looks
at: a backend, a sensor or an actuator that hangs stops the loop, but neither the log nor
``on_stall``. The loop's thread has to let others run meanwhile, as everything does that waits in
the operating system; C code that keeps Python's lock and never returns stops every thread of the
process, and only a watchdog outside of it helps then.

On a machine that is too busy to run that thread in time, the loop itself finds at the end of a step
that it was too long: every stall is counted, by whoever comes first.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from dspctl.runtime.loop.records import STALL, Event

OnStall = Callable[[int, float], None]
"""Called with the step and the seconds since it began, in the watchdog's thread."""

_LOOKS = 4
"""Looks per watchdog time, so that a stall is seen at most a quarter of it late."""
_SHORTEST_NS, _LONGEST_NS = 1_000_000, 50_000_000


class _Running(NamedTuple):
    step: int
    since_ns: int


class Watchdog:
    """Tells of every step that takes too long, once.

    Args:
        limit_ns: how long a step may take.
        record: is handed the event.
        on_stall: the user's hook, or None; what it raises is swallowed and counted.
    """

    def __init__(
        self, limit_ns: int, record: Callable[[Event], None], on_stall: OnStall | None
    ) -> None:
        self._limit_ns, self._record, self._on_stall = limit_ns, record, on_stall
        self._running: _Running | None = None
        self._told = -1  # steps up to this one are counted, under the lock
        self._lock = threading.Lock()
        self._origin_ns = 0
        self.stalls = 0
        self.hook_failures = 0

    @property
    def every_ns(self) -> int:
        """How often to `look`."""
        return min(max(self._limit_ns // _LOOKS, _SHORTEST_NS), _LONGEST_NS)

    def start(self, origin_ns: int) -> None:
        """The loop begins; times of events count from here."""
        self._origin_ns = origin_ns

    def begin(self, step: int, now_ns: int) -> None:
        """A step begins."""
        self._running = _Running(step, now_ns)

    def end(self, now_ns: int) -> None:
        """The step has ended; a loop that sleeps until the next one does not stall."""
        running, self._running = self._running, None
        if running is not None and now_ns - running.since_ns > self._limit_ns:
            took_ms = (now_ns - running.since_ns) / 1e6
            self._tell(running, now_ns, f"the step took {took_ms:.1f} ms", "it had ended by then")

    def look(self, now_ns: int) -> None:
        """Called again and again by somebody else than the loop."""
        running = self._running
        if running is None or running.step <= self._told:
            return
        took_ns = now_ns - running.since_ns
        if took_ns <= self._limit_ns:
            return
        done = "on_stall was called" if self._on_stall else "told: there is no on_stall"
        detail = f"the step goes on for {took_ns / 1e6:.1f} ms"
        if self._tell(running, now_ns, detail, done) and self._on_stall is not None:
            try:
                self._on_stall(running.step, took_ns / 1e9)
            except BaseException:
                self.hook_failures += 1

    def _tell(self, running: _Running, now_ns: int, detail: str, done: str) -> bool:
        """Count a stall and record it, unless that is done already."""
        with self._lock:  # of two threads, and only where a step was too long
            if running.step <= self._told:
                return False
            self._told = running.step
            self.stalls += 1
            with suppress(Exception):
                time_ns = now_ns - self._origin_ns
                self._record(Event(running.step, time_ns, STALL, detail, done))
            return True
