"""Opening a bundle. Every byte is verified first; what is used is what was verified."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from dspctl.runtime.bundle.artefacts import PARITY, Artefact, artefacts_from_bytes
from dspctl.runtime.bundle.files import BundleFiles, verified_files
from dspctl.runtime.bundle.manifest import (
    LARGEST_MANIFEST_BYTES,
    MANIFEST,
    POLICY,
    Manifest,
    manifest_from_bytes,
)
from dspctl.runtime.bundle.specs import action_specification, observation_specification
from dspctl.runtime.on_demand import errors
from dspctl.runtime.policy.file import policy_from_bytes
from dspctl.runtime.records import record
from dspctl.runtime.reference.golden import GOLDEN, Golden, golden_from_bytes
from dspctl.runtime.untrusted import read_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from dspctl.runtime.policy import Policy

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
    """

    path: Path
    manifest: Manifest
    data: BundleFiles
    policy: Policy

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


def open_bundle(path: Path, *, hold: Callable[[str], bool] | None = None) -> Bundle:
    """Read a bundle and verify every byte of it.

    Args:
        path: the folder.
        hold: says of a file's name whether its bytes are held in memory; None for all. The others
            are verified as well, and read and verified again if somebody asks for them.

    Raises:
        BundleNotFound: there is no folder with a manifest at *path*.
        BundleFormat: the manifest, or a file in it, is malformed or of another schema.
        BundleIncomplete: a listed file is missing or cannot be read.
        BundleTampered: a file differs from its entry, or is not listed.
        PolicyProblem: the policy inside cannot be used.
    """
    try:
        bundle = _open(path, hold or (lambda name: True))
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


def _open(path: Path, hold: Callable[[str], bool]) -> Bundle:
    if not (path / MANIFEST).is_file():
        raise errors.BundleNotFound(
            f"there is no bundle here (no {MANIFEST}): write one with  "
            f"dspctl export POLICY --target cpu -o {path}"
        )
    data = read_bytes(path / MANIFEST, LARGEST_MANIFEST_BYTES, links=False)
    manifest = manifest_from_bytes(data)
    del data
    files = verified_files(path, manifest.files, hold)
    policy = policy_from_bytes(files[POLICY], name=str(path / POLICY))
    _check_description(manifest, policy)
    return Bundle(path, manifest, files, policy)


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
