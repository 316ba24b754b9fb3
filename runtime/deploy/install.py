"""``deploy(bundle, folder)``: verified, copied, verified again, and only then switched to."""

import logging
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dspctl.errors import OtherPolicy, VersionNotLater, WriteFailed
from dspctl.runtime.bundle import Bundle, open_bundle
from dspctl.runtime.deploy.copying import copied, hold_nothing, there_already, verified
from dspctl.runtime.deploy.place import Place, Release, check_place, locked, order_of, release_of
from dspctl.runtime.trust import Trust
from dspctl.runtime.verify import Verification

FEWEST_KEPT = 2
"""What runs, and what ran before."""

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
    source = open_bundle(bundle, hold=hold_nothing, trust=trust)  # before anything is made
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
    held = there_already(place, source, release, trust)
    if held is None:
        there, found = copied(place, source, release, trust)
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
