"""Writing files so that a reader never sees half of one.

Everything goes to a temporary name in the same folder, is flushed to the disk, and is then
renamed into place, which POSIX makes atomic. A full disk or a kill leaves the old file intact.
"""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import IO, Any, Literal

from dspctl.errors import OutputExists, WriteFailed
from dspctl.runtime.digest import sha256_of_file
from dspctl.runtime.replacing import clear, exchange, in_use, remove
from dspctl.runtime.untrusted import opener_without_links

_TEMPORARY = ".*.????????.tmp"


def is_temporary(path: Path) -> bool:
    """Whether *path* is named as what `write_bytes` has not finished."""
    return path.match(_TEMPORARY)


def check_output(path: Path, *, force: bool) -> None:
    """Refuse to overwrite *path* unless *force* is set, and a path that nothing can be written to.

    Raises:
        OutputExists: the path exists and ``force`` is False.
        WriteFailed: it lies below something that is no folder.
    """
    if os.path.lexists(path) and not force:
        raise OutputExists(f"{path} exists: choose another path, or pass --force to replace it")
    above = next((each for each in path.parents if os.path.lexists(each)), None)
    if above is not None and not _is_folder(above):
        raise WriteFailed(
            f"could not write {path} ({above}: {os.strerror(errno.ENOTDIR)}): choose another "
            "folder, then repeat the command"
        )


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return True  # as far as anybody may know; writing to it tells


def write_bytes(path: Path, data: bytes, *, mode: int = 0o666, before: Path | None = None) -> None:
    """Write *data* to *path* atomically and durably.

    Args:
        path: where it shall stand.
        data: all of the new file.
        mode: of the file from its first byte on, less what the process's umask takes away.
        before: name that the file which is there keeps, beside *path*; whatever had that name goes.
            A kill between the two renames leaves nothing at *path*, and the old file at *before*.

    Raises:
        WriteFailed: the disk is full or the folder cannot be written, and the old file is intact;
            or *path* is a folder by its very name, such as ``.``.
    """
    if path.name in ("", ".."):
        raise WriteFailed(f"{path} is a folder: give the name of a file, then repeat the command")
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(temporary, flags, mode), "wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        if before is not None and path.exists():
            path.replace(before)
        temporary.replace(path)
    except OSError as error:
        raise WriteFailed(
            f"could not write {path} ({error.strerror or error}); what was there before is "
            "untouched: free some space or choose another folder, then repeat the command"
        ) from error
    finally:
        with suppress(OSError):  # gone already after the rename
            temporary.unlink()
    sync_folder(path.parent)


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, where they are not there.

    Raises:
        WriteFailed: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteFailed(
            f"could not make {path} ({error.strerror or error}): free some space or choose another "
            "folder, then repeat the command"
        ) from error


def open_log(path: Path, mode: Literal["w", "a"]) -> IO[str]:
    """Open a file to write to as it comes; never by a link, which may lead out of the folder.

    Raises:
        WriteFailed: it is a link or no plain file, or cannot be written.
    """
    try:
        return open(path, mode, opener=opener_without_links)  # Path has no opener
    except OSError as error:
        raise WriteFailed(
            f"could not write {path} ({error.strerror or error}): remove it, or choose another "
            "folder, then repeat the command"
        ) from error


def write_json(path: Path, value: Any) -> None:
    """Write *value* as indented JSON with a final newline, atomically; NaN is refused."""
    write_bytes(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def clear_temporaries(folder: Path) -> None:
    """Remove what processes that were killed in `write_bytes` left in *folder*, as far as it goes.

    Nobody else may be writing there.
    """
    for path in folder.glob(_TEMPORARY):
        with suppress(OSError):
            path.unlink()


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    return sha256_of_file(path)[0]


@contextmanager
def new_folder(path: Path, *, force: bool, marker: str | None = None) -> Iterator[Path]:
    """Yield a temporary sibling of *path* that is moved into place if the body succeeds.

    On any exception the temporary folder is removed and *path* is as it was. A folder that is there
    and the new one change places at once; where the file system cannot, that takes two renames,
    and a kill between them leaves the old folder beside *path* under a name that ends in ``.old``.
    What a killed process left unfinished is removed by the next one that writes *path*.

    Args:
        path: where the folder shall stand.
        force: replace what is there.
        marker: with *force*, replace only an empty folder or one that holds a file of this name,
            so that a mistyped path cannot delete somebody's data.

    Raises:
        OutputExists: *path* exists and ``force`` is False, or it lacks *marker*.
        WriteFailed: the folder cannot be created, filled or moved.
    """
    check_output(path, force=force)
    path = _named(path)
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    try:
        _check_replaceable(path, marker)
        clear(path.parent, f".{escape(path.name)}.????????.tmp")
        temporary.mkdir(parents=True)
        with in_use(temporary):
            yield temporary
            if not os.path.lexists(path):
                temporary.rename(path)
            elif not exchange(temporary, path):
                _replace_folder(temporary, path)
    except (OSError, WriteFailed) as error:
        cause = error.__cause__ if isinstance(error, WriteFailed) else error
        reason = getattr(cause, "strerror", None) or cause or error
        raise WriteFailed(
            f"could not write {path} ({reason}); what was there before is untouched: free some "
            "space or choose another folder, then repeat the command"
        ) from error
    finally:
        remove(temporary)  # or the old folder in its place
    sync_folder(path.parent)


def _named(path: Path) -> Path:
    """*path* with a name that others can be made from: ``.`` and ``..`` have none.

    Raises:
        OutputExists: it is the root of all folders.
        WriteFailed: the folder that this process stands in is gone.
    """
    if path.name not in ("", ".."):
        return path
    try:
        named = path.resolve()
    except OSError as error:
        raise WriteFailed(
            f"could not write {path} ({error.strerror or error}): choose another folder, then "
            "repeat the command"
        ) from error
    if not named.name:
        raise OutputExists(f"{path} holds everything else: choose another path")
    return named


def _check_replaceable(path: Path, marker: str | None) -> None:
    if marker is None or not os.path.lexists(path) or (path / marker).is_file():
        return
    if not path.is_dir() or any(path.iterdir()):
        raise OutputExists(
            f"{path} holds no {marker}, so it was not written by this command and --force will "
            "not delete it: choose another path"
        )


def _replace_folder(new: Path, path: Path) -> None:
    old = path.with_name(f".{path.name}.{os.urandom(4).hex()}.old")
    path.rename(old)
    try:
        new.rename(path)
    except BaseException:
        old.rename(path)
        raise
    # The new folder stands; failing to delete the old one must not look like a failure to write.
    remove(old)


def sync_folder(folder: Path) -> None:
    """Make a rename in *folder* survive a power cut, where the file system supports it."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
