"""What a control loop is told, what it reports, and what is left of it at the end."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dspctl.errors import ConfigProblem, InvalidRate

SLOWEST_HZ, FASTEST_HZ = 1.0, 10_000.0

INVALID, OBSERVE, LATE, BEHIND = "invalid", "observe", "late", "behind"
BACKEND, NO_BACKEND, APPLY, STALL, LOOP = "backend", "no_backend", "apply", "stall", "loop"

KINDS: Mapping[str, str] = {
    INVALID: "the guard found the observation invalid",
    OBSERVE: "no observation could be read",
    LATE: "a step ended after the next one was due",
    BEHIND: "several steps in a row were late",
    BACKEND: "a runner raised, or gave no usable action",
    NO_BACKEND: "every runner failed in one step",
    APPLY: "the action could not be applied",
    STALL: "a step did not end within the watchdog's time",
    LOOP: "until() raised, or the loop's own code: a defect in dspctl",
}
"""Every kind of fault, as in logs, summaries and docs/control-loop.md, with what it means."""

HELD, SAFE = "held", "safe action"
"""Where an action came from, other than a backend's name."""

_WATCHDOG_PERIODS, _WATCHDOG_LEAST_MS = 10.0, 100.0


class Event(NamedTuple):
    """One fault.

    Attributes:
        step: of the loop, from 0.
        time_ns: since the loop began.
        kind: one of `KINDS`.
        detail: what was found, a few words.
        done: what the loop did about it.
    """

    step: int
    time_ns: int
    kind: str
    detail: str
    done: str


@dataclass(frozen=True)
class LoopSettings:
    """How a loop is paced, and how much it puts up with.

    Attributes:
        hz: steps per second, 1 to 10,000.
        max_hold: steps in a row for which the last action is held; then comes the safe action.
        max_late: late steps in a row after which the loop says that it is behind.
        watchdog_ms: a step that takes longer has stalled; 0 for ten periods, at least 100 ms.
    """

    hz: float = 200.0
    max_hold: int = 5
    max_late: int = 10
    watchdog_ms: float = 0.0

    def __post_init__(self) -> None:
        if not SLOWEST_HZ <= self.hz <= FASTEST_HZ:
            raise InvalidRate(
                f"the rate of the control loop must be from {SLOWEST_HZ:g} to {FASTEST_HZ:,.0f} "
                f"Hz, not {self.hz:g}: choose the rate at which the vehicle asks for actions"
            )
        if self.max_hold < 0:
            raise ConfigProblem(
                f"the last action can be held for 0 steps or more, not {self.max_hold}"
            )
        if self.max_late < 1:
            raise ConfigProblem(
                f"the loop is behind after 1 late step in a row or more, not {self.max_late}"
            )
        if not (math.isfinite(self.watchdog_ms) and self.watchdog_ms >= 0):
            raise ConfigProblem(
                f"the watchdog waits for a number of milliseconds, not {self.watchdog_ms}: give "
                "0 for ten periods"
            )

    @property
    def period_ns(self) -> float:
        """From one intended start to the next."""
        return 1e9 / self.hz

    @property
    def watchdog_ns(self) -> int:
        """How long a step may take before it has stalled."""
        least_ms = max(_WATCHDOG_LEAST_MS, _WATCHDOG_PERIODS * self.period_ns / 1e6)
        return round((self.watchdog_ms or least_ms) * 1e6)


@dataclass(frozen=True)
class Summary:
    """What a loop did; its counters are kept by the loop itself, whatever the log could write.

    Attributes:
        steps: that ended, whatever failed in them.
        seconds: from the start to the end.
        ended: ``steps`` (all of them were made), ``stopped`` or ``interrupted``.
        faults: kind → how often, every kind of `KINDS`.
        actions: where the action came from → steps: a backend's name, ``held`` or
            ``safe action``.
        latest_ns: the largest lateness of a step, 0 where none was late.
        lateness_ns: the sum over all late steps.
    """

    steps: int
    seconds: float
    ended: str
    faults: Mapping[str, int]
    actions: Mapping[str, int]
    latest_ns: int = 0
    lateness_ns: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, times in seconds."""
        return {
            "steps": self.steps,
            "seconds": round(self.seconds, 6),
            "ended": self.ended,
            "faults": dict(self.faults),
            "actions": dict(self.actions),
            "latest_s": self.latest_ns / 1e9,
            "lateness_s": self.lateness_ns / 1e9,
        }


@dataclass(frozen=True)
class LogAccount:
    """Where every event went; for each kind the four add up to the loop's own counter.

    Attributes:
        written: kind → lines.
        aggregated: kind → events in lines that only count, since a second had too many.
        dropped: kind → events that found the queue full.
        lost: kind → events that the disk did not take, or that the size limit left out.
        size_bytes: of the log.
        error: what the disk last said, empty where it never refused.
    """

    written: Mapping[str, int] = field(default_factory=dict)
    aggregated: Mapping[str, int] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    lost: Mapping[str, int] = field(default_factory=dict)
    size_bytes: int = 0
    error: str = ""

    def events(self, kind: str) -> int:
        """How many events of a kind the log was handed."""
        parts = (self.written, self.aggregated, self.dropped, self.lost)
        return sum(part.get(kind, 0) for part in parts)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "written": dict(self.written),
            "aggregated": dict(self.aggregated),
            "dropped": dict(self.dropped),
            "lost": dict(self.lost),
            "size_bytes": self.size_bytes,
            "error": self.error,
        }
