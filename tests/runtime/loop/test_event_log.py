"""Every event is accounted for, whatever the disk, the rate and the queue do."""

import errno
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dspctl.errors import ConfigProblem, OutputExists, WriteFailed
from dspctl.runtime.loop import Event, EventLog, Summary
from dspctl.runtime.loop.lines import Lines

SUMMARY = Summary(9, 1.5, "steps", {"late": 3}, {"numpy": 9}, 5, 7)


def event(step: int, kind: str = "late", time_s: float = 0.0, detail: str = "d") -> Event:
    return Event(step, round(time_s * 1e9), kind, detail, "done")


def records(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def accounted(path: Path) -> dict[str, int]:
    """Kind → events, as the lines of a log and the account in its last line have them."""
    *lines, last = records(path)
    found = Counter[str]()
    for line in lines:
        if line["record"] != "start":
            found[line["kind"]] += line.get("events", 1)
    for part in (last["log"]["dropped"], last["log"]["lost"]):
        found.update(part)
    return dict(found)


def eventually(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_each_event_is_a_line_between_the_first_and_the_last(tmp_path: Path) -> None:
    path = tmp_path / "loop.jsonl"
    with EventLog(path, {"hz": 200}) as log:
        log.put(event(4, "observe", 0.25, 'said "no"\nand left'))
        log.put(event(5, "stall", 0.5))
        account = log.close(SUMMARY, {"seed": 3})
    start, one, two, last = records(path)
    assert start == {"record": "start", "hz": 200}
    assert one == {
        "record": "event",
        "step": 4,
        "time_s": 0.25,
        "kind": "observe",
        "detail": 'said "no"\nand left',
        "done": "done",
    }
    assert (two["kind"], two["time_s"]) == ("stall", 0.5)
    assert last["record"] == "summary"
    assert (last["steps"], last["faults"], last["seed"]) == (9, {"late": 3}, 3)
    assert last["log"]["written"] == {"observe": 1, "stall": 1}
    assert account.size_bytes == path.stat().st_size
    assert log.close() is account


def test_it_can_be_read_while_the_loop_runs(tmp_path: Path) -> None:
    path = tmp_path / "loop.jsonl"
    with EventLog(path) as log:
        log.put(event(1))
        eventually(lambda: len(records(path)) == 2)
        for step in range(30):
            log.put(event(step, time_s=7.0))
        # A second without events ends the second that is counted.
        eventually(lambda: records(path)[-1]["record"] == "aggregate")


def test_a_storm_is_counted_by_second_and_kind(tmp_path: Path) -> None:
    path = tmp_path / "loop.jsonl"
    with EventLog(path, lines_per_second=3) as log:
        for step in range(1000):
            log.put(event(step, "late", step / 200))
            if step % 100 == 0:
                log.put(event(step, "apply", step / 200))
        log.close()
    _, *lines, last = records(path)
    assert accounted(path) == {"late": 1000, "apply": 10}
    assert last["log"]["written"] == {"late": 15, "apply": 10}
    assert last["log"]["aggregated"] == {"late": 985}
    aggregates = [line for line in lines if line["record"] == "aggregate"]
    assert [line["second"] for line in aggregates] == [0, 1, 2, 3, 4]
    assert aggregates[1] == {
        "record": "aggregate",
        "second": 1,
        "kind": "late",
        "events": 197,
        "first_step": 203,
        "last_step": 399,
    }


def test_the_file_stays_within_its_size_and_keeps_its_last_line(tmp_path: Path) -> None:
    path = tmp_path / "loop.jsonl"
    with EventLog(path, lines_per_second=1000, max_bytes=20_000) as log:
        for step in range(5000):
            log.put(event(step, "late", step / 500, "x" * 100))
        log.close(SUMMARY)
    assert path.stat().st_size < 20_000
    account = records(path)[-1]["log"]
    assert accounted(path) == {"late": 5000}
    assert account["lost"]["late"] > 4000
    assert account["error"] == ""


def test_a_full_queue_costs_events_and_never_waits(tmp_path: Path) -> None:
    path = tmp_path / "loop.jsonl"
    log = EventLog(path, queue=50)
    with log._draining:  # a disk that hangs: the thread waits here
        begun = time.monotonic()
        for step in range(5000):
            log.put(event(step, "late" if step % 2 else "apply"))
        assert time.monotonic() - begun < 2
        assert log._dropped == {"late": 2475, "apply": 2475}
    log.close()
    assert accounted(path) == {"late": 2500, "apply": 2500}


class Full:
    """A disk with room for some bytes; writes what fits, as a file system may."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        self.room, self._write, self._truncate = room, os.write, os.ftruncate
        monkeypatch.setattr(os, "write", self.write)
        monkeypatch.setattr(os, "ftruncate", self.truncate)

    def write(self, descriptor: int, data: Any) -> int:
        if self.room <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = self._write(descriptor, bytes(data[: self.room]))
        self.room -= done
        return done

    def truncate(self, descriptor: int, size: int) -> None:
        self.room += os.fstat(descriptor).st_size - size
        self._truncate(descriptor, size)


def test_a_full_disk_costs_lines_and_half_a_line_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "loop.jsonl"
    with EventLog(path, lines_per_second=10_000) as log:
        disk = Full(monkeypatch, 1000)
        for step in range(100):
            log.put(event(step, "late", step / 200))
        log.drain()
        assert path.stat().st_size <= 1024
        assert path.read_bytes().endswith(b"\n")
        assert len(records(path)) > 5
        disk.room = 1 << 20  # somebody made room
        log.put(event(100, "late", 1.0))
        account = log.close(SUMMARY)
    assert account.error == "No space left on device"
    assert account.lost["late"] > 80
    assert accounted(path) == {"late": 101}
    assert records(path)[-2]["step"] == 100


def test_a_device_that_takes_nothing(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    with EventLog(full, force=True) as log:
        for step in range(10):
            log.put(event(step))
        account = log.close(SUMMARY)
    assert account.lost == {"late": 10}
    assert account.error == "No space left on device"
    assert account.size_bytes == 0


def test_a_disk_that_hangs_does_not_hold_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dspctl.runtime.loop.event_log._LAST_S", 0.1)
    release = threading.Event()
    log = EventLog(tmp_path / "loop.jsonl", lines_per_second=4)
    write = os.write

    def hang(descriptor: int, data: Any) -> int:
        release.wait(20)
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", hang)
    for step in range(30):
        log.put(event(step))
    try:
        eventually(lambda: log._lines.writing is not None)
        account = log.close(SUMMARY)
    finally:
        release.set()
    assert account.lost == {"late": 30}


def test_what_is_there_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "loop.jsonl"
    path.write_text("kept")
    with pytest.raises(OutputExists, match="--force"):
        EventLog(path)
    assert path.read_text() == "kept"
    with EventLog(path, force=True) as log:
        log.close()
    assert [line["record"] for line in records(path)] == ["start", "summary"]


def test_a_log_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(WriteFailed, match="another place for the log"):
        EventLog(tmp_path / "nowhere" / "loop.jsonl")
    wrong: tuple[dict[str, Any], ...] = ({"lines_per_second": 0}, {"queue": 0}, {"max_bytes": 0})
    for limits in wrong:
        with pytest.raises(ConfigProblem):
            EventLog(tmp_path / "loop.jsonl", **limits)
    assert list(tmp_path.iterdir()) == []


def test_closing_twice_is_told_not_raised(tmp_path: Path) -> None:
    lines = Lines(os.open(tmp_path / "lines", os.O_RDWR | os.O_CREAT), 1 << 20)
    lines.close()
    lines.close()
    assert lines.error == "Bad file descriptor"
