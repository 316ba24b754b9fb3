"""Encrypted private keys in PEM, looked at before anybody tries a passphrase on them.

Such a file (PKCS8, RFC 5958, with the ways to derive a key of RFC 8018 and RFC 7914) says itself
how much work its passphrase takes: a line of it can ask for minutes, or for a terabyte of memory.
What says so comes first in the file, and is a few objects of DER inside each other.
"""

from __future__ import annotations

import base64
import re

MOST_ROUNDS = 1 << 20
"""Of PBKDF2; of scrypt N·r·p, which at 128 bytes each is 128 MiB. Less than a second either way."""

_BLOCK = re.compile(
    b"-----BEGIN ENCRYPTED PRIVATE KEY-----(.*?)-----END ENCRYPTED PRIVATE KEY-----", re.S
)
_SEQUENCE, _OCTETS, _INTEGER = 0x30, 0x04, 0x02
_DEEPEST = 8


class TooCostly(ValueError):
    """Opening it takes more than `MOST_ROUNDS`."""


def encrypted_der(data: bytes) -> bytes:
    """The one encrypted key in a PEM file, as DER, once it is known that trying it is cheap.

    Raises:
        TooCostly: it asks for more than `MOST_ROUNDS`.
        ValueError: it is no such file.
    """
    blocks = _BLOCK.findall(data)
    if len(blocks) != 1:
        raise ValueError("it does not hold one encrypted key")
    der = base64.b64decode(b"".join(blocks[0].split()), validate=True)
    tag, whole, _ = _element(der)
    how_tag, how, _ = _element(whole)
    if (tag, how_tag) != (_SEQUENCE, _SEQUENCE):
        raise ValueError("it does not begin with how it is encrypted")
    if (rounds := _rounds(how, 0)) > MOST_ROUNDS:
        raise TooCostly(f"it asks for {rounds:.3g} rounds, and at most {MOST_ROUNDS} are done")
    return der


def _rounds(content: bytes, depth: int) -> int:
    """The most rounds that a sequence, or one inside it, asks for: salt, then numbers."""
    if depth > _DEEPEST:
        raise ValueError("it is nested too deep")
    most, salted, numbers = 0, False, list[int]()
    while content:
        tag, inside, content = _element(content)
        if tag == _SEQUENCE:
            most = max(most, _rounds(inside, depth + 1))
        elif tag == _OCTETS:
            salted = True
        elif tag == _INTEGER and salted:
            numbers.append(int.from_bytes(inside[:64], "big"))
    if len(numbers) >= 3:  # scrypt: N, r, p, and perhaps the length of the key
        return max(most, numbers[0] * numbers[1] * numbers[2])
    return max([most, *numbers[:1]])  # PBKDF2 and PBES1: rounds, and perhaps that length


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """Tag and content of the first element of DER, and what follows it."""
    if len(data) < 2:
        raise ValueError("it is cut off")
    size, begin = data[1], 2
    if size > 0x80:
        begin += size & 0x7F
        size = int.from_bytes(data[2:begin], "big")
    elif size == 0x80:
        raise ValueError("it is not in the form that keys have")
    if size > len(data) - begin:
        raise ValueError("it is cut off")
    return data[0], data[begin : begin + size], data[begin + size :]
