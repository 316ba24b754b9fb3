"""``dspctl keygen`` and ``dspctl sign``: who made this bundle."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from dspctl.cli import show

_PASSPHRASE = "DSPCTL_PASSPHRASE"

PassphraseEnv = Annotated[
    str,
    typer.Option(
        metavar="VARIABLE",
        help="Environment variable with the passphrase; without it, it is asked for.",
    ),
]


def keygen(
    name: Annotated[
        Path, typer.Argument(metavar="NAME", help="Writes NAME.key and NAME.pem, never over one.")
    ],
    encrypt: Annotated[
        bool, typer.Option("--encrypt", help="Encrypt the private key with a passphrase.")
    ] = False,
    passphrase_env: PassphraseEnv = _PASSPHRASE,
    as_json: Annotated[bool, typer.Option("--json", help="Print the id as JSON.")] = False,
) -> None:
    """Make a pair of Ed25519 keys to sign bundles with.

    NAME.key stays where bundles are made; NAME.pem goes to whoever verifies them.
    """
    from dspctl.runtime.trust.keys import make_key

    passphrase = _passphrase(passphrase_env, confirm=True) if encrypt else None
    if encrypt and passphrase is None:
        passphrase = ""  # refused with a sentence
    made = make_key(name, passphrase)
    if as_json:
        show.result_json(
            {"private": str(made.private), "public": str(made.public), "key_id": made.key_id}
        )
        return
    show.facts(
        str(name),
        {
            "private key": f"{made.private}, "
            + ("encrypted" if encrypt else "not encrypted: whoever reads it can sign"),
            "public key": str(made.public),
        },
    )
    _print_id(made.key_id)
    show.next_command(f"dspctl sign bundle --key {made.private}", "on this machine")


def sign(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The folder to sign.")],
    key: Annotated[
        Path, typer.Option("--key", metavar="KEY", help="Private Ed25519 key, PEM (PKCS8).")
    ],
    passphrase_env: PassphraseEnv = _PASSPHRASE,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Verify a bundle and put a signature of its manifest beside it, in signatures.json.

    Signatures by other keys stay, so that a new key can sign while an old one is still trusted.
    No code of the bundle runs.
    """
    from dspctl.runtime.trust.keys import private_key_from_file
    from dspctl.runtime.trust.signing import sign_bundle

    private = private_key_from_file(key, lambda: _passphrase(passphrase_env, confirm=False))
    done = sign_bundle(bundle, private)
    if as_json:
        show.result_json(done.to_json())
        return
    show.facts(
        str(bundle),
        {
            "state": "signed" if done.changed else "signed by this key before, nothing changed",
            "signatures": show.count(len(done.signers)),
            "manifest": f"SHA-256 {done.digest[:16]}…",
        },
    )
    _print_id(done.key_id)
    show.next_command(f"dspctl verify {bundle} --public-key KEY.pem", "where it is to run")


def _print_id(key_id: str) -> None:
    """On a line of its own, whole: it is copied into lists of revoked keys."""
    show.stdout().print(f"key id: {key_id}")


def _passphrase(variable: str, *, confirm: bool) -> str | None:
    """From the environment, else from the terminal; None where there is neither."""
    if variable in os.environ:
        return os.environ[variable]
    if not sys.stdin.isatty():
        return None
    asked: str = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm, err=True)
    return asked
