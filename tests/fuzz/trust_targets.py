"""Targets for what says whom to believe and what runs: keys, signatures, deployments."""

import json
import os
from contextlib import suppress
from pathlib import Path

from dspctl.cli import deploy as showing
from dspctl.errors import DspctlError
from dspctl.runtime import Trust
from dspctl.runtime.bundle import MANIFEST, open_bundle
from dspctl.runtime.bundle.manifest import SIGNATURES, canonical_json
from dspctl.runtime.bundle.signatures import bytes_from_signatures, is_key_id
from dspctl.runtime.deploy import deploy, rollback
from dspctl.runtime.digest import sha256
from dspctl.runtime.trust import ed25519
from dspctl.runtime.trust.keys import private_key_from_file, public_keys, revoked_keys
from tests.fuzz import trust_seeds as seeds
from tests.fuzz.target import Quiet, Target, put


def _trusted(folder: Path, *numbers: int) -> list[Path]:
    return [put(folder, f"keys/{n}.pem", seeds.public_key(n)) for n in numbers]


def _signatures(data: bytes, folder: Path) -> object:
    """Read with nobody trusted, and with two keys of which one signed; in the form it must have."""
    with suppress(ValueError, RecursionError):
        data = canonical_json(json.loads(data))
    bundle = seeds.put_bundle(folder / "bundle", "1")
    (bundle / SIGNATURES).write_bytes(data)
    opened = open_bundle(bundle)
    assert bytes_from_signatures(opened.signatures) == data, "there is a second form"
    trust = Trust(_trusted(folder, 1, 2))
    with suppress(DspctlError):
        believed = open_bundle(bundle, trust=trust).signed_by
        assert believed, "nobody signed it"
        for key_id in believed:  # each is a signature by a trusted key of this very manifest
            held = next(one for one in opened.signatures if one.key_id == key_id)
            number = {seeds.key_id(1): 1, seeds.key_id(2): 2}[key_id]
            message = b"dspctl-bundle-signature-v1\n" + seeds.bundle("1")[MANIFEST]
            seeds.key(number).public_key().verify(held.value, message)
    return opened.signatures


def _public_key(data: bytes, folder: Path) -> object:
    """Read alone and from a folder; it must not let a signature through that nobody made."""
    path = put(folder, "keys/x.pem", data)
    found = public_keys([path])
    assert public_keys([path.parent]) == found
    for key_id, raw in found.items():
        assert is_key_id(key_id)
        for first in (raw, bytes([1]) + bytes(31)):
            assert not ed25519.holds(raw, first + bytes(32), b"nobody signed this")
    return found


def _private_key(data: bytes, folder: Path) -> object:
    path = put(folder, "x.key", data)
    path.chmod(0o600)
    private = private_key_from_file(path, lambda: seeds.PASSPHRASE)
    assert ed25519.holds(ed25519.public_of(private), ed25519.sign(private, b"text"), b"text")
    return private


def _revoked(data: bytes, folder: Path) -> object:
    path = put(folder, "revoked", data)
    found = revoked_keys(path)
    assert all(is_key_id(each) for each in found)
    bundle = seeds.put_bundle(folder / "bundle", "1")
    trust = Trust(_trusted(folder, 1), path)
    with suppress(DspctlError):
        assert seeds.key_id(1) not in found or not open_bundle(bundle, trust=trust)
    return found


def _deployment(data: bytes, folder: Path) -> object:
    """A folder of deployments, made as *data* says, a line each: go back in it, or deploy to it.

    ``folder NAME VERSION`` puts a bundle into ``releases/``, ``file NAME`` a file beside that;
    ``current`` and ``previous`` make links. What no file system holds is left out.
    """
    to = folder / "to"
    (to / "releases").mkdir(parents=True)
    for line in data.split(b"\n")[:20]:
        with suppress(OSError, ValueError):
            _make(to, line)
    trust = Trust(_trusted(folder, 1))
    if len(data) % 2:
        done = rollback(to, trust=trust)
    else:
        source = seeds.put_bundle(folder / "source", "3")
        done = deploy(source, to, trust=trust)
        assert done.release.version == "3"
    _check_runs(to, trust)
    with Quiet():
        showing._draw(done, "it")
    return done


def _make(to: Path, line: bytes) -> None:
    what, _, rest = line.partition(b" ")
    if what in (b"current", b"previous"):
        os.symlink(rest, os.fsencode(to) + b"/" + what)  # noqa: PTH211  # bytes of no encoding
        return
    name, _, version = rest.rpartition(b" ") if what == b"folder" else (rest, b"", b"")
    if not name or b"/" in name or name in (b".", b".."):
        return
    if what == b"folder" and version in (b"1", b"2", b"3"):
        seeds.put_bundle(to / "releases" / os.fsdecode(name), version.decode())
    elif what == b"file":
        (to / os.fsdecode(name)).write_bytes(b"")


def _check_runs(to: Path, trust: Trust) -> None:
    """What runs was installed here, is whole and signed."""
    link = (to / "current").readlink().as_posix()
    found = open_bundle(to / "current", trust=trust)
    assert link.startswith(f"releases/{seeds.release(found.manifest.version)}")
    assert found.digest == sha256(seeds.bundle(found.manifest.version)[MANIFEST])


TRUST: dict[str, Target] = {
    "signatures": Target(
        _signatures,
        lambda: [seeds.signed(seeds.bundle("1")[MANIFEST], *who) for who in ((1,), (1, 3), (3,))],
        "signatures",
    ),
    "public-key": Target(_public_key, lambda: [seeds.public_key()], "pem"),
    "private-key": Target(_private_key, seeds.private_keys, "pem"),
    "revoked-keys": Target(_revoked, lambda: [seeds.revoked()], "text"),
    "deployment": Target(
        _deployment, lambda: [seeds.deployment(), seeds.deployment() + b"\n"], "text"
    ),
}
"""As `targets.TARGETS`, of which it is a part."""
