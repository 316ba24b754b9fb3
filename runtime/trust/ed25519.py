"""Ed25519 (RFC 8032) by ``cryptography``, the one module that imports it.

Keys are bytes outside this module: a public key its 32, a private key its 32-byte seed, both as
in RFC 8032; in files PEM (SubjectPublicKeyInfo, and PKCS8, plain or encrypted), as ``openssl``
writes them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from dspctl.errors import MissingExtra
from dspctl.runtime.digest import sha256
from dspctl.runtime.trust.pkcs8 import encrypted_der

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


_PRIME = 2**255 - 19
_ORDER_8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL_ORDER = frozenset({0, 1, _PRIME - 1, _ORDER_8, _PRIME - _ORDER_8})
"""Second coordinates of the eight points whose order divides 8."""


class NeedsPassphrase(ValueError):
    """The private key is encrypted."""


class WeakKey(ValueError):
    """Anybody can make signatures that hold with this public key."""


def key_id_of(public: bytes) -> str:
    """SHA-256 of the raw public key, hex."""
    return sha256(public)


def new_private_key() -> bytes:
    """32 random bytes, which every seed is.

    Raises:
        MissingExtra: ``cryptography`` is not installed.
    """
    _serialization("making a key")
    return os.urandom(32)


def public_of(private: bytes) -> bytes:
    """The public key that belongs to *private*."""
    raw: bytes = _private_key(private).public_key().public_bytes_raw()
    return raw


def sign(private: bytes, message: bytes) -> bytes:
    """The signature of *message*, 64 bytes; the same key and message give the same one."""
    signature: bytes = _private_key(private).sign(message)
    return signature


def holds(public: bytes, signature: bytes, message: bytes) -> bool:
    """True when *signature* is one of *message* by the key *public*.

    Raises:
        MissingExtra: ``cryptography`` is not installed.
    """
    _serialization("checking a signature")
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    key = Ed25519PublicKey.from_public_bytes(public)
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def private_from_pem(data: bytes, passphrase: str | None) -> bytes:
    """The key in a PKCS8 file.

    Raises:
        NeedsPassphrase: it is encrypted, and *passphrase* is None.
        TooCostly: trying a passphrase takes longer than anybody wants to wait.
        ValueError: it is no such file, another kind of key, or the passphrase is wrong.
    """
    serialization = _serialization("signing")
    from cryptography.exceptions import InternalError, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        if b"ENCRYPTED" not in data:
            key = serialization.load_pem_private_key(data, None)
        else:
            der = encrypted_der(data)
            if passphrase is None:
                raise NeedsPassphrase("it is encrypted")
            key = serialization.load_der_private_key(der, passphrase.encode())
    except (TypeError, UnsupportedAlgorithm, InternalError) as error:  # the last: 31 bytes of key
        raise ValueError(str(error)) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("another kind of key")
    raw: bytes = key.private_bytes_raw()
    return raw


def public_from_pem(data: bytes) -> bytes:
    """The key in a SubjectPublicKeyInfo file.

    Raises:
        WeakKey: the point is of small order. RFC 8032 leaves it to us to refuse it.
        ValueError: it is no such file, or another kind of key.
    """
    serialization = _serialization("checking a signature")
    from cryptography.exceptions import InternalError, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = serialization.load_pem_public_key(data)
    except (UnsupportedAlgorithm, InternalError) as error:
        raise ValueError(str(error)) from None
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("another kind of key")
    raw: bytes = key.public_bytes_raw()
    if (int.from_bytes(raw, "little") & (1 << 255) - 1) % _PRIME in _SMALL_ORDER:
        raise WeakKey("of small order")
    return raw


def pem_from_private(private: bytes, passphrase: str | None) -> bytes:
    """The PKCS8 file, encrypted where there is a passphrase."""
    serialization = _serialization("making a key")
    encryption = (
        serialization.NoEncryption()
        if passphrase is None
        else serialization.BestAvailableEncryption(passphrase.encode())
    )
    data: bytes = _private_key(private).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )
    return data


def pem_from_public(public: bytes) -> bytes:
    """The SubjectPublicKeyInfo file."""
    serialization = _serialization("making a key")
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    data: bytes = Ed25519PublicKey.from_public_bytes(public).public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return data


def _private_key(private: bytes) -> Ed25519PrivateKey:
    _serialization("signing")
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(private)


def _serialization(purpose: str) -> Any:
    try:
        from cryptography.hazmat.primitives import serialization
    except ImportError:
        raise MissingExtra("cryptography", "sign", purpose) from None
    return serialization
