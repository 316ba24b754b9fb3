import ctypes
import os
from errno import EPERM
from pathlib import Path
from typing import Any

import pytest

from dspctl.benchmarks.calls.scheduling import Answer, Scheduling, Wanted, scheduled
from dspctl.errors import ConfigProblem

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="this system schedules without affinity"
)


def state() -> tuple[set[int], int, int]:
    return (
        os.sched_getaffinity(0),
        os.sched_getscheduler(0),
        os.sched_getparam(0).sched_priority,
    )


def test_nothing_wanted_asks_for_nothing() -> None:
    before = state()
    with scheduled(Wanted()) as granted:
        assert granted == Scheduling()
        assert granted.notes() == ()
        assert state() == before


def test_one_processor_and_all_of_them_back() -> None:
    before = state()
    cpu = max(before[0])
    with scheduled(Wanted(cpu=cpu)) as granted:
        assert granted.cpu == Answer(cpu, granted=True, reason="")
        assert os.sched_getaffinity(0) == {cpu}
    assert state() == before


@pytest.mark.parametrize("cpu", [4095, 10**6, 10**30])
def test_a_processor_that_is_not_there_is_refused_and_said(cpu: int) -> None:
    before = state()
    with scheduled(Wanted(cpu=cpu)) as granted:
        assert granted.cpu is not None
        assert not granted.cpu.granted
        assert state() == before
    (note,) = granted.notes()
    assert f"processor {cpu} alone was refused (" in note
    assert "choose one of the processors" in note


def test_priority_and_memory_are_granted_or_refused_with_a_reason() -> None:
    before = state()
    with scheduled(Wanted(fifo=1, mlock=True)) as granted:
        for one in (granted.fifo, granted.mlock):
            assert one is not None
            assert one.granted == (one.reason == "")
        assert granted.fifo is not None
        expected = os.SCHED_FIFO if granted.fifo.granted else before[1]
        assert os.sched_getscheduler(0) == expected
    assert state() == before


def refuse(*_: Any) -> None:
    raise PermissionError(EPERM, os.strerror(EPERM))


def test_a_refused_priority_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    with scheduled(Wanted(fifo=80)) as granted:
        assert granted.fifo == Answer(80, granted=False, reason=os.strerror(EPERM))
    (note,) = granted.notes()
    assert "priority 80 under SCHED_FIFO was refused (Operation not permitted)" in note
    assert "ulimit -r 99" in note


def test_refused_memory_leaves_the_other_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    class Library:
        def mlockall(self, flags: int) -> int:
            assert flags == 3
            ctypes.set_errno(EPERM)
            return -1

    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: Library())
    cpu = min(os.sched_getaffinity(0))
    with scheduled(Wanted(cpu=cpu, mlock=True)) as granted:
        assert granted.cpu is not None
        assert granted.cpu.granted
        assert granted.mlock == Answer(1, granted=False, reason=os.strerror(EPERM))
    assert "locking memory was refused" in granted.notes()[0]


@pytest.mark.parametrize(
    ("runtime", "sentences"), [("950000\n", 1), ("-1\n", 0), ("1000000\n", 0), ("?", 0), (None, 0)]
)
def test_real_time_throttling_is_said(tmp_path: Path, runtime: str | None, sentences: int) -> None:
    folder = tmp_path / "proc/sys/kernel"
    folder.mkdir(parents=True)
    (folder / "sched_rt_period_us").write_text("1000000\n")
    if runtime is not None:
        (folder / "sched_rt_runtime_us").write_text(runtime)
    granted = Answer(50, granted=True, reason="")
    notes = Scheduling(fifo=granted).notes(tmp_path)
    assert len(notes) == sentences
    assert all("up to 50 ms" in note for note in notes)
    assert Scheduling(cpu=granted).notes(tmp_path) == ()


def test_a_system_without_any_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_setaffinity")
    monkeypatch.delattr(os, "sched_getscheduler")
    with scheduled(Wanted(cpu=0, fifo=1)) as granted:
        assert granted.cpu == Answer(0, granted=False, reason="this system cannot")
        assert granted.fifo == Answer(1, granted=False, reason="this system cannot")


def test_restored_after_an_error() -> None:
    before = state()
    with pytest.raises(KeyboardInterrupt), scheduled(Wanted(cpu=max(before[0]), fifo=1)):
        raise KeyboardInterrupt
    assert state() == before


@pytest.mark.parametrize("values", [{"cpu": -1}, {"fifo": 0}, {"fifo": 100}])
def test_what_no_machine_has_is_refused(values: dict[str, int]) -> None:
    with pytest.raises(ConfigProblem):
        Wanted(**values)  # type: ignore[arg-type]
