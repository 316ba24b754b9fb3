"""Opening a bundle. Every byte is verified first; what is used is what was verified."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from dspctl.runtime.bundle.artefacts import PARITY, Artefact, artefacts_from_bytes
from dspctl.runtime.bundle.files import BundleFiles, refuse_special, verified_files
from dspctl.runtime.bundle.manifest import (
    LARGEST_MANIFEST_BYTES,
    MANIFEST,
    POLICY,
    SIGNATURES,
    Manifest,
    manifest_from_bytes,
)
from dspctl.runtime.bundle.specs import action_specification, observation_specification
from dspctl.runtime.digest import sha256
from dspctl.runtime.on_demand import errors
from dspctl.runtime.policy.file import policy_from_bytes
from dspctl.runtime.records import record
from dspctl.runtime.reference.golden import GOLDEN, Golden, golden_from_bytes
from dspctl.runtime.untrusted import followed, read_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from dspctl.runtime.bundle.signatures import Signature
    from dspctl.runtime.policy import Policy
    from dspctl.runtime.trust import Trust

ONNX = "policy.onnx"
ONNX_FP16 = "policy.fp16.onnx"
NATIVE = "native"
"""The folder of native code, one folder in it per target."""


@record(frozen=True, eq=False)
class Bundle:
    """A verified bundle.

    Attributes:
        path: the folder it was read from.
        manifest: its description.
        data: every listed file's bytes, verified.
        policy: the parsed policy.
        digest: SHA-256 of the manifest's file, hex. It lists every other file's, so this names
            the whole bundle.
        signatures: what lies in ``signatures.json``; nothing says of these that they hold.
        signed_by: ids of the trusted keys whose signatures were checked, and hold.
    """

    path: Path
    manifest: Manifest
    data: BundleFiles
    policy: Policy
    digest: str
    signatures: tuple[Signature, ...] = ()
    signed_by: tuple[str, ...] = ()

    @property
    def onnx(self) -> bytes | None:
        """The serialised ONNX graph, if there is one."""
        return self.data.get(ONNX)

    @property
    def libraries(self) -> dict[str, str]:
        """The files of the native code's shared libraries, by target."""
        name = self.manifest.name
        found = {target: f"{NATIVE}/{target}/lib{name}.so" for target in self.manifest.builds}
        return {target: library for target, library in found.items() if library in self.data}

    @cached_property
    def golden(self) -> Golden | None:
        """The golden vectors, if there are any."""
        data = self.data.get(GOLDEN)
        return None if data is None else golden_from_bytes(data, self.policy)

    @cached_property
    def artefacts(self) -> tuple[Artefact, ...]:
        """What was compared with the reference at export."""
        data = self.data.get(PARITY)
        return () if data is None else artefacts_from_bytes(data)

    @property
    def size_bytes(self) -> int:
        """All listed files together."""
        return sum(entry.size_bytes for entry in self.manifest.files.values())


def open_bundle(
    path: Path, *, hold: Callable[[str], bool] | None = None, trust: Trust | None = None
) -> Bundle:
    """Read a bundle and verify every byte of it.

    Args:
        path: the folder, or a link to it; a link that is turned meanwhile changes nothing.
        hold: says of a file's name whether its bytes are held in memory; None for all. The others
            are verified as well, and read and verified again if somebody asks for them.
        trust: whose signature it has to carry; None for nobody's. It is checked before the
            manifest is looked into.

    Raises:
        BundleNotFound: there is no folder with a manifest at *path*.
        BundleFormat: the manifest, or a file in it, is malformed or of another schema.
        BundleIncomplete: a listed file is missing or cannot be read.
        BundleTampered: a file differs from its entry, or is not listed.
        BundleUnsigned, BundleSignatureInvalid, KeyUntrusted, KeyRevoked: nobody whom *trust* names
            signed it.
        KeyProblem, MissingExtra: the keys cannot be read, or there is nothing to check them with.
        PolicyProblem: the policy inside cannot be used.
    """
    try:
        path = followed(path)
        bundle = _open(path, hold or (lambda name: True), trust)
        _ = bundle.golden, bundle.artefacts
    except errors.BundleProblem as error:
        raise type(error)(f"{path}: {error}") from error
    except ValueError as error:
        raise errors.BundleFormat(
            f"{path}: {error}: copy the bundle again, or export again"
        ) from error
    except OSError as error:
        raise errors.BundleIncomplete(
            f"{path}: {error.filename or 'a file'} cannot be read ({error.strerror or error}): "
            "check its permissions, or copy the bundle again"
        ) from error
    return bundle


def _open(path: Path, hold: Callable[[str], bool], trust: Trust | None) -> Bundle:
    if not (path / MANIFEST).is_file():
        raise errors.BundleNotFound(
            f"there is no bundle here (no {MANIFEST}): write one with  "
            f"dspctl export POLICY --target cpu -o {path}"
        )
    content = read_bytes(path / MANIFEST, LARGEST_MANIFEST_BYTES, links=False)
    signatures, signed_by = _signatures(path, content, trust)
    manifest = manifest_from_bytes(content)
    digest = sha256(content)
    del content
    files = verified_files(path, manifest.files, hold)
    policy = policy_from_bytes(files[POLICY], name=str(path / POLICY))
    _check_description(manifest, policy)
    return Bundle(path, manifest, files, policy, digest, signatures, signed_by)


def _signatures(
    path: Path, manifest: bytes, trust: Trust | None
) -> tuple[tuple[Signature, ...], tuple[str, ...]]:
    """What lies beside the manifest, and who is known to have signed it."""
    found: tuple[Signature, ...] = ()
    if os.path.lexists(path / SIGNATURES):  # else nothing of it is loaded: see decision 0011
        from dspctl.runtime.bundle.signatures import signatures_in

        refuse_special(path, SIGNATURES)  # here, since else it would seem to be missing
        found = signatures_in(path)
    if trust is None:
        return found, ()
    from dspctl.runtime.trust.checking import check_signatures

    return found, check_signatures(manifest, found, trust)


def _check_description(manifest: Manifest, policy: Policy) -> None:
    """What the manifest says of the policy must be what the policy says."""
    told = manifest.observation
    units = tuple(feature.unit for feature in told.features)
    # Units and rate are the manifest's own: no policy knows them.
    right = len(units) == policy.observation.size and (
        manifest.environment == policy.environment
        and manifest.lineage == policy.lineage
        and told == observation_specification(policy, rate_hz=told.rate_hz, units=units)
        and manifest.action == action_specification(policy)
    )
    if not right:
        raise ValueError(f"{MANIFEST} describes another policy than {POLICY}")
