"""The clock of a control loop: what time it is, and sleeping until an absolute time."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from dspctl.runtime.loop.repeating import repeated
from dspctl.runtime.sleep import choose_sleeper


class Clock(Protocol):
    """What the loop, its watchdog and injected delays tell the time by."""

    def now_ns(self) -> int:
        """Nanoseconds from an arbitrary origin, never going backwards."""
        ...

    def sleep_until(self, time_ns: int) -> None:
        """Return at or after a time of this clock."""
        ...

    def repeating(self, call: Callable[[int], None], every_ns: int) -> AbstractContextManager[None]:
        """Call *call* with the time, about every *every_ns*, beside whatever the body does."""
        ...


class RealClock:
    """The kernel's monotonic clock, and its sleep until an absolute time.

    ``call`` of `repeating` runs in a thread of its own.
    """

    def __init__(self) -> None:
        self.sleeper = choose_sleeper(time.perf_counter_ns)

    def now_ns(self) -> int:
        """See `Clock`."""
        return time.perf_counter_ns()

    def sleep_until(self, time_ns: int) -> None:
        """See `Clock`; where the system's call fails, it is slept for what is left."""
        try:
            self.sleeper.until(time_ns)
        except OSError:  # a loop that does not sleep would drive the vehicle at full speed
            time.sleep(max(0, time_ns - time.perf_counter_ns()) / 1e9)

    def repeating(self, call: Callable[[int], None], every_ns: int) -> AbstractContextManager[None]:
        """See `Clock`."""
        return repeated(
            lambda: call(time.perf_counter_ns()), every_ns / 1e9, name="dspctl watchdog"
        )
