import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dspctl.benchmarks.keeper import Progress
from dspctl.benchmarks.measurement import measure
from dspctl.benchmarks.record.file import load_result
from dspctl.benchmarks.record.result import BenchResult
from dspctl.benchmarks.remote.cache import Cache
from dspctl.benchmarks.remote.connection import Connection
from dspctl.benchmarks.remote.continuing import settle
from dspctl.benchmarks.remote.job import Run
from dspctl.benchmarks.remote.results import Returning, finished_in
from dspctl.benchmarks.request import Request
from dspctl.errors import HostAnswer
from tests.benchmarks.remote.board import HOST, Board


class Stop(Exception):
    """Ends a measurement in the middle."""


@pytest.fixture
def partial(bundle: Path, tmp_path: Path) -> Path:
    """A result with one measurement of two."""
    out = tmp_path / "mine.json"

    def stop(progress: Progress) -> None:
        if progress.stage == "paced":
            raise Stop

    request = Request(
        backends=("numpy",), seconds=0.05, paced_seconds=0.05, memory=False, episodes=0
    )
    with pytest.raises(Stop):
        measure({"a": bundle}, request, out=out, on_progress=stop)
    assert finished_in(out) == ("numpy/latency",)
    return out


def there_and_here(board: Board, connection: Connection, out: Path) -> tuple[Path, Returning]:
    folder = board.cache / "run-1/out"
    folder.mkdir(parents=True)
    return folder, Returning(connection, Cache(connection), Run("run-1"), out)


def test_a_result_goes_there_and_comes_back_the_same(
    board: Board, partial: Path, tmp_path: Path
) -> None:
    board.start()
    back = tmp_path / "back.json"
    with Connection(HOST) as connection:
        folder, sender = there_and_here(board, connection, partial)
        sender.send(load_result(partial))
        assert {path.name for path in folder.iterdir()} == {"bench.json", "bench-numpy.npz"}
        fetched = Returning(connection, Cache(connection), Run("run-1"), back).fetch()
    assert fetched is not None
    assert back.read_bytes() == partial.read_bytes()
    samples = tmp_path / "mine-numpy.npz"
    assert (tmp_path / "back-numpy.npz").read_bytes() == samples.read_bytes()


def test_samples_come_once_unless_they_change(board: Board, partial: Path, tmp_path: Path) -> None:
    board.start()
    out = tmp_path / "back.json"
    with Connection(HOST) as connection:
        folder, sender = there_and_here(board, connection, partial)
        sender.send(load_result(partial))
        returning = Returning(connection, Cache(connection), Run("run-1"), out)
        returning.fetch()
        copied = tmp_path / "back-numpy.npz"
        copied.unlink()
        returning.fetch()
        assert not copied.exists()
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, other=np.arange(3))
        (folder / "bench-numpy.npz").write_bytes(buffer.getvalue())
        returning.fetch()
        assert copied.read_bytes() == buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bench.json", b"{}"),
        ("bench.json", b"not JSON"),
        ("bench.json", b"[" * 100_000),
        ("bench-numpy.npz", b"not an archive"),
        ("bench-../x.npz", None),
        ("bench-A.npz", b"PK"),
    ],
)
def test_a_result_that_is_none_leaves_what_is_here_untouched(
    board: Board, partial: Path, tmp_path: Path, name: str, content: bytes | None
) -> None:
    board.start()
    out = tmp_path / "kept.json"
    out.write_bytes(b"mine")
    with Connection(HOST) as connection:
        folder, sender = there_and_here(board, connection, partial)
        sender.send(load_result(partial))
        if content is None:
            (folder / "bench-..").mkdir()
            (folder / "bench-x y.npz").write_bytes(b"x")
        else:
            (folder / name).write_bytes(content)
        returning = Returning(connection, Cache(connection), Run("run-1"), out)
        if name == "bench.json":
            assert returning.there() is None
        with pytest.raises(HostAnswer):
            returning.fetch()
    assert out.read_bytes() == b"mine"
    assert {path.name for path in tmp_path.glob("kept*")} == {"kept.json"}


class Fake:
    """A machine with one result."""

    def __init__(self, there: BenchResult | None) -> None:
        self._there = there
        self.did: list[str] = []

    def there(self) -> BenchResult | None:
        return self._there

    def clear(self) -> None:
        self.did.append("clear")

    def fetch(self) -> BenchResult | None:
        self.did.append("fetch")
        return self._there

    def send(self, result: BenchResult) -> None:
        self.did.append("send")


def test_the_better_of_two_results_of_one_run_is_gone_on_with(partial: Path) -> None:
    here = load_result(partial)
    more = replace(here, finished=(*here.finished, "numpy/paced"))
    done = replace(more, status="complete")
    machine = replace(here.machine, measured_at="2001-01-01T00:00:00+00:00")
    another = replace(more, machine=machine)
    cases = [
        (None, None, "clear", False),
        (None, done, "clear", False),
        (here, None, "send", False),
        (here, here, "fetch", False),
        (here, more, "fetch", False),
        (here, done, "fetch", True),
        (more, here, "send", False),
        (here, another, "send", False),
    ]
    for kept, there, action, complete in cases:
        fake = Fake(there)
        assert settle(fake, kept) is complete  # type: ignore[arg-type]
        assert fake.did == [action]
