"""At most some lines per second and kind; what is more becomes one line that counts."""

from collections.abc import Iterator

from dspctl.runtime.loop.lines import Line, line_of
from dspctl.runtime.loop.records import Event

_SECOND_NS = 1_000_000_000


class _Count:
    """The events of one kind beyond the limit, in one second."""

    __slots__ = ("events", "first", "last")

    def __init__(self, step: int) -> None:
        self.events, self.first, self.last = 0, step, step


class Limiter:
    """Turns events into lines.

    Args:
        limit: lines per second of each kind.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._second = limit, 0
        self._written: dict[str, int] = {}
        self._beyond: dict[str, _Count] = {}

    def take(self, event: Event) -> Iterator[Line]:
        """The lines that are to be written now that *event* has come."""
        # Events of two threads may arrive in another order; an older one counts to this second.
        second = event.time_ns // _SECOND_NS
        if second > self._second:
            yield from self.rest()
            self._second = second
        kind = event.kind
        if self._written.get(kind, 0) < self._limit:
            self._written[kind] = self._written.get(kind, 0) + 1
            yield Line(_line(event), kind, 1)
            return
        beyond = self._beyond.setdefault(kind, _Count(event.step))
        beyond.events, beyond.last = beyond.events + 1, event.step

    def waiting(self) -> dict[str, int]:
        """Kind → events that no line has counted yet."""
        return {kind: count.events for kind, count in tuple(self._beyond.items())}

    def rest(self) -> Iterator[Line]:
        """The lines of the second that is going on."""
        beyond, self._beyond = self._beyond, {}
        self._written.clear()
        for kind, count in beyond.items():
            record = {
                "record": "aggregate",
                "second": self._second,
                "kind": kind,
                "events": count.events,
                "first_step": count.first,
                "last_step": count.last,
            }
            yield Line(line_of(record), kind, count.events, aggregate=True)


def _line(event: Event) -> bytes:
    record = {
        "record": "event",
        "step": event.step,
        "time_s": event.time_ns / 1e9,
        "kind": event.kind,
        "detail": event.detail,
        "done": event.done,
    }
    return line_of(record)
