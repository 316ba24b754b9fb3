"""The files of a bundle: every byte compared with the manifest, few of them held.

A bundle carries programs and libraries for every target, of which one process uses one at most.
All are read and hashed when the bundle is opened. What is held after that is what was hashed; what
is not held is read again when somebody asks for it, and compared again.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from dspctl.runtime.bundle.manifest import MANIFEST, MOST_FILES, SIGNATURES, FileEntry
from dspctl.runtime.digest import sha256, sha256_of_file
from dspctl.runtime.on_demand import errors
from dspctl.runtime.untrusted import read_bytes, visible_name

if TYPE_CHECKING:
    from pathlib import Path


_MOST_ENTRIES = 10 * MOST_FILES
"""Files and folders that are looked at; a folder may hold any number that nobody listed."""


class BundleFiles(Mapping[str, bytes]):
    """The listed files' verified bytes, by name.

    Args:
        path: the bundle's folder.
        entries: what the manifest lists.
        held: those that are in memory.
    """

    def __init__(
        self, path: Path, entries: Mapping[str, FileEntry], held: Mapping[str, bytes]
    ) -> None:
        self._path, self._entries, self._held = path, entries, held

    def __getitem__(self, name: str) -> bytes:
        """A file's bytes; one that is not held is read, and verified, anew.

        Raises:
            KeyError: the manifest does not list it.
            BundleTampered: it is not the file that was verified before.
            BundleIncomplete: it cannot be read any more.
        """
        if name in self._held:
            return self._held[name]
        entry = self._entries[name]
        try:
            _refuse_links(self._path, name)
            return _read(self._path, name, entry)
        except OSError as error:
            raise errors.BundleIncomplete(
                f"{name} cannot be read any more ({error.strerror or error}): copy the bundle again"
            ) from error

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def verified_files(
    path: Path, entries: Mapping[str, FileEntry], hold: Callable[[str], bool]
) -> BundleFiles:
    """Verify the folder *path*: it holds the files of *entries*, the manifest, and nothing else.

    Signatures of the manifest may lie beside it; `dspctl.runtime.bundle.signatures` reads them.

    Args:
        path: the bundle's folder.
        entries: what the manifest lists.
        hold: says of a name whether its bytes are to be held.

    Raises:
        BundleTampered: a file differs from its entry, is not listed, or is no plain file.
        BundleIncomplete: a listed file is missing.
        OSError: a file or folder cannot be read.
    """
    present = _names_under(str(path))
    unlisted = sorted(present - entries.keys() - {MANIFEST, SIGNATURES})
    if unlisted:
        names = visible_name(", ".join(unlisted[:5]))
        raise errors.BundleTampered(
            f"{names} not listed in {MANIFEST}: remove what does not "
            "belong to the bundle, or copy it again"
        )
    held = {}
    for name, entry in entries.items():
        if name not in present:
            raise errors.BundleIncomplete(f"{name} is missing: copy the bundle again")
        if hold(name):
            held[name] = _read(path, name, entry)
        elif (path / name).stat().st_size != entry.size_bytes or (
            sha256_of_file(path / name, links=False) != (entry.sha256, entry.size_bytes)
        ):
            raise _another_file(name)
    return BundleFiles(path, entries, held)


def _names_under(folder: str) -> set[str]:
    """The files in *folder* and the folders in it, named as the manifest names them."""
    names = set()
    prefixes = [""]  # folders that are still to be read
    seen = 0
    while prefixes:
        prefix = prefixes.pop()
        with os.scandir(f"{folder}/{prefix}") as entries:
            for entry in entries:
                name = prefix + entry.name
                seen += 1
                if seen > _MOST_ENTRIES:
                    raise errors.BundleTampered(
                        f"it holds more than {_MOST_ENTRIES} files and folders, and at most "
                        f"{MOST_FILES} can be listed in {MANIFEST}: copy the bundle again"
                    )
                if entry.is_dir(follow_symlinks=False):
                    prefixes.append(f"{name}/")
                elif entry.is_file(follow_symlinks=False):
                    names.add(name)
                else:
                    raise _special(name)
    return names


def refuse_special(path: Path, name: str) -> None:
    """Refuse what has a file's name and is none.

    Raises:
        BundleTampered: it is a link, a pipe, a device or a folder.
        OSError: it is not there.
    """
    if not stat.S_ISREG((path / name).lstat().st_mode):
        raise _special(name)


def _special(name: str) -> errors.BundleTampered:
    return errors.BundleTampered(
        f"{visible_name(name)} is a link or a special file: export again, and copy with links "
        "followed"
    )


def _refuse_links(path: Path, name: str) -> None:
    """As `_names_under` does when a bundle is opened, for one file that is read later."""
    where = path
    for part in name.split("/"):
        where = where / part
        if where.is_symlink():
            raise _another_file(name)


def _read(path: Path, name: str, entry: FileEntry) -> bytes:
    try:  # a swapped file may be larger than the memory
        content = read_bytes(path / name, entry.size_bytes, links=False)
    except ValueError as error:
        raise _another_file(name) from error
    if len(content) != entry.size_bytes or sha256(content) != entry.sha256:
        raise _another_file(name)
    return content


def _another_file(name: str) -> errors.BundleTampered:
    return errors.BundleTampered(
        f"{name} is not the file that was exported: copy the bundle again, and "
        "do not use it before it verifies"
    )
