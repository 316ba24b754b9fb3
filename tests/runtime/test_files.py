import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dspctl.errors import OutputExists, WriteFailed
from dspctl.runtime import files
from dspctl.runtime.files import (
    check_output,
    clear_temporaries,
    new_folder,
    write_bytes,
    write_json,
)


@contextmanager
def small_files_only(limit_bytes: int) -> Iterator[None]:
    """Writes beyond *limit_bytes* fail half-way, as on a full disk (Python ignores SIGXFSZ)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def full_disk(*_: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_write_replaces_and_makes_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    write_bytes(path, b"one")
    write_bytes(path, b"two")
    assert contents(tmp_path) == {"a/b/file": b"two"}


def test_the_file_before_keeps_another_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, before = tmp_path / "file", tmp_path / "before"
    for data in (b"one", b"two", b"three"):
        write_bytes(path, data, before=before)
    assert contents(tmp_path) == {"file": b"three", "before": b"two"}
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        with pytest.raises(WriteFailed):
            write_bytes(path, b"four", before=before)
    assert contents(tmp_path) == {"file": b"three", "before": b"two"}


def test_what_a_kill_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    kept = {"file": b"1", ".hidden": b"2", "notes.tmp": b"3", ".notes.tmp": b"4"}
    for name, data in kept.items():
        (tmp_path / name).write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", full_disk)
        patch.setattr(Path, "unlink", full_disk)  # as after a kill
        with pytest.raises(WriteFailed):
            write_bytes(tmp_path / "file", b"new")
    assert len(contents(tmp_path)) == 5
    clear_temporaries(tmp_path)
    clear_temporaries(tmp_path / "nowhere")
    assert contents(tmp_path) == kept


def test_a_write_cut_off_by_the_system_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_bytes(path, b"old")
    with small_files_only(10_000), pytest.raises(WriteFailed, match="untouched"):
        write_bytes(path, b"x" * 50_000)
    assert contents(tmp_path) == {"file": b"old"}


def test_a_full_disk_at_the_flush_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_bytes(path, b"old")
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(WriteFailed, match="No space left on device"):
        write_bytes(path, b"new")
    assert contents(tmp_path) == {"file": b"old"}


def test_a_keyboard_interrupt_leaves_no_temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_bytes(tmp_path / "file", b"new")
    assert contents(tmp_path) == {}


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    write_bytes(tmp_path / "file", b"old")
    with pytest.raises(WriteFailed):
        write_bytes(tmp_path / "file" / "inside", b"new")
    with pytest.raises(WriteFailed), new_folder(tmp_path / "file" / "inside", force=False):
        pass
    (tmp_path / "folder" / "full").mkdir(parents=True)
    with pytest.raises(WriteFailed):
        write_bytes(tmp_path / "folder", b"new")
    assert contents(tmp_path) == {"file": b"old"}


def test_json_refuses_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"loss": float("nan")})
    assert contents(tmp_path) == {}


def test_a_dangling_link_counts_as_taken(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputExists):
        check_output(tmp_path / "link", force=False)


def test_new_folder_replaces_only_with_force(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "bundle"
    with new_folder(path, force=False) as folder:
        write_bytes(folder / "old", b"1")
        assert not path.exists()
    with pytest.raises(OutputExists), new_folder(path, force=False):
        pass
    with new_folder(path, force=True) as folder:
        write_bytes(folder / "new", b"2")
    assert contents(tmp_path) == {"deep/bundle/new": b"2"}
    assert [each.name for each in path.parent.iterdir()] == ["bundle"]


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "full"), ValueError("x"), SystemExit()])
def test_a_failing_body_leaves_the_old_folder(tmp_path: Path, failure: BaseException) -> None:
    path = tmp_path / "bundle"
    with new_folder(path, force=False) as folder:
        write_bytes(folder / "file", b"old")
    expected = WriteFailed if isinstance(failure, OSError) else type(failure)

    def fail_halfway() -> None:
        with new_folder(path, force=True) as folder:
            write_bytes(folder / "file", b"half")
            raise failure

    with pytest.raises(expected):
        fail_halfway()
    assert contents(tmp_path) == {"bundle/file": b"old"}
    assert [each.name for each in tmp_path.iterdir()] == ["bundle"]


def test_a_full_disk_inside_a_new_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bundle"
    monkeypatch.setattr(os, "fsync", full_disk)
    with (
        pytest.raises(WriteFailed, match=r"bundle \(No space left on device\)") as caught,
        new_folder(path, force=False) as folder,
    ):
        write_bytes(folder / "file", b"x")
    assert ".tmp" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_failing_rename_puts_the_old_folder_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bundle"
    with new_folder(path, force=False) as folder:
        write_bytes(folder / "file", b"old")
    rename = Path.rename

    def fail_into_place(self: Path, target: Path) -> Path:
        if self.name.endswith(".tmp") and target == path:
            full_disk()
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_into_place)
    monkeypatch.setattr(files, "exchange", lambda *_: False)  # as on older systems
    with pytest.raises(WriteFailed), new_folder(path, force=True) as folder:
        write_bytes(folder / "file", b"new")
    assert contents(tmp_path) == {"bundle/file": b"old"}
    assert [each.name for each in tmp_path.iterdir()] == ["bundle"]


def test_force_does_not_delete_somebody_elses_folder(tmp_path: Path) -> None:
    home = tmp_path / "home"
    write_bytes(home / "thesis.tex", b"years")
    with (
        pytest.raises(OutputExists, match=r"manifest\.json"),
        new_folder(home, force=True, marker="manifest.json"),
    ):
        pass
    assert contents(tmp_path) == {"home/thesis.tex": b"years"}
    (tmp_path / "empty").mkdir()
    for name in ("empty", "empty"):  # the second time it holds the marker
        with new_folder(tmp_path / name, force=True, marker="manifest.json") as folder:
            write_bytes(folder / "manifest.json", b"{}")
    assert contents(tmp_path / "empty") == {"manifest.json": b"{}"}


def test_there_is_no_moment_without_a_folder_that_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bundle"
    with new_folder(path, force=False) as folder:
        write_bytes(folder / "old", b"1")

    def never(*_: Any) -> None:
        raise AssertionError("two renames")

    monkeypatch.setattr(files, "_replace_folder", never)
    with new_folder(path, force=True) as folder:
        write_bytes(folder / "new", b"2")
    assert contents(tmp_path) == {"bundle/new": b"2"}
    assert [each.name for each in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.parametrize("possible", [True, False])
def test_a_link_and_a_file_are_replaced_and_what_they_lead_to_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, possible: bool
) -> None:
    if not possible:
        monkeypatch.setattr(files, "exchange", lambda *_: False)
    write_bytes(tmp_path / "precious" / "file", b"1")
    (tmp_path / "link").symlink_to(tmp_path / "precious")
    write_bytes(tmp_path / "taken", b"2")
    for name in ("link", "taken"):
        with new_folder(tmp_path / name, force=True) as folder:
            write_bytes(folder / "new", b"3")
    expected = {"precious/file": b"1", "link/new": b"3", "taken/new": b"3"}
    assert contents(tmp_path) == expected
    assert not (tmp_path / "link").is_symlink()


def test_unfinished_folders_of_killed_processes_are_removed_and_no_others(tmp_path: Path) -> None:
    for name in (".bundle.01234567.tmp", ".other.01234567.tmp", ".bundle.tmp", "bundle.01234567"):
        write_bytes(tmp_path / name / "file", b"1")
    (tmp_path / ".bundle.7654321a.tmp").symlink_to(tmp_path / ".bundle.tmp")
    with new_folder(tmp_path / "bundle", force=False) as folder:
        write_bytes(folder / "file", b"2")
        # Another process that writes the same path leaves alone what is at work.
        with new_folder(tmp_path / "bundle", force=False) as other:
            assert folder.exists()
            write_bytes(other / "file", b"3")
        (tmp_path / "bundle" / "file").unlink()
        (tmp_path / "bundle").rmdir()
    assert contents(tmp_path) == {
        "bundle/file": b"2",
        ".other.01234567.tmp/file": b"1",
        ".bundle.tmp/file": b"1",
        "bundle.01234567/file": b"1",
    }
