import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from dspctl.benchmarks.calls import load
from dspctl.benchmarks.calls.load import background_load, last_level_cache, memory_each
from dspctl.errors import BackgroundLoadFailed

SMALL = 4 << 20
HOME = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "memory_each", lambda processes: SMALL)


def ticks(pid: int) -> int:
    """Processor time that a process has used, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def until(condition: Callable[[], bool]) -> bool:
    """Whether it comes true within a time that is long enough on any machine."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False


def test_processes_are_at_work_and_end_with_the_block() -> None:
    with background_load(2) as found:
        assert len(set(found.processes)) == 2
        for pid in found.processes:
            before = ticks(pid)
            assert until(lambda pid=pid, before=before: ticks(pid) > before)  # type: ignore[misc]
            assert os.getpriority(os.PRIO_PROCESS, pid) == 0
            assert os.sched_getscheduler(pid) == os.SCHED_OTHER
            resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            assert resident * os.sysconf("SC_PAGE_SIZE") >= SMALL
    assert not any(runs(pid) for pid in found.processes)
    assert found.note.startswith("2 other processes kept the machine busy, anywhere")
    assert "copying through 4 MiB" in found.note


def test_no_load_is_none() -> None:
    with background_load(0) as found:
        assert found.processes == ()
        assert found.note == ""


def test_they_go_where_they_are_sent() -> None:
    cpu = max(os.sched_getaffinity(0))
    with background_load(1, cpu) as found:
        assert os.sched_getaffinity(found.processes[0]) == {cpu}
        assert f"on processor {cpu}" in found.note


def test_a_processor_that_is_not_there_is_refused() -> None:
    with (
        pytest.raises(BackgroundLoadFailed, match=r"does not run \(.*Invalid argument"),
        background_load(2, 9999),
    ):
        pytest.fail("it must not start")


def test_they_end_with_a_block_that_fails() -> None:
    with pytest.raises(RuntimeError, match="stop"), background_load(1) as found:
        raise RuntimeError("stop")
    assert not runs(found.processes[0])


def test_a_process_that_ended_early_is_told() -> None:
    with ExitStack() as stack:
        found = stack.enter_context(background_load(2))
        os.kill(found.processes[1], signal.SIGKILL)
        assert until(lambda: not runs(found.processes[1]))
        with pytest.raises(BackgroundLoadFailed, match="1 of 2 processes of the background load"):
            stack.close()
    assert not runs(found.processes[0])


def test_they_end_with_a_parent_that_is_killed() -> None:
    program = f"""
import sys, time
sys.path.insert(0, {str(HOME)!r})
from dspctl.benchmarks.calls import load
load.memory_each = lambda processes: {SMALL}
with load.background_load(2) as found:
    print(*found.processes, flush=True)
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert all(runs(pid) for pid in pids)
        parent.kill()
        parent.wait()
    assert len(pids) == 2
    assert until(lambda: not any(runs(pid) for pid in pids))


def tree(root: Path, *, sizes: dict[str, str], meminfo: str | None = None) -> Path:
    for index, size in sizes.items():
        folder = root / "sys/devices/system/cpu/cpu0/cache" / index
        folder.mkdir(parents=True)
        (folder / "size").write_text(size)
    if meminfo is not None:
        (root / "proc").mkdir()
        (root / "proc/meminfo").write_text(meminfo)
    return root


def test_memory_is_larger_than_the_last_level_cache(tmp_path: Path) -> None:
    sizes = {"index0": "48K\n", "index2": "2048K\n", "index3": "40M\n"}
    root = tree(tmp_path, sizes=sizes, meminfo="MemTotal: 9 kB\nMemAvailable:    8388608 kB\n")
    assert last_level_cache(root) == 40 << 20
    assert memory_each(1, root) == 80 << 20
    assert memory_each(256, root) == (8 << 30) // (4 * 256)  # a quarter of what is free


def test_a_system_that_says_nothing_gets_a_usual_size(tmp_path: Path) -> None:
    assert last_level_cache(tmp_path) == 32 << 20
    assert memory_each(4, tmp_path) == 64 << 20
    assert last_level_cache(tree(tmp_path, sizes={"index0": "many"})) == 32 << 20


def test_a_huge_cache_is_bounded(tmp_path: Path) -> None:
    assert memory_each(1, tree(tmp_path, sizes={"index3": "1G"})) == 512 << 20
