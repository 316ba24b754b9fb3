"""Copying a bundle into its place: what is written is what was verified, and is verified again."""

import logging
import os
import shutil
from pathlib import Path

from dspctl.errors import BundleProblem, BundleUnfit
from dspctl.runtime.bundle import MANIFEST, Bundle, open_bundle
from dspctl.runtime.bundle.manifest import LARGEST_MANIFEST_BYTES, SIGNATURES
from dspctl.runtime.bundle.signatures import bytes_from_signatures
from dspctl.runtime.deploy.place import Place, Release
from dspctl.runtime.files import sync_folder
from dspctl.runtime.trust import Trust
from dspctl.runtime.untrusted import read_bytes
from dspctl.runtime.verify import Verification, verify

_EXECUTABLE, _PLAIN = 0o755, 0o644

log = logging.getLogger(__name__)


def there_already(
    place: Place, source: Bundle, release: Release, trust: Trust | None
) -> Release | None:
    """An installed copy that is as good as the source: whole, and with the same signatures."""
    for each in place.installed():
        if each.names != release.names:
            continue
        try:
            held = open_bundle(place.folder(each), hold=hold_nothing, trust=trust)
        except BundleProblem as error:
            log.warning("%s is installed anew: %s", each.folder, error)
            continue
        if (held.digest, held.signatures) == (source.digest, source.signatures):
            return each
    return None


def copied(
    place: Place, source: Bundle, release: Release, trust: Trust | None
) -> tuple[Release, Verification]:
    """Copy what was verified, verify the copy, and give it its name."""
    temporary = place.temporary()
    try:
        temporary.mkdir()
        _copy(source, temporary)
        found = verified(temporary, trust)
        named, number = release, 1
        while os.path.lexists(place.folder(named)):  # a damaged copy, or one with other signatures
            named, number = _numbered(release, number), number + 1
        temporary.rename(place.folder(named))
        sync_folder(place.releases)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return named, found


def verified(folder: Path, trust: Trust | None) -> Verification:
    """Verify an installed bundle on this machine.

    Raises:
        BundleUnfit: a backend computes something else here.
        BundleProblem, KeyProblem, PolicyProblem: as `verify`.
    """
    found = verify(folder, trust)
    if not found.passed:
        failed = next(each for each in found.backends if each.state == "failed")
        raise BundleUnfit(
            f"{found.bundle.manifest.name} {found.bundle.manifest.version} does not work here "
            f"({failed.name}: {failed.found}); nothing was switched: run  dspctl verify  on it"
        )
    return found


def hold_nothing(name: str) -> bool:
    """No file is held in memory: each is read, and verified, when it is its turn."""
    return False


def _numbered(release: Release, number: int) -> Release:
    folder = f"{release.folder}-{number}"
    return Release(folder, release.name, release.version, release.digest)


def _copy(source: Bundle, folder: Path) -> None:
    """Every file, flushed to the disk. What is written is what was compared with the manifest."""
    # Another one than was verified would not verify afterwards.
    manifest = read_bytes(source.path / MANIFEST, LARGEST_MANIFEST_BYTES, links=False)
    contents = {MANIFEST: manifest}
    if source.signatures:
        contents[SIGNATURES] = bytes_from_signatures(source.signatures)
    for name, data in contents.items():
        _write(folder / name, data, _PLAIN)
    for name, entry in source.manifest.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        _write(folder / name, source.data[name], _EXECUTABLE if entry.executable else _PLAIN)
    for each in [*(path for path in folder.rglob("*") if path.is_dir()), folder]:
        sync_folder(each)


def _write(path: Path, data: bytes, mode: int) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    path.chmod(mode)
