"""`Trust`: whose signatures are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dspctl.runtime.records import record

if TYPE_CHECKING:
    from os import PathLike


@record(frozen=True)
class Trust:
    """Whose signatures a bundle has to carry.

    A bundle passes when at least one key signed it that is among *keys* and is not *revoked*. The
    files are read each time a bundle is opened, so a key revoked meanwhile is revoked.

    Attributes:
        keys: public keys, PEM files; or folders, of which every ``.pem`` file is one.
        revoked: a file of key ids that are not trusted any more, one a line; None for none.
        required: False lets a bundle pass that carries no signature at all. What it does carry
            must still hold. Whoever can change a bundle can remove its signatures.
    """

    keys: Sequence[str | PathLike[str]]
    revoked: str | PathLike[str] | None = None
    required: bool = True

    def __post_init__(self) -> None:
        """A single path would be taken for a sequence of letters."""
        if isinstance(self.keys, str) or hasattr(self.keys, "__fspath__"):
            raise TypeError("keys is a list of paths, not one path")
