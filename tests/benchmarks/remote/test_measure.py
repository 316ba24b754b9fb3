import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dspctl.benchmarks import BenchResult, load_result
from dspctl.benchmarks.command.answer import Answer
from dspctl.benchmarks.keeper import Progress
from dspctl.benchmarks.measurement import measure
from dspctl.benchmarks.remote.connection import Connection
from dspctl.benchmarks.remote.measure import measure_remote
from dspctl.benchmarks.remote.ssh_host import SshHost
from dspctl.benchmarks.request import Request
from dspctl.errors import (
    ConnectionLost,
)
from tests.benchmarks.remote.board import (
    HOST,
    Board,
    busybox_programs,
    system_programs,
    wait_until_gone,
)
from tests.exporter.native.tools import needs

SHORT = Request(
    backends=("c", "numpy"), seconds=0.1, hz=1000, paced_seconds=0.1, memory=False, episodes=0
)


def shape(value: Any) -> Any:
    """The keys of nested JSON objects; of an array, those of all its entries together."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    if isinstance(value, list):
        shapes = [shape(each) for each in value]
        return sorted({json.dumps(each, sort_keys=True) for each in shapes if each is not None})
    return None


def when(stage: str, backend: str, action: Callable[[], Any]) -> Callable[[Progress], None]:
    """Do *action* at the second report of a measurement, once."""
    left = [2]

    def report(progress: Progress) -> None:
        if (progress.stage, progress.backend) == (stage, backend):
            left[0] -= 1
            if left[0] == 0:
                action()

    return report


def test_a_run_over_ssh_gives_the_fields_of_a_local_one(
    board: Board, bundle: Path, tmp_path: Path
) -> None:
    board.start()
    request = replace(SHORT, memory=True)
    subjects = {"pruned": bundle, "again": bundle}
    seen: list[Progress] = []
    there = tmp_path / "there.json"
    result = measure_remote(HOST, subjects, request, out=there, on_progress=seen.append)
    here = tmp_path / "here.json"
    local = measure(subjects, request, out=here)
    assert shape(json.loads(there.read_text())) == shape(json.loads(here.read_text()))
    assert result == load_result(there)
    assert result.status == "complete"
    assert result.finished == local.finished
    assert result.subjects == local.subjects
    assert result.code == local.code
    assert {one.stage for one in seen} == {"latency", "paced", "memory"}
    names = {path.name.replace("there", "here") for path in tmp_path.glob("there*")}
    assert names == {path.name for path in tmp_path.glob("here*")}
    assert all(result.samples[name][label].size for name in result.backends for label in subjects)
    # Nothing but the cache is left there, and of that only what the next run needs.
    assert [path.name for path in board.home.iterdir()] == [".cache"]
    assert sorted(path.name.split("-")[0][:6] for path in board.cache.iterdir()) == sorted(
        ["python", next(path.name[:6] for path in board.cache.iterdir() if "-" not in path.name)]
    )
    assert wait_until_gone(board) == []


@pytest.mark.parametrize("kind", ["coreutils", "busybox"])
def test_a_board_without_python_runs_the_bundles_program(
    board: Board, bundle: Path, tmp_path: Path, kind: str
) -> None:
    if kind == "busybox":
        needs("busybox")
    board.start(programs=busybox_programs() if kind == "busybox" else system_programs())
    out = tmp_path / "bench.json"
    result = measure_remote(HOST, {"a": bundle}, SHORT, out=out)
    assert result.status == "complete"
    assert result.backends == ("c",)
    assert [one.backend for one in result.skipped] == ["numpy"]
    (note,) = [note for note in result.notes if "python3" in note]
    assert "board has no python3, so only the bundles' own program was measured" in note
    assert result.machine.python == ""
    assert load_result(out) == result
    assert not out.with_name("bench.steps").exists()
    assert [path.name for path in board.home.iterdir()] == [".cache"]
    assert len(list(board.cache.iterdir())) == 1  # the bundle
    assert wait_until_gone(board) == []


def test_a_line_that_breaks_loses_nothing_and_the_rerun_goes_on(
    board: Board, bundle: Path, tmp_path: Path
) -> None:
    board.start()
    out = tmp_path / "bench.json"
    with pytest.raises(ConnectionLost, match=r"measurements that had finished.*same command"):
        measure_remote(
            HOST, {"a": bundle}, SHORT, out=out, on_progress=when("latency", "numpy", board.cut)
        )
    kept = load_result(out)
    assert kept.status == "partial"
    assert kept.finished == ("c/latency", "c/paced")
    assert kept.samples["c"]["a"].size
    assert wait_until_gone(board) == []  # the worker ended with the line

    seen: list[Progress] = []
    result = measure_remote(HOST, {"a": bundle}, SHORT, out=out, on_progress=seen.append)
    assert result.status == "complete"
    assert result.finished == ("c/latency", "c/paced", "numpy/latency", "numpy/paced")
    assert result.latency[0] == kept.latency[0]
    assert "c" not in {one.backend for one in seen}


def test_a_line_that_breaks_between_two_steps_of_the_program_repeats_none_of_them(
    board: Board, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Sequence[str]] = []
    ask = SshHost._ask

    def counted(host: SshHost, label: str, folder: str, arguments: Sequence[str]) -> Answer:
        asked.append(tuple(arguments))
        return ask(host, label, folder, arguments)

    monkeypatch.setattr(SshHost, "_ask", counted)
    board.start(programs=system_programs())
    request = replace(SHORT, backends=("c",))
    measure_remote(HOST, {"a": bundle}, request, out=tmp_path / "whole.json")
    whole = list(asked)
    asked.clear()

    out = tmp_path / "bench.json"
    with pytest.raises(ConnectionLost, match=r"bench\.steps.*same command goes on"):
        measure_remote(
            HOST, {"a": bundle}, request, out=out, on_progress=when("latency", "c", board.cut)
        )
    assert load_result(out).status == "partial"
    assert wait_until_gone(board) == []
    result = measure_remote(HOST, {"a": bundle}, request, out=out)
    assert result.status == "complete"
    # One step was under way when the line broke; every other one was made once.
    assert len(asked) == len(whole) + 1
    assert not (tmp_path / "bench.steps").exists()


def test_another_run_begins_anew_and_the_first_goes_on_from_what_is_here(
    board: Board, bundle: Path, tmp_path: Path
) -> None:
    board.start()
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    with pytest.raises(ConnectionLost):
        measure_remote(
            HOST, {"a": bundle}, SHORT, out=first, on_progress=when("latency", "numpy", board.cut)
        )
    kept = load_result(first)
    assert wait_until_gone(board) == []

    seen: list[Progress] = []
    other = measure_remote(HOST, {"a": bundle}, SHORT, out=second, on_progress=seen.append)
    assert {one.backend for one in seen} == {"c", "numpy"}  # nothing was taken from the first
    assert other.latency[0] != kept.latency[0]

    # The other run has left nothing on the board to go on from.
    assert not [path for path in board.cache.iterdir() if path.name.startswith("run")]
    result = measure_remote(HOST, {"a": bundle}, SHORT, out=first)
    assert result.status == "complete"
    assert result.machine.measured_at == kept.machine.measured_at
    assert result.latency[0] == kept.latency[0]


def test_the_connection_is_closed_when_the_user_stops(
    board: Board, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = []
    close = Connection.close

    def counted(connection: Connection) -> None:
        closed.append(connection)
        close(connection)

    def stop() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Connection, "close", counted)
    board.start()
    out = tmp_path / "bench.json"
    with pytest.raises(KeyboardInterrupt):
        measure_remote(
            HOST, {"a": bundle}, SHORT, out=out, on_progress=when("latency", "numpy", stop)
        )
    assert len(closed) == 1
    kept: BenchResult = load_result(out)
    assert kept.finished == ("c/latency", "c/paced")
    assert wait_until_gone(board) == []


def test_a_kill_here_ends_the_work_there_and_leaves_a_result_that_can_be_read(
    board: Board, bundle: Path, tmp_path: Path
) -> None:
    board.start()
    out = tmp_path / "bench.json"
    program = f"""
from pathlib import Path
from dspctl.benchmarks.remote.measure import measure_remote
from dspctl.benchmarks.request import Request
request = Request(backends=("c",), seconds=0.1, paced_seconds=60.0, memory=False, episodes=0)
measure_remote({HOST!r}, {{"a": Path({str(bundle)!r})}}, request, out=Path({str(out)!r}),
               on_progress=lambda p: print(p.stage, p.backend, p.done, flush=True))
"""
    root = str(Path(__file__).resolve().parents[3])
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": root},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "latency c 1\n"
        for line in process.stdout:
            if line == "latency c 5\n":
                break
        assert len(board.processes()) > 0
        process.kill()
    kept = load_result(out)
    assert kept.status == "partial"
    assert wait_until_gone(board) == []
