"""The folder that bundles are installed in: its names, its links, its lock."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dspctl.errors import BundleTampered, DeployLocked, NoDeployment, WriteFailed
from dspctl.runtime.bundle.manifest import Manifest, version_key
from dspctl.runtime.files import sync_folder
from dspctl.runtime.locks import take
from dspctl.runtime.untrusted import opener_without_links, visible_name

RELEASES = "releases"
CURRENT, PREVIOUS = "current", "previous"

_LOCK = ".lock"
_TEMPORARY = ".tmp-"
_OWN = frozenset({RELEASES, CURRENT, PREVIOUS, _LOCK})
# What `Place.turn` and `Place.temporary` make, and nothing of somebody else's that looks like it.
_NEW_LINKS = frozenset({f"{_TEMPORARY}{link}" for link in (CURRENT, PREVIOUS)})
_NEW_RELEASE = re.compile(re.escape(_TEMPORARY) + "[0-9a-f]{8}")
_DIGEST_DIGITS = 16
_VERSION_PARTS = 4
# A bundle's name is a C identifier and its version digits and dots, so no "-" is in either.
_RELEASE = re.compile(
    r"([a-z][a-z0-9_]{0,62})-([0-9]{1,9}(?:\.[0-9]{1,9}){0,3})-([0-9a-f]{16})(?:-[0-9]{1,9})?"
)


@dataclass(frozen=True)
class Release:
    """An installed bundle, as its folder's name tells it; that name is written once, by `deploy`.

    Attributes:
        folder: the name in ``releases/``.
        name: the bundle's.
        version: the bundle's.
        digest: the first digits of the bundle's.
    """

    folder: str
    name: str
    version: str
    digest: str

    @property
    def names(self) -> tuple[str, str, str]:
        """What it is, whichever of its copies: name, version, digest."""
        return self.name, self.version, self.digest

    @property
    def order(self) -> tuple[int, ...]:
        """What versions are compared by; 1 and 1.0 are the same one."""
        return order_of(self.version)


def order_of(version: str) -> tuple[int, ...]:
    """As `version_key`, of one length, so that 1 and 1.0 are the same version."""
    key = version_key(version)
    return key + (0,) * (_VERSION_PARTS - len(key))


def release_of(manifest: Manifest, digest: str) -> Release:
    """What a bundle is called when it is installed."""
    short = digest[:_DIGEST_DIGITS]
    return Release(
        f"{manifest.name}-{manifest.version}-{short}", manifest.name, manifest.version, short
    )


class Place:
    """A deployment's folder, while its lock is held.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.releases = path, path / RELEASES

    def current(self) -> Release | None:
        """What runs; None before the first deployment."""
        return self._behind(CURRENT)

    def previous(self) -> Release | None:
        """What ran before; None where nothing did."""
        return self._behind(PREVIOUS)

    def installed(self) -> list[Release]:
        """Every release, the one that was installed last first."""
        found = [
            (entry.stat().st_mtime_ns, entry.name, release)
            for entry in self.releases.iterdir()
            if entry.is_dir()
            and not entry.is_symlink()
            and (release := _parsed(entry.name)) is not None
        ]
        return [release for _, _, release in sorted(found, key=lambda each: each[:2], reverse=True)]

    def folder(self, release: Release) -> Path:
        """Where a release's files are."""
        return self.releases / release.folder

    def refuse_link(self, release: Release) -> None:
        """Refuse a release whose folder is a link: what it leads to was not installed here.

        Raises:
            BundleTampered: it is one.
        """
        if self.folder(release).is_symlink():
            raise BundleTampered(
                f"{self.folder(release)} is a link, so dspctl did not put it there: remove it, and "
                "deploy the bundle that you want"
            )

    def temporary(self) -> Path:
        """A name in ``releases/`` that no release has."""
        return self.releases / f"{_TEMPORARY}{os.urandom(4).hex()}"

    def turn(self, link: str, release: Release | None) -> None:
        """Let a link lead to *release*, at once; None removes it. Raises OSError."""
        if release is None:
            with suppress(FileNotFoundError):
                (self.path / link).unlink()
        else:
            temporary = self.path / f"{_TEMPORARY}{link}"
            with suppress(FileNotFoundError):
                temporary.unlink()
            try:
                temporary.symlink_to(Path(RELEASES, release.folder), target_is_directory=True)
                temporary.replace(self.path / link)  # rename(2): there is no moment without it
            except BaseException:
                with suppress(OSError):
                    temporary.unlink()
                raise
        sync_folder(self.path)

    def remove(self, release: Release) -> None:
        """Remove a release, whole or not at all in the eyes of others. Raises OSError."""
        away = self.temporary()
        self.folder(release).rename(away)
        shutil.rmtree(away)
        # TensorRT plans that were built on this machine lie beside their bundle.
        shutil.rmtree(self.releases / f"{release.folder}.engines", ignore_errors=True)

    def sweep(self) -> None:
        """Remove what a killed deployment left half-made: the lock is ours, nobody is at it."""
        for name in _NEW_LINKS:
            if (self.path / name).is_symlink():
                (self.path / name).unlink(missing_ok=True)
        for entry in list(self.releases.iterdir()):
            if _NEW_RELEASE.fullmatch(entry.name) and entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)

    def _behind(self, link: str) -> Release | None:
        """The release that a link leads to, by the link's text: the release may be damaged."""
        path = self.path / link
        if not path.is_symlink():
            if os.path.lexists(path):
                raise NoDeployment(f"{path} is not a link, so dspctl did not put it there")
            return None
        try:
            target = path.readlink()
        except OSError as error:  # it was a link a moment ago
            raise _unwritable(self.path, error) from error
        release = _parsed(target.name) if target.parent == Path(RELEASES) else None
        if release is None:
            raise NoDeployment(
                f"{path} leads to {visible_name(str(target))}, which is no release: dspctl did not "
                "put it there; choose another folder, or remove the link"
            )
        return release


def _parsed(name: str) -> Release | None:
    found = _RELEASE.fullmatch(name)
    return None if found is None else Release(name, found[1], found[2], found[3])


@contextmanager
def locked(path: Path, *, create: bool) -> Iterator[Place]:
    """Hold a deployment's lock, which the system takes back however this process ends.

    Args:
        path: the folder.
        create: make it where there is none.

    Raises:
        NoDeployment: it holds something else, or nothing and *create* is False.
        DeployLocked: another process is at it.
        WriteFailed: it cannot be made or written, or its lock is a link or no plain file.
    """
    check_place(path, create=create)
    try:
        (path / RELEASES).mkdir(parents=True, exist_ok=True)
        sync_folder(path.parent)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        descriptor = opener_without_links(str(path / _LOCK), flags)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        place = Place(path)
        try:
            if not take(descriptor, path):
                raise DeployLocked(
                    f"another process deploys to {path}: wait for it, then repeat the command"
                )
            place.sweep()
        except OSError as error:
            raise _unwritable(path, error) from error
        yield place
    finally:
        os.close(descriptor)


def _unwritable(path: Path, error: OSError) -> WriteFailed:
    return WriteFailed(
        f"{path} cannot be written ({error.strerror or error}): check its permissions and the "
        "space on its disk"
    )


def check_place(path: Path, *, create: bool) -> None:
    """Refuse a folder with anything else in it, before anything is made.

    Raises:
        NoDeployment: it holds something else, or nothing and *create* is False.
        WriteFailed: this process may not look into it.
    """
    try:
        _check_names(path, create=create)
    except OSError as error:
        raise _unwritable(path, error) from error


def _is_own(entry: Path) -> bool:
    return entry.name in _OWN or (entry.name in _NEW_LINKS and entry.is_symlink())


def _check_names(path: Path, *, create: bool) -> None:
    if not os.path.lexists(path) or (path.is_dir() and not any(path.iterdir())):
        if not create:
            raise NoDeployment(
                f"nothing is deployed at {path}: run  dspctl deploy BUNDLE --to {path}"
            )
        return
    entries = list(path.iterdir()) if path.is_dir() else [path]
    strange = sorted(each.name for each in entries if not _is_own(each))
    if strange:
        raise NoDeployment(
            f"{path} holds {visible_name(strange[0])}, so it is no folder of deployments: choose "
            "another one"
        )
    # Through a link bundles would be written, and old ones removed, somewhere else.
    if (path / RELEASES).is_symlink():
        raise NoDeployment(
            f"{path / RELEASES} is a link, so dspctl did not put it there: choose another folder, "
            "or remove the link"
        )
