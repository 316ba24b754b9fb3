"""The flags that say whose signature a bundle has to carry, the same for every command."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dspctl.errors import KeyNotFound

if TYPE_CHECKING:
    from dspctl.runtime.trust import Trust

PublicKeys = Annotated[
    list[Path],
    typer.Option(
        "--public-key",
        metavar="PEM",
        help="Check signatures with this key, or with those in this folder; may be repeated. "
        "One that holds is enough.",
    ),
]
RequireSignature = Annotated[
    bool, typer.Option("--require-signature", help="Refuse a bundle without signatures.")
]
Revoked = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Ids of keys that are not trusted any more, one a line."),
]


def trust_of(keys: list[Path], required: bool, revoked: Path | None) -> "Trust | None":
    """What the flags say; None where no key is given.

    Raises:
        KeyNotFound: a signature is asked for, and no key to check it with is given.
    """
    from dspctl.runtime.trust import Trust

    if keys:
        return Trust(tuple(keys), revoked, required)
    if required or revoked is not None:
        flag = "--require-signature" if required else "--revoked"
        raise KeyNotFound(
            f"{flag} needs to know whose signature counts: add  --public-key PEM  or a folder"
        )
    return None
