import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dspctl.benchmarks.remote.bundles import pack
from dspctl.benchmarks.remote.cache import Cache, Parcel, digest_of
from dspctl.benchmarks.remote.connection import Connection
from dspctl.benchmarks.remote.package import package
from dspctl.errors import HostStorage
from tests.benchmarks.remote.board import (
    HOST,
    Board,
    busybox_programs,
    system_programs,
    wait_until_gone,
)
from tests.exporter.native.tools import needs

PARCEL = Parcel("box", {"a/b.txt": b"one", "run": b"#!/bin/sh\necho ran\n"}, frozenset({"run"}))


def files_of(folder: Path) -> dict[str, bytes | str]:
    return {
        path.relative_to(folder).as_posix(): str(path.readlink())
        if path.is_symlink()
        else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def file_instead(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("x")


def link(folder: Path) -> None:
    (folder / "run").unlink()
    (folder / "run").symlink_to("/bin/true")


CHANGES: dict[str, Callable[[Path], object]] = {
    "changed": lambda folder: (folder / "run").write_text("#!/bin/sh\necho other\n"),
    "added": lambda folder: (folder / "a/more").write_text("x"),
    "added with a strange name": lambda folder: (folder / "a/m\no\\re").write_text("x"),
    "removed": lambda folder: (folder / "a/b.txt").unlink(),
    "linked": link,
    "everything removed": shutil.rmtree,
    "a file instead": file_instead,
}


@pytest.mark.parametrize("kind", ["coreutils", "busybox"])
def test_a_parcel_arrives_with_its_programs_for_its_user_alone(board: Board, kind: str) -> None:
    if kind == "busybox":
        needs("busybox")
    board.start(programs=busybox_programs() if kind == "busybox" else system_programs())
    with Connection(HOST) as connection:
        cache = Cache(connection)
        assert cache.root == str(board.cache)
        cache.put(PARCEL)
        assert cache.run('exec "$1/box/run"').output == b"ran\n"
    assert files_of(board.cache / "box") == dict(PARCEL.files)
    assert board.cache.stat().st_mode & 0o077 == 0
    assert [path.name for path in board.cache.iterdir()] == ["box"]


def test_what_lies_there_unchanged_is_left_alone(board: Board) -> None:
    board.start(programs=system_programs())
    with Connection(HOST) as connection:
        cache = Cache(connection)
        cache.put(PARCEL)
        before = (board.cache / "box").stat().st_ino
        # What a Python makes beside its modules is no change.
        (board.cache / "box/a/__pycache__").mkdir()
        (board.cache / "box/a/__pycache__/m.pyc").write_bytes(b"x")
        cache.put(PARCEL)
    assert (board.cache / "box").stat().st_ino == before


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_was_changed_there_is_copied_again(
    board: Board, change: Callable[[Path], object]
) -> None:
    board.start(programs=system_programs())
    with Connection(HOST) as connection:
        cache = Cache(connection)
        cache.put(PARCEL)
        change(board.cache / "box")
        cache.put(PARCEL)
    assert files_of(board.cache / "box") == dict(PARCEL.files)


def test_without_sha256sum_everything_is_copied_again(board: Board) -> None:
    programs = system_programs()
    del programs["sha256sum"]
    board.start(programs=programs)
    with Connection(HOST) as connection:
        cache = Cache(connection)
        cache.put(PARCEL)
        (board.cache / "box/run").write_text("#!/bin/sh\necho other\n")
        cache.put(PARCEL)
    assert files_of(board.cache / "box") == dict(PARCEL.files)


@pytest.mark.parametrize("kept_bytes", [0, 512, 1024, 1100, 1536])
def test_half_a_copy_replaces_nothing(
    board: Board, monkeypatch: pytest.MonkeyPatch, kept_bytes: int
) -> None:
    board.start(programs=system_programs())
    whole = Parcel("box", {"a": b"new" * 100, "b": b"new" * 100}).tar()
    with Connection(HOST) as connection:
        cache = Cache(connection)
        cache.put(PARCEL)
        monkeypatch.setattr(Parcel, "tar", lambda parcel: whole[:kept_bytes])
        with pytest.raises(HostStorage):
            cache.replace(PARCEL)
    assert files_of(board.cache / "box") == dict(PARCEL.files)
    assert [path.name for path in board.cache.iterdir()] == ["box"]


def test_a_disk_that_keeps_something_else_is_named(board: Board) -> None:
    wrong = '#!/bin/sh\n/bin/tar "$@" && echo flipped > run\n'
    board.start(programs={**system_programs(), "tar": wrong})
    with Connection(HOST) as connection, pytest.raises(HostStorage, match="check the disk"):
        Cache(connection).put(PARCEL)


def test_another_cache_folder_may_be_named_there(board: Board, tmp_path: Path) -> None:
    board.start(environment={"XDG_CACHE_HOME": str(tmp_path / "an other")})
    with Connection(HOST) as connection:
        assert Cache(connection).root == str(tmp_path / "an other/dspctl/bench")


def test_the_digest_depends_on_names_and_contents_alone() -> None:
    one = digest_of({"a": b"1", "b": b"2"})
    assert one == digest_of({"b": b"2", "a": b"1"})
    others = [{"a": b"2", "b": b"1"}, {"a": b"1"}, {"a": b"1", "c": b"2"}, {"a": b"1", "b": b"22"}]
    assert len({one, *map(digest_of, others)}) == len(others) + 1
    assert digest_of({"a": b"1"}, [b"x"]) != digest_of({"a": b"1"})


def test_a_bundle_is_packed_whole(bundle: Path) -> None:
    packed = pack("a", bundle)
    assert set(files_of(bundle)) == set(packed.parcel.files)
    assert [name.rpartition("/")[2] for name in packed.parcel.programs] == ["policy"]


def test_the_package_that_travels_goes_before_one_that_is_installed(board: Board) -> None:
    parcel = package()
    parts = {name.split("/")[1] for name in parcel.files if name.startswith("dspctl/")}
    assert parts == {"__init__.py", "errors.py", "benchmarks", "runtime"}
    assert not [name for name in parcel.files if "__pycache__" in name]
    assert sum(map(len, parcel.files.values())) < 2_000_000
    board.start()
    code = "import sys, dspctl.benchmarks.host; print(sys.modules['dspctl'].__file__)"
    with Connection(HOST) as connection:
        cache = Cache(connection)
        cache.put(parcel)
        done = cache.run(f'PYTHONPATH="$1/$2" exec python3 -c "{code}"', parcel.name)
    assert done.output.decode().strip() == f"{board.cache}/{parcel.name}/dspctl/__init__.py"
    assert wait_until_gone(board) == []
