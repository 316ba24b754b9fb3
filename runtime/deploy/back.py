"""``rollback(folder)``: what ran before runs again, if it still works."""

from pathlib import Path

from dspctl.errors import BundleProblem, BundleTampered, NoPrevious, OtherPolicy, WriteFailed
from dspctl.runtime.deploy.copying import verified
from dspctl.runtime.deploy.install import Deployed
from dspctl.runtime.deploy.place import locked, release_of
from dspctl.runtime.trust import Trust


def rollback(path: Path, *, trust: Trust | None = None) -> Deployed:
    """Let ``current`` lead to what ``previous`` leads to, and the reverse.

    Args:
        path: the folder of deployments.
        trust: whose signature the earlier bundle has to carry; None for nobody's.

    Raises:
        NoDeployment: nothing is deployed there.
        NoPrevious: nothing ran before.
        OtherPolicy: another policy is said to have run before.
        DeployLocked: another process deploys there.
        BundleProblem, KeyProblem, PolicyProblem, BundleUnfit: the earlier bundle is damaged, not
            signed by anybody whom *trust* names, or does not work here.
        WriteFailed: the disk is full or the folder cannot be written.

    Whatever is raised, what ran before the call still does. A release's folder is named after the
    bundle that was installed in it, so that no other one, however well signed, takes its place.
    """
    with locked(path, create=False) as place:
        current, previous = place.current(), place.previous()
        if previous is None or previous == current:
            raise NoPrevious(
                f"nothing ran at {path} before {current.folder if current else 'now'}: there is "
                "nothing to go back to; deploy the bundle that you want"
            )
        if current is not None and current.name != previous.name:
            raise OtherPolicy(
                f"{path} runs {current.name}, and its link `previous` leads to {previous.folder}, "
                "which never ran there: deploy the bundle that you want"
            )
        try:
            place.refuse_link(previous)
            found = verified(place.folder(previous), trust)
            held = release_of(found.bundle.manifest, found.bundle.digest)
            if held.names != previous.names:
                raise BundleTampered(
                    f"{place.folder(previous)} holds {held.folder}, another bundle than was "
                    "installed there: deploy the one that you want"
                )
        except BundleProblem as error:
            raise type(error)(f"what ran before cannot run again: {error}") from error
        try:
            # In this order: killed in between, the way back has been gone.
            place.turn("current", previous)
            place.turn("previous", current)
        except OSError as error:
            raise WriteFailed(
                f"could not go back at {path} ({error.strerror or error}): free some space, then "
                "look at where the link `current` leads"
            ) from error
        return Deployed(place.folder(previous), previous, current, (), found, True)
