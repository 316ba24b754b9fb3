"""Signing a bundle: the only thing that a private key does."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from dspctl.errors import BundleTampered, BundleUnfit, DspctlError, TooManySignatures, WriteFailed
from dspctl.runtime.backends.numpy_runner import NumpyRunner
from dspctl.runtime.backends.registry import golden_of, prove
from dspctl.runtime.bundle import MANIFEST, Bundle, open_bundle
from dspctl.runtime.bundle.manifest import LARGEST_MANIFEST_BYTES, SIGNATURES
from dspctl.runtime.bundle.signatures import (
    MOST_SIGNATURES,
    Signature,
    bytes_from_signatures,
    message_of,
    with_signature,
)
from dspctl.runtime.digest import sha256
from dspctl.runtime.files import sync_folder
from dspctl.runtime.trust import ed25519
from dspctl.runtime.untrusted import read_bytes


class Signed(NamedTuple):
    """What signing a bundle came to.

    Attributes:
        path: the bundle.
        key_id: of the key that signed.
        digest: SHA-256 of the manifest, which names what was signed.
        signers: ids of all keys whose signatures lie there now; the others were not checked.
        changed: False when this very signature was there before.
    """

    path: Path
    key_id: str
    digest: str
    signers: tuple[str, ...]
    changed: bool

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {**self._asdict(), "path": str(self.path), "signers": list(self.signers)}


def sign_bundle(path: Path, private: bytes) -> Signed:
    """Verify a bundle, and put a signature of it beside its manifest.

    Every byte is compared with the manifest, and the policy has to answer the golden vectors. That
    is done by NumPy: no code of the bundle runs where the private key is. Signing again with the
    same key changes nothing; signatures by other keys stay.

    Args:
        path: the bundle.
        private: the key, as `dspctl.runtime.trust.ed25519` holds it.

    Raises:
        BundleProblem: the bundle is not what was exported, or its policy and its golden vectors
            do not agree. Nothing was signed.
        TooManySignatures: it carries `MOST_SIGNATURES` others.
        WriteFailed: the signature cannot be written; what was there is as it was.
        MissingExtra: ``cryptography`` is not installed.
    """
    key_id = ed25519.key_id_of(ed25519.public_of(private))
    bundle = open_bundle(path, hold=_hold_nothing)
    _check_policy(bundle)
    manifest = _manifest_of(path)
    if sha256(manifest) != bundle.digest:
        raise BundleTampered(f"{path}: {MANIFEST} changed while it was verified: verify it again")
    new = Signature(key_id, ed25519.sign(private, message_of(manifest)))
    signatures = with_signature(bundle.signatures, new)
    if len(signatures) > MOST_SIGNATURES:
        raise TooManySignatures(
            f"{path} carries {MOST_SIGNATURES} signatures, the most there may be: remove "
            f"{path / SIGNATURES} and sign with the keys that are in use"
        )
    changed = new not in bundle.signatures
    if changed:
        _put(path.resolve(), bytes_from_signatures(signatures))
    signers = tuple(sorted(each.key_id for each in signatures))
    return Signed(path, key_id, bundle.digest, signers, changed)


def _manifest_of(path: Path) -> bytes:
    try:
        return read_bytes(path / MANIFEST, LARGEST_MANIFEST_BYTES, links=False)
    except (OSError, ValueError):
        return b""  # it was there a moment ago: another one than was verified


def _hold_nothing(name: str) -> bool:
    return False


def _check_policy(bundle: Bundle) -> None:
    try:
        prove(NumpyRunner(bundle.policy), golden_of(bundle))
    except DspctlError as error:
        raise BundleUnfit(
            f"{bundle.path} is not signed, since its policy and its golden vectors do not agree "
            f"({error}): export it again"
        ) from error


def _put(folder: Path, data: bytes) -> None:
    """Write the file by way of the folder beside: a stray file inside would spoil the bundle."""
    temporary = folder.with_name(f".{folder.name}.{os.urandom(4).hex()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / SIGNATURES)
    except OSError as error:
        raise WriteFailed(
            f"could not write {folder / SIGNATURES} ({error.strerror or error}); the bundle is as "
            f"it was: free some space, or make {folder} and the folder it is in writable, then "
            "repeat the command"
        ) from error
    finally:
        with suppress(OSError):  # gone already after the rename
            temporary.unlink()
    sync_folder(folder)
