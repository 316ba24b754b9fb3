"""What ``dspctl run`` says at its end: the summary as JSON, or as two tables."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dspctl.cli import show

if TYPE_CHECKING:
    from dspctl.runtime.loop import LogAccount, Summary


class Report(NamedTuple):
    """A loop that has ended.

    Attributes:
        start: what was asked for, and what acted.
        summary: of the loop.
        episodes: that ended meanwhile.
        mean_return: of them.
        injected: kind → faults that were put in, or None.
        log: where the log is, or None.
        account: what became of every event, or None without a log.
        notes: what the machine refused.
    """

    start: Mapping[str, Any]
    summary: "Summary"
    episodes: int
    mean_return: float
    injected: Mapping[str, int] | None
    log: Path | None
    account: "LogAccount | None"
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            **self.start,
            **self.summary.to_json(),
            "episodes": self.episodes,
            "mean_return": self.mean_return,
            "injected": None if self.injected is None else dict(self.injected),
            "log": None if self.account is None else self.account.to_json(),
            "notes": list(self.notes),
        }


def draw(report: Report) -> None:
    """Print the summary, and a table of every kind of fault that occurred or was put in."""
    from dspctl.runtime.loop import KINDS

    summary, start = report.summary, report.start
    acted = {name: count for name, count in summary.actions.items() if count}
    facts = {
        "environment": start["environment"],
        "backends": ", then ".join(start["backends"]),
        "rate": f"{start['hz']:g} Hz",
        "steps": f"{show.count(summary.steps)} in {show.duration(summary.seconds)}"
        + ("" if summary.ended == "steps" else f", {summary.ended}"),
        "actions": ", ".join(f"{show.count(count)} {name}" for name, count in acted.items()),
        "episodes": f"{show.count(report.episodes)}"
        + (f", mean return {show.number(report.mean_return)}" if report.episodes else ""),
    }
    if summary.faults["late"]:
        facts["lateness"] = f"{show.latency(summary.latest_ns)} at most"
    if report.log is not None and report.account is not None:
        facts["log"] = f"{report.log}, {show.size(report.account.size_bytes)}"
    show.facts(str(start["subject"]), facts)
    put = report.injected or {}
    rows = [
        (kind, meaning, show.count(summary.faults[kind]), show.count(put.get(kind, 0)))
        for kind, meaning in KINDS.items()
        if summary.faults[kind] or put.get(kind)
    ]
    if rows:
        show.table("Faults", ("kind", "meaning", "counted", "put in"), rows, words=2)
    else:
        show.stdout().print("no faults")
    for note in (*report.notes, *_missing(report.account)):
        show.note(note)


def _missing(account: "LogAccount | None") -> tuple[str, ...]:
    if account is None:
        return ()
    dropped, lost = sum(account.dropped.values()), sum(account.lost.values())
    found = []
    if dropped:
        found.append(f"{show.count(dropped)} events found the log's queue full")
    if lost:
        why = account.error or "it had reached its size"
        found.append(f"{show.count(lost)} events are not in the log: {why}")
    return tuple(found)
