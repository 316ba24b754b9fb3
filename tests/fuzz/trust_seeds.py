"""Keys, and small bundles that they signed: what fuzzing of signatures and deployments starts from.

The keys are the same in each process, so that an input that is kept means the same again.
"""

import tempfile
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dspctl.runtime import Trust
from dspctl.runtime.bundle import GOLDEN, MANIFEST, POLICY, manifest_of
from dspctl.runtime.bundle.manifest import SIGNATURES, bytes_from_manifest
from dspctl.runtime.bundle.signatures import Signature, bytes_from_signatures, message_of
from dspctl.runtime.deploy import deploy, rollback
from dspctl.runtime.digest import sha256
from dspctl.runtime.policy.file import bytes_from_policy
from dspctl.runtime.reference.golden import bytes_from_golden, golden_from_policy
from tests.runtime.policies import make_policy, observations_of

PASSPHRASE = "correct horse"
_PEM = serialization.Encoding.PEM


def key(number: int) -> Ed25519PrivateKey:
    """A pair of keys."""
    return Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)


def raw_public(number: int) -> bytes:
    """Its public key, 32 bytes."""
    return key(number).public_key().public_bytes_raw()


def key_id(number: int) -> str:
    """Its id."""
    return sha256(raw_public(number))


@cache
def public_key(number: int = 1) -> bytes:
    """The file of a public key."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key(number).public_key().public_bytes(_PEM, form)


@cache
def private_keys() -> tuple[bytes, ...]:
    """Files of a private key: plain, and encrypted."""
    return tuple(
        key(1).private_bytes(_PEM, serialization.PrivateFormat.PKCS8, how)
        for how in (
            serialization.NoEncryption(),
            serialization.BestAvailableEncryption(PASSPHRASE.encode()),
        )
    )


@cache
def revoked() -> bytes:
    """A list of revoked keys."""
    return f"# lost on a train\n\n{key_id(2)}\n  {key_id(3).upper()}  # a laptop\n".encode()


def signed(manifest: bytes, *numbers: int) -> bytes:
    """The signatures of a manifest, by some keys."""
    return bytes_from_signatures(
        Signature(key_id(number), key(number).sign(message_of(manifest))) for number in numbers
    )


@cache
def bundle(version: str) -> dict[str, bytes]:
    """The files of a small bundle that key 1 signed, by name."""
    policy = make_policy(int(version), sizes=(3, 4, 2))
    golden = golden_from_policy(policy, observations_of(policy, 3))
    files = {
        POLICY: bytes_from_policy(policy),
        GOLDEN: bytes_from_golden(golden),  # else many edge cases are tried, which takes long
        "native/x/policy": b"\x7fELF",
    }
    manifest = bytes_from_manifest(
        manifest_of(policy, files, name="pole", version=version, targets=("cpu",), dspctl="0")
    )
    return {**files, MANIFEST: manifest, SIGNATURES: signed(manifest, 1)}


def put_bundle(folder: Path, version: str) -> Path:
    """Write `bundle` to a folder."""
    for name, data in bundle(version).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def release(version: str) -> str:
    """What the folder of an installed bundle is called."""
    return f"pole-{version}-{sha256(bundle(version)[MANIFEST])[:16]}"


@cache
def deployment() -> bytes:
    """A folder of deployments, as `trust_targets` builds it: versions 1 and 2, of which 2 runs."""
    lines = (
        f"folder {release('1')} 1",
        f"folder {release('2')} 2",
        f"current releases/{release('2')}",
        f"previous releases/{release('1')}",
    )
    return "\n".join(lines).encode()


@cache
def make_all() -> None:
    """Make everything, and import what a deployment imports."""
    public_key(), private_keys(), revoked(), deployment()
    with tempfile.TemporaryDirectory() as folder:
        to, trust = Path(folder, "to"), Path(folder, "maker.pem")
        trust.write_bytes(public_key())
        for version in ("1", "2", "3"):
            source = put_bundle(Path(folder, version), version)
            deploy(source, to, trust=Trust([trust]))
        rollback(to, trust=Trust([trust]))
