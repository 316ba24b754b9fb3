"""A bundle: the folder that goes to the vehicle. Only this module and `manifest` know its keys.

Every byte is verified when a bundle is opened. That is integrity, not authenticity: whoever can
rewrite the files can rewrite the digests. The format is described in ``docs/bundle.md``.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dspctl.errors import (
    BundleFormat,
    BundleIncomplete,
    BundleNotFound,
    BundleProblem,
    BundleTampered,
)
from dspctl.runtime.bundle.artefacts import (
    PARITY,
    Artefact,
    artefacts_from_bytes,
    bytes_from_artefacts,
)
from dspctl.runtime.bundle.manifest import (
    MANIFEST,
    POLICY,
    Build,
    FileEntry,
    Manifest,
    bytes_from_manifest,
    created_from_lineage,
    manifest_from_bytes,
)
from dspctl.runtime.bundle.specs import action_specification, observation_specification
from dspctl.runtime.files import write_bytes
from dspctl.runtime.policy import Policy
from dspctl.runtime.policy.file import policy_from_bytes
from dspctl.runtime.reference.golden import GOLDEN, Golden, bytes_from_golden, golden_from_bytes

__all__ = [
    "GOLDEN",
    "MANIFEST",
    "ONNX",
    "ONNX_FP16",
    "PARITY",
    "POLICY",
    "Bundle",
    "Manifest",
    "bytes_from_artefacts",
    "bytes_from_golden",
    "manifest_of",
    "open_bundle",
    "write_bundle",
]

ONNX = "policy.onnx"
ONNX_FP16 = "policy.fp16.onnx"
NATIVE = "native"
"""The folder of native code, one folder in it per target."""

_MANIFEST_LIMIT_BYTES = 1 << 20
_EXECUTABLE, _PLAIN = 0o755, 0o644


@dataclass(frozen=True, eq=False)
class Bundle:
    """A verified bundle, held in memory: what was hashed is what will run.

    Attributes:
        path: the folder it was read from.
        manifest: its description.
        data: every listed file's bytes.
        policy: the parsed policy.
    """

    path: Path
    manifest: Manifest
    data: Mapping[str, bytes]
    policy: Policy

    @property
    def onnx(self) -> bytes | None:
        """The serialised ONNX graph, if there is one."""
        return self.data.get(ONNX)

    @property
    def libraries(self) -> dict[str, bytes]:
        """The shared libraries of the native code, by target."""
        name = self.manifest.name
        found = {
            target: self.data.get(f"{NATIVE}/{target}/lib{name}.so")
            for target in self.manifest.builds
        }
        return {target: library for target, library in found.items() if library is not None}

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
        return sum(len(data) for data in self.data.values())


def manifest_of(
    policy: Policy,
    files: Mapping[str, bytes],
    *,
    name: str,
    targets: tuple[str, ...],
    dspctl: str,
    version: str = "1",
    rate_hz: float | None = None,
    builds: Mapping[str, Build] | None = None,
    tools: Mapping[str, str] | None = None,
    executables: frozenset[str] = frozenset(),
) -> Manifest:
    """The manifest of *policy* and *files*; arguments as the fields of `Manifest`.

    Args:
        policy: what the files were made from.
        files: every file but the manifest; the policy's is among them.
        name: prefix of the C functions.
        targets: what they were made for.
        dspctl: version of the tool.
        version: of the policy.
        rate_hz: control steps per second.
        builds: how native code was made.
        tools: versions of packages.
        executables: those of *files* that are programs.
    """
    return Manifest(
        name=name,
        version=version,
        created=created_from_lineage(policy.lineage),
        targets=targets,
        environment=policy.environment,
        observation=observation_specification(policy, rate_hz=rate_hz),
        action=action_specification(policy),
        builds=builds or {},
        lineage=policy.lineage,
        dspctl=dspctl,
        tools=tools or {},
        files={
            path: FileEntry(
                hashlib.sha256(files[path]).hexdigest(), len(files[path]), path in executables
            )
            for path in sorted(files)
        },
    )


def write_bundle(folder: Path, manifest: Manifest, files: Mapping[str, bytes]) -> None:
    """Fill an empty *folder* (see `files.new_folder`); the same input gives the same bytes.

    Raises:
        WriteFailed: the disk is full or the folder cannot be written.
        ValueError: the manifest would not be read again.
    """
    data = bytes_from_manifest(manifest)
    for name, content in files.items():
        write_bytes(folder / name, content)
        (folder / name).chmod(_EXECUTABLE if manifest.files[name].executable else _PLAIN)
    write_bytes(folder / MANIFEST, data)


def open_bundle(path: Path) -> Bundle:
    """Read a bundle and verify every byte of it.

    Raises:
        BundleNotFound: there is no folder with a manifest at *path*.
        BundleFormat: the manifest, or a file in it, is malformed or of another schema.
        BundleIncomplete: a listed file is missing or cannot be read.
        BundleTampered: a file differs from its entry, or is not listed.
        PolicyProblem: the policy inside cannot be used.
    """
    try:
        bundle = _open(path)
        _ = bundle.golden, bundle.artefacts
    except BundleProblem as error:
        raise type(error)(f"{path}: {error}") from error
    except ValueError as error:
        raise BundleFormat(f"{path}: {error}: copy the bundle again, or export again") from error
    except OSError as error:
        raise BundleIncomplete(
            f"{path}: {error.filename or 'a file'} cannot be read ({error.strerror or error}): "
            "check its permissions, or copy the bundle again"
        ) from error
    return bundle


def _open(path: Path) -> Bundle:
    if not (path / MANIFEST).is_file():
        raise BundleNotFound(
            f"there is no bundle here (no {MANIFEST}): write one with  "
            f"dspctl export POLICY --target cpu -o {path}"
        )
    if (path / MANIFEST).stat().st_size > _MANIFEST_LIMIT_BYTES:
        raise ValueError(f"{MANIFEST} is too large to be one")
    manifest = manifest_from_bytes((path / MANIFEST).read_bytes())
    data = _read_verified(path, manifest.files)
    policy = policy_from_bytes(data[POLICY], name=str(path / POLICY))
    _check_description(manifest, policy)
    return Bundle(path, manifest, data, policy)


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


def _read_verified(path: Path, files: Mapping[str, FileEntry]) -> dict[str, bytes]:
    present = set()
    for entry in path.rglob("*"):
        name = entry.relative_to(path).as_posix()
        if entry.is_symlink() or not (entry.is_file() or entry.is_dir()):
            raise BundleTampered(
                f"{name} is a link or a special file: export again, and copy with links followed"
            )
        if entry.is_file():
            present.add(name)
    unlisted = sorted(present - files.keys() - {MANIFEST})
    if unlisted:
        raise BundleTampered(
            f"{', '.join(unlisted)} not listed in {MANIFEST}: remove what does not "
            "belong to the bundle, or copy it again"
        )
    data = {}
    for name, listed in files.items():
        if name not in present:
            raise BundleIncomplete(f"{name} is missing: copy the bundle again")
        size = (path / name).stat().st_size
        content = (path / name).read_bytes() if size == listed.size_bytes else b""
        if size != listed.size_bytes or hashlib.sha256(content).hexdigest() != listed.sha256:
            raise BundleTampered(
                f"{name} is not the file that was exported: copy the bundle again, and "
                "do not use it before it verifies"
            )
        data[name] = content
    return data
