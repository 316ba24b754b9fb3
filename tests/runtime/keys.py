"""Keys of tests: made by ``cryptography`` itself, not by what is tested."""

from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dspctl.runtime.trust.keys import private_key_from_file
from dspctl.runtime.trust.signing import Signed, sign_bundle


class Pair(NamedTuple):
    """Two files and what they hold."""

    private: Path
    public: Path
    raw_public: bytes

    def sign(self, bundle: Path) -> Signed:
        return sign_bundle(bundle, private_key_from_file(self.private, lambda: None))


def pair_in(folder: Path, name: str = "maker", passphrase: bytes | None = None) -> Pair:
    """A new pair of keys in files."""
    folder.mkdir(parents=True, exist_ok=True)
    key = Ed25519PrivateKey.generate()
    pair = Pair(folder / f"{name}.key", folder / f"{name}.pem", key.public_key().public_bytes_raw())
    encryption = (
        serialization.NoEncryption()
        if passphrase is None
        else serialization.BestAvailableEncryption(passphrase)
    )
    pair.private.touch(mode=0o600)
    pair.private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    )
    pair.public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return pair
