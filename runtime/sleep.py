"""Sleeping until an absolute time, as a real-time control loop does.

``clock_nanosleep`` with ``TIMER_ABSTIME`` (POSIX.1-2008): the kernel gets the deadline itself, so
time lost between working out a duration and going to sleep cannot add to it. Nothing spins in the
last stretch: a loop on the vehicle does not either, a spin would hide the wake-up that is measured
and keep the processor's clock and caches in a state that a sleeping loop never finds them in, and
under SCHED_FIFO it would starve the rest of the machine.
"""

import ctypes
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from errno import EINTR

ReadClock = Callable[[], int]
"""A clock: nanoseconds from an arbitrary origin, never going backwards."""

SleepUntil = Callable[[int], None]
"""Returns at or after an absolute time of a clock, in its nanoseconds."""

_TIMER_ABSTIME = 1
_SECOND_NS = 1_000_000_000
_SAME_CLOCK = "clock_gettime(CLOCK_MONOTONIC)"


@dataclass(frozen=True)
class Sleeper:
    """A way to sleep until an absolute time.

    Attributes:
        name: the system's function, for the record.
        absolute: whether the kernel is given the deadline itself.
        until: the function.
    """

    name: str
    absolute: bool
    until: SleepUntil


class _TimeSpec(ctypes.Structure):
    """``struct timespec`` behind the symbol without a suffix: both members are C's ``long``."""

    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


def choose_sleeper(read: ReadClock = time.perf_counter_ns) -> Sleeper:
    """The kernel's absolute sleep where *read* is the clock it sleeps on, else the next best.

    Args:
        read: the clock whose times the sleeper will be given.
    """
    same = time.get_clock_info("perf_counter").implementation == _SAME_CLOCK
    if read is time.perf_counter_ns and same and sys.platform == "linux":
        until = _clock_nanosleep(time.CLOCK_MONOTONIC)
        if until is not None:
            return Sleeper("clock_nanosleep", absolute=True, until=until)
    return Sleeper("sleep", absolute=False, until=_relative(read))


def _clock_nanosleep(number: int) -> SleepUntil | None:
    """The C library's function on clock *number*, None where there is none."""
    try:
        function = ctypes.CDLL(None).clock_nanosleep
    except (OSError, AttributeError, TypeError):
        return None
    function.restype = ctypes.c_int
    function.argtypes = (
        ctypes.c_int,
        ctypes.c_int,
        ctypes.POINTER(_TimeSpec),
        ctypes.c_void_p,
    )
    spec = _TimeSpec()
    address = ctypes.byref(spec)

    def until(time_ns: int) -> None:
        spec.seconds, spec.nanoseconds = divmod(time_ns, _SECOND_NS)
        # It returns its error; a signal ends the sleep early, and Python handles it in between.
        while (code := function(number, _TIMER_ABSTIME, address, None)) != 0:
            if code != EINTR:
                raise OSError(code, os.strerror(code))

    return until


def _relative(read: ReadClock) -> SleepUntil:
    """Sleep for what is left; again, should a coarse timer return early."""

    def until(time_ns: int) -> None:
        while (left_ns := time_ns - read()) > 0:
            time.sleep(left_ns / _SECOND_NS)

    return until
