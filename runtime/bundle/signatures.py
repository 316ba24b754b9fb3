"""``signatures.json``: who vouches for a bundle, beside the manifest and not listed in it.

What is signed are the manifest's bytes, after a prefix that says what they are. The manifest lists
the size and SHA-256 of every other file, so a signature covers them all. Reading this file needs
the standard library only; checking what it says is `dspctl.runtime.trust`. The format is in
``docs/signatures.md``.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from dspctl.runtime.bundle.manifest import SIGNATURES, canonical_json
from dspctl.runtime.records import record
from dspctl.runtime.strict_json import Fields, fields_from_json
from dspctl.runtime.untrusted import read_bytes

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = 1
ALGORITHM = "ed25519"
PREFIX = b"dspctl-bundle-signature-v1\n"
"""What is signed before the manifest: a signature of something else, made with the same key, must
not serve as one of a bundle, nor the reverse."""

MOST_SIGNATURES = 16
LARGEST_BYTES = 1 << 14
SIGNATURE_BYTES = 64

_KEY_ID = re.compile(r"[0-9a-f]{64}")


@record(frozen=True)
class Signature:
    """One signature, as stored: nothing says yet that it holds.

    Attributes:
        key_id: SHA-256 of the raw public key, hex.
        value: 64 bytes.
    """

    key_id: str
    value: bytes


def message_of(manifest: bytes) -> bytes:
    """What is signed, from the bytes of ``manifest.json``."""
    return PREFIX + manifest


def is_key_id(text: str) -> bool:
    """True for 64 hex digits, lower case."""
    return _KEY_ID.fullmatch(text) is not None


def bytes_from_signatures(signatures: Iterable[Signature]) -> bytes:
    """The file, in the one form that is read again: sorted by key.

    Raises:
        ValueError: more than `MOST_SIGNATURES`, two of one key, or one that is malformed.
    """
    entries = [
        {"algorithm": ALGORITHM, "key_id": each.key_id, "signature": _text(each.value)}
        for each in sorted(signatures, key=lambda each: each.key_id)
    ]
    data = canonical_json({"schema": SCHEMA, "signatures": entries})
    signatures_from_bytes(data)
    return data


def signatures_from_bytes(data: bytes) -> tuple[Signature, ...]:
    """Parse the file. Raises ValueError on anything that `bytes_from_signatures` does not write."""
    fields = fields_from_json(data, SIGNATURES)
    schema, entries = fields.integer("schema"), fields.take("signatures")
    fields.finish()
    if schema != SCHEMA:
        raise ValueError(f"{SIGNATURES} has schema {schema}, but this dspctl reads {SCHEMA}")
    if not isinstance(entries, list) or not 1 <= len(entries) <= MOST_SIGNATURES:
        raise ValueError(f"{SIGNATURES} does not list 1 to {MOST_SIGNATURES} signatures")
    found = tuple(_signature_from_json(entry) for entry in entries)
    key_ids = [each.key_id for each in found]
    if key_ids != sorted(set(key_ids)):
        raise ValueError(f"{SIGNATURES} is not sorted by key, or lists one twice")
    if data != canonical_json({"schema": schema, "signatures": entries}):
        raise ValueError(f"{SIGNATURES} is not in the form that dspctl sign writes")
    return found


def signatures_in(folder: Path) -> tuple[Signature, ...]:
    """The signatures that lie in a bundle; empty where there is no such file.

    Raises:
        ValueError: the file is malformed, or too large to be one.
        OSError: it cannot be read, is a link or no plain file.
    """
    try:
        return signatures_from_bytes(read_bytes(folder / SIGNATURES, LARGEST_BYTES, links=False))
    except FileNotFoundError:
        return ()


def with_signature(signatures: Sequence[Signature], new: Signature) -> tuple[Signature, ...]:
    """*signatures* and *new*, which takes the place of an earlier one by the same key."""
    return (*(each for each in signatures if each.key_id != new.key_id), new)


def _signature_from_json(value: object) -> Signature:
    fields = Fields(value, f"{SIGNATURES}: a signature")
    algorithm, key_id = fields.text("algorithm"), fields.text("key_id")
    text = fields.text("signature")
    fields.finish()
    if algorithm != ALGORITHM:
        raise ValueError(f"{SIGNATURES}: the algorithm {algorithm[:40]!r} is not {ALGORITHM}")
    if not is_key_id(key_id):
        raise ValueError(f"{SIGNATURES}: {key_id[:80]!r} is not the id of a key")
    try:
        raw = binascii.a2b_base64(text.encode())
    except ValueError:
        raw = b""
    if len(raw) != SIGNATURE_BYTES or _text(raw) != text:
        raise ValueError(f"{SIGNATURES}: the signature by {key_id} is not 64 bytes in base64")
    return Signature(key_id, raw)


def _text(value: bytes) -> str:
    return binascii.b2a_base64(value, newline=False).decode()
