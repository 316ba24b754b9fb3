"""``dspctl verify``: is this bundle what was exported, and does it work here?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dspctl.cli import show, trusting

if TYPE_CHECKING:
    from dspctl.runtime.verify import Finding, Verification

_EXIT_FAILED = 1


def verify(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The folder to verify.")],
    public_key: trusting.PublicKeys = [],  # noqa: B006 - typer copies it
    require_signature: trusting.RequireSignature = False,
    revoked: trusting.Revoked = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Verify a bundle: every file, and every backend that runs here on the golden vectors.

    Needs NumPy only, a signature **cryptography** too. Exits 0 when nothing failed, 1 when a
    backend computes something else, 2 when the bundle is not what was exported, or not signed as
    it was asked for.
    """
    from dspctl.runtime.verify import verify as verify_bundle

    found = verify_bundle(bundle, trusting.trust_of(public_key, require_signature, revoked))
    if as_json:
        show.result_json(found.to_json())
    else:
        draw(found)
    if not found.passed:
        raise typer.Exit(_EXIT_FAILED)


def draw(found: "Verification") -> None:
    """Print what was looked at."""
    manifest = found.bundle.manifest
    contents = {each.name: f"{each.state}: {each.found}" for each in found.contents}
    show.facts(
        str(found.bundle.path),
        {
            "name": f"{manifest.name}, version {manifest.version}",
            "targets": ", ".join(manifest.targets),
            "this machine": found.machine,
            **contents,
        },
    )
    show.table(
        "Golden vectors",
        ("backend", "result", "largest error", "of its bound", "differ"),
        [_row(finding) for finding in found.backends],
    )
    for finding in found.backends:
        if finding.state != "passed":
            show.note(f"{finding.name}: {finding.found}")
    differing = [(n, then, now or "absent") for n, then, now in found.versions if then != now]
    if differing:
        show.table("Other versions here", ("package", "at export", "here"), differing, words=3)
    show.stdout().print("verified" if found.passed else "FAILED: do not use this bundle here")


def _row(finding: "Finding") -> tuple[str, ...]:
    parity = finding.parity
    if parity is None:
        return (finding.name, finding.state, "", "", "")
    return (
        finding.name,
        finding.state,
        f"{parity.largest_output_error:.1e}",
        show.share(parity.largest_bound_share),
        show.count(parity.disagreements),
    )
