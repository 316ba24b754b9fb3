"""``dspctl deploy`` and ``dspctl rollback``: what runs on this vehicle."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dspctl.cli import show, trusting

if TYPE_CHECKING:
    from dspctl.runtime.deploy import Deployed


def deploy(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The folder to install.")],
    to: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Folder of deployments: DIR/current is what runs."),
    ],
    public_key: trusting.PublicKeys = [],  # noqa: B006 - typer copies it
    require_signature: trusting.RequireSignature = False,
    revoked: trusting.Revoked = None,
    allow_downgrade: Annotated[
        bool,
        typer.Option(
            "--allow-downgrade", help="Install a version that is not later than the one that runs."
        ),
    ] = False,
    keep: Annotated[
        int,
        typer.Option(min=2, metavar="N", help="Releases that stay, the running one among them."),
    ] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Install a bundle on this machine, and switch to it at once if it works here.

    It is verified as **dspctl verify** does, and DIR/current leads to it only then; until then,
    and if anything fails, what ran before still does.
    """
    from dspctl.runtime.deploy import deploy as deploy_bundle

    trust = trusting.trust_of(public_key, require_signature, revoked)
    done = deploy_bundle(bundle, to, trust=trust, allow_downgrade=allow_downgrade, keep=keep)
    if as_json:
        show.result_json(done.to_json())
        return
    _draw(done, str(to))
    if done.changed and done.before is not None:
        show.next_command(f"dspctl rollback {to}", "should it drive worse")


def rollback(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of deployments.")],
    public_key: trusting.PublicKeys = [],  # noqa: B006 - typer copies it
    require_signature: trusting.RequireSignature = False,
    revoked: trusting.Revoked = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Switch back to the bundle that ran before, after verifying it.

    Once more switches forward again.
    """
    from dspctl.runtime.deploy import rollback as go_back

    done = go_back(folder, trust=trusting.trust_of(public_key, require_signature, revoked))
    if as_json:
        show.result_json(done.to_json())
        return
    _draw(done, str(folder))


def _draw(done: "Deployed", title: str) -> None:
    signers = done.verification.bundle.signed_by
    show.facts(
        title,
        {
            "runs": f"{done.release.name}, version {done.release.version}"
            + ("" if done.changed else ", as before"),
            "from": str(done.path),
            "ran before": "nothing" if done.before is None else done.before.folder,
            "signed by": ", ".join(signers) or "nobody was asked for",
            "verified": ", ".join(
                each.name for each in done.verification.backends if each.state == "passed"
            ),
            **({"removed": ", ".join(done.removed)} if done.removed else {}),
        },
    )
