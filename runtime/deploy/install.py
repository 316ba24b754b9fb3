"""``deploy(bundle, folder)``: verified, copied, verified again, and only then switched to."""

import logging
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dspctl.errors import BundleProblem, BundleUnfit, OtherPolicy, VersionNotLater, WriteFailed
from dspctl.runtime.bundle import MANIFEST, Bundle, open_bundle
from dspctl.runtime.bundle.manifest import SIGNATURES
from dspctl.runtime.bundle.signatures import bytes_from_signatures
from dspctl.runtime.deploy.place import Place, Release, check_place, locked, order_of, release_of
from dspctl.runtime.files import sync_folder
from dspctl.runtime.trust import Trust
from dspctl.runtime.verify import Verification, verify

FEWEST_KEPT = 2
"""What runs, and what ran before."""

_EXECUTABLE, _PLAIN = 0o755, 0o644

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Deployed:
    """What a deployment, or going back from one, came to.

    Attributes:
        path: the release's folder; ``current`` leads to it.
        release: what runs now.
        before: what ran until now; None for the first one.
        removed: folders of releases that made room.
        verification: what was found on this machine.
        changed: False when this very bundle ran already.
    """

    path: Path
    release: Release
    before: Release | None
    removed: tuple[str, ...]
    verification: Verification
    changed: bool

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        bundle = self.verification.bundle
        return {
            "path": str(self.path),
            "name": self.release.name,
            "version": self.release.version,
            "digest": bundle.digest,
            "signed_by": list(bundle.signed_by),
            "before": None if self.before is None else self.before.folder,
            "removed": list(self.removed),
            "changed": self.changed,
        }


def deploy(
    bundle: Path,
    to: Path,
    *,
    trust: Trust | None = None,
    allow_downgrade: bool = False,
    keep: int = FEWEST_KEPT,
) -> Deployed:
    """Install a bundle, and let ``current`` lead to it once it works here.

    Args:
        bundle: the folder to install; it is not changed.
        to: the folder of deployments, made where there is none.
        trust: whose signature the bundle has to carry; None for nobody's.
        allow_downgrade: install a version that is not later than the one that runs.
        keep: releases that stay, what runs and what ran before among them; at least 2.

    Raises:
        BundleProblem, KeyProblem, PolicyProblem: the bundle is not what was exported, or not signed
            by anybody whom *trust* names.
        BundleUnfit: a backend computes something else here.
        NoDeployment: *to* holds something else.
        DeployLocked: another process deploys there.
        OtherPolicy: another name runs there.
        VersionNotLater: the version is not later, and *allow_downgrade* is False.
        WriteFailed: the disk is full or the folder cannot be written.

    Whatever is raised, and whenever the process is killed, what ran before still does.
    """
    check_place(to, create=True)
    source = open_bundle(bundle, hold=_hold_nothing, trust=trust)  # before anything is made
    with locked(to, create=True) as place:
        current = place.current()
        release = release_of(source.manifest, source.digest)
        _check_order(release, current, place.path, allow_downgrade)
        try:
            return _install(place, source, release, current, trust, keep)
        except OSError as error:
            raise WriteFailed(
                f"could not deploy to {to} ({error.strerror or error}); what ran before still "
                "does: free some space, then repeat the command"
            ) from error


def _install(
    place: Place,
    source: Bundle,
    release: Release,
    current: Release | None,
    trust: Trust | None,
    keep: int,
) -> Deployed:
    held = _there_already(place, source, release, trust)
    if held is None:
        there, found = _copied(place, source, release, trust)
    else:
        there, found = held, verified(place.folder(held), trust)
    changed, before = there != current, place.previous()
    if changed:
        try:
            switch(place, there, current)
        except OSError:
            if held is None:
                with suppress(OSError):  # it must not take the place that was lacking
                    place.remove(there)
            raise
        before = current
    # From here on the new one runs, and nothing may say that it does not.
    return Deployed(place.folder(there), there, before, _make_room(place, keep), found, changed)


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


def switch(place: Place, to: Release, current: Release | None) -> None:
    """Record what runs as what ran before, then let *to* run. Raises OSError.

    Killed in between, both links lead to what runs, and it goes on running.
    """
    earlier = place.previous()
    if current is not None:
        place.turn("previous", current)
    try:
        place.turn("current", to)
    except OSError:
        if current is not None:
            with suppress(OSError):
                place.turn("previous", earlier)
        raise


def _hold_nothing(name: str) -> bool:
    return False


def _check_order(release: Release, current: Release | None, path: Path, allowed: bool) -> None:
    if current is None or release.digest == current.digest:
        return
    if release.name != current.name:
        raise OtherPolicy(
            f"{path} runs {current.name}, and this bundle is {release.name}: their versions do "
            "not compare; deploy it to a folder of its own"
        )
    if not allowed and release.order <= order_of(current.version):
        same = release.order == current.order
        raise VersionNotLater(
            f"{path} runs {current.name} {current.version}, and this bundle is "
            f"{f'another {release.version}' if same else f'the older {release.version}'}: export "
            "with a later --version, or insist with --allow-downgrade"
        )


def _there_already(
    place: Place, source: Bundle, release: Release, trust: Trust | None
) -> Release | None:
    """An installed copy that is as good as the source: whole, and with the same signatures."""
    for each in place.installed():
        if (each.name, each.version, each.digest) != (
            release.name,
            release.version,
            release.digest,
        ):
            continue
        try:
            held = open_bundle(place.folder(each), hold=_hold_nothing, trust=trust)
        except BundleProblem as error:
            log.warning("%s is installed anew: %s", each.folder, error)
            continue
        if (held.digest, held.signatures) == (source.digest, source.signatures):
            return each
    return None


def _copied(
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


def _numbered(release: Release, number: int) -> Release:
    folder = f"{release.folder}-{number}"
    return Release(folder, release.name, release.version, release.digest)


def _copy(source: Bundle, folder: Path) -> None:
    """Every file, flushed to the disk. What is written is what was compared with the manifest."""
    manifest = (source.path / MANIFEST).read_bytes()  # another one would not verify afterwards
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


def _make_room(place: Place, keep: int) -> tuple[str, ...]:
    """Remove the oldest releases. That it fails is told, and no reason to run another one."""
    removed: list[str] = []
    try:
        bound = {each.folder for each in (place.current(), place.previous()) if each is not None}
        others = [each for each in place.installed() if each.folder not in bound]
        for each in others[max(0, max(keep, FEWEST_KEPT) - len(bound)) :]:
            place.remove(each)
            removed.append(each.folder)
    except OSError as error:
        log.warning(
            "deployed, but an older release could not be removed (%s); the next deployment tries "
            "again",
            error.strerror or error,
        )
    return tuple(removed)
