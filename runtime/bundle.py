"""A bundle: the folder that goes to the vehicle. Only this module and `manifest` know its keys.

Every byte is verified when a bundle is opened. That is integrity, not authenticity: whoever can
rewrite the files can rewrite the digests. The format is described in ``docs/bundle.md``.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as tensors_from_bytes
from safetensors.numpy import save as bytes_from_tensors

from dspctl.errors import (
    BundleFormat,
    BundleIncomplete,
    BundleNotFound,
    BundleProblem,
    BundleTampered,
)
from dspctl.runtime.files import write_bytes
from dspctl.runtime.manifest import (
    MANIFEST,
    POLICY,
    FileEntry,
    Manifest,
    bytes_from_manifest,
    canonical_json,
    manifest_from_bytes,
    manifest_of,
)
from dspctl.runtime.parity import Golden, Parity
from dspctl.runtime.policy import Policy
from dspctl.runtime.policy_file import policy_from_bytes
from dspctl.runtime.strict_json import fields_from_json

__all__ = [
    "GOLDEN",
    "MANIFEST",
    "ONNX",
    "PARITY",
    "POLICY",
    "Bundle",
    "Manifest",
    "bytes_from_golden",
    "bytes_from_parity",
    "open_bundle",
    "write_bundle",
]

ONNX = "policy.onnx"
GOLDEN = "golden.safetensors"
PARITY = "parity.json"

_MANIFEST_LIMIT_BYTES = 1 << 20


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

    @cached_property
    def golden(self) -> Golden | None:
        """The golden vectors, if there are any."""
        data = self.data.get(GOLDEN)
        return None if data is None else _golden_from_bytes(data, self.policy)

    @cached_property
    def parity(self) -> tuple[Parity, ...]:
        """What was measured at export."""
        data = self.data.get(PARITY)
        return () if data is None else _parity_from_bytes(data)

    @property
    def size_bytes(self) -> int:
        """All listed files together."""
        return sum(len(data) for data in self.data.values())


def write_bundle(
    folder: Path,
    files: Mapping[str, bytes],
    *,
    target: str,
    environment: str,
    version: str,
    tools: Mapping[str, str],
) -> Manifest:
    """Fill an empty *folder* (see `files.new_folder`); the same input gives the same bytes.

    Raises:
        WriteFailed: the disk is full or the folder cannot be written.
    """
    manifest = manifest_of(
        files, target=target, environment=environment, version=version, tools=tools
    )
    for name, data in files.items():
        write_bytes(folder / name, data)
    write_bytes(folder / MANIFEST, bytes_from_manifest(manifest))
    return manifest


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
        _ = bundle.golden, bundle.parity
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
    if policy.environment != manifest.environment:
        raise ValueError(
            f"{MANIFEST} names the environment {manifest.environment!r}, the policy "
            f"{policy.environment!r}"
        )
    return Bundle(path, manifest, data, policy)


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


def bytes_from_golden(golden: Golden) -> bytes:
    """The golden vectors' file."""
    tensors: dict[str, NDArray[Any]] = {
        "observations": np.ascontiguousarray(golden.observations, np.float32),
        "outputs": np.ascontiguousarray(golden.outputs, np.float64),
        "actions": np.ascontiguousarray(golden.actions),
    }
    return bytes_from_tensors(tensors)


def _golden_from_bytes(data: bytes, policy: Policy) -> Golden:
    try:
        tensors = tensors_from_bytes(data)
    except (SafetensorError, KeyError) as error:
        raise ValueError(f"{GOLDEN} is not a safetensors file ({error})") from error
    found = {name: (tensor.dtype.name, tensor.shape) for name, tensor in tensors.items()}
    rows = tensors["observations"].shape[:1] if "observations" in tensors else ()
    width = policy.layers[-1].width
    wanted = {
        "observations": ("float32", (*rows, policy.observation.size)),
        "outputs": ("float64", (*rows, width)),
        "actions": ("int64", rows) if policy.action.discrete else ("float32", (*rows, width)),
    }
    if found != wanted or rows == (0,) or not rows:
        raise ValueError(f"{GOLDEN} holds {found}, but this policy needs {wanted}")
    if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
        raise ValueError(f"{GOLDEN} holds a NaN or infinity")
    return Golden(tensors["observations"], tensors["outputs"], tensors["actions"])


def bytes_from_parity(records: Sequence[Parity]) -> bytes:
    """The parity report's file."""
    return canonical_json({"backends": [record.to_json() for record in records]})


def _parity_from_bytes(data: bytes) -> tuple[Parity, ...]:
    fields = fields_from_json(data, PARITY)
    records = fields.take("backends")
    fields.finish()
    if not isinstance(records, list):
        raise ValueError(f"{PARITY}: 'backends' is not a list")
    return tuple(Parity.from_json(record) for record in records)
