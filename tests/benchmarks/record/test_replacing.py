"""A benchmark that replaces another: the older result is there until the new one is complete."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from dspctl.benchmarks import load_result, measure
from dspctl.benchmarks.record.file import load_raw
from dspctl.benchmarks.record.replacing import add_logs, new_result, replacing, start_again
from dspctl.benchmarks.request import Request
from dspctl.errors import WriteFailed
from dspctl.runtime import save_policy
from tests.benchmarks.networks import network


def benchmark(out: Path, seed: int) -> None:
    policy = save_policy(network((4, 8, 2)), out.with_name("policy.safetensors"), force=True)
    request = Request(
        ("numpy",), seconds=0.02, paced_seconds=0.0, memory=False, episodes=0, executions=1,
        seed=seed,
    )  # fmt: skip
    measure({"policy": policy}, request, out=out)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    path = tmp_path / "bench.json"
    benchmark(path, 1)
    (tmp_path / "bench-c.npz").write_bytes(b"of a backend that is not measured again")
    (tmp_path / "bench.steps").mkdir()
    return path


def seed_of(path: Path) -> int:
    return load_result(path).settings.request.seed


def check_samples(out: Path) -> None:
    (one,) = load_result(out).latency
    raw = load_raw(out, "numpy")["policy"]
    assert sum(block.size for block in raw.single_ns) == one.single_calls


def check_new(out: Path) -> None:
    assert seed_of(out) == 2
    check_samples(out)
    names = {path.name for path in out.parent.iterdir()}
    assert names == {"bench.json", "bench-numpy.npz", "policy.safetensors"}


def test_the_older_one_stays_until_the_end(out: Path) -> None:
    before = contents(out.parent)
    with replacing(out) as place:
        benchmark(place, 2)
        (place.parent / "policy.safetensors").unlink()
        assert contents(out.parent) == before
    check_new(out)


def test_where_nothing_is_nothing_is_hidden(tmp_path: Path) -> None:
    with replacing(tmp_path / "bench.json") as place:
        assert place == tmp_path / "bench.json"
        benchmark(place, 2)
    check_new(place)


def test_an_error_leaves_the_older_one_and_what_was_measured(out: Path) -> None:
    before = contents(out.parent)
    with suppress(KeyboardInterrupt), replacing(out):
        raise KeyboardInterrupt
    assert contents(out.parent) == before
    assert not new_result(out).parent.exists()
    with suppress(KeyboardInterrupt), replacing(out) as place:
        benchmark(place, 3)
        raise KeyboardInterrupt
    assert contents(out.parent) == before
    assert seed_of(new_result(out)) == 3
    start_again(out)
    assert not new_result(out).parent.exists()


def test_logs_that_a_kill_came_before_are_written(out: Path) -> None:
    pytest.importorskip("hdrh")
    before = contents(out.parent)
    add_logs(out)
    (log,) = contents(out.parent).keys() - before.keys()
    assert log == "bench-numpy.hlog"
    with replacing(out) as place:
        benchmark(place, 2)
        add_logs(place)
        (place.parent / "policy.safetensors").unlink()
    assert (out.parent / log).exists()
    out.write_text("no result")
    (out.parent / log).unlink()
    add_logs(out)
    assert not (out.parent / log).exists()


@pytest.mark.parametrize("moved", range(5))
def test_a_kill_while_files_are_moved(out: Path, moved: int) -> None:
    """The next call moves the rest before anything is measured."""
    operations = 0

    def killed(work: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*words: Any, **more: Any) -> Any:
            nonlocal operations
            operations += 1
            if operations > moved:
                raise KeyboardInterrupt
            return work(*words, **more)

        return counted

    with (
        suppress(KeyboardInterrupt),
        pytest.MonkeyPatch.context() as patch,
        replacing(out) as place,
    ):
        benchmark(place, 2)
        (place.parent / "policy.safetensors").unlink()
        patch.setattr(Path, "replace", killed(Path.replace))
        patch.setattr(Path, "unlink", killed(Path.unlink))
    assert seed_of(out) in (1, 2)
    with suppress(KeyboardInterrupt), replacing(out):
        raise KeyboardInterrupt
    check_samples(out)
    with replacing(out) as place:
        if not place.exists():
            benchmark(place, 2)
            (place.parent / "policy.safetensors").unlink()
    check_new(out)


def test_a_folder_that_cannot_be_written(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    def fail() -> None:
        with replacing(out) as place:
            benchmark(place, 2)
            monkeypatch.setattr(Path, "replace", refuse)

    with pytest.raises(WriteFailed, match=r"Read-only file system.*make its folder writable"):
        fail()
    assert seed_of(out) == 1
