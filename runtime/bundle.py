"""A bundle: the folder that goes to the vehicle. No other module knows its keys.

The manifest lists every file with its size and SHA-256, and carries a digest of itself, so that a
bundle with one flipped bit is refused. That is integrity, not authenticity: whoever can rewrite
the files can rewrite the digests. The format is described in ``docs/bundle.md``.
"""

import hashlib
import json
import re
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
from dspctl.runtime.parity import Golden, Parity
from dspctl.runtime.policy import Policy
from dspctl.runtime.policy_file import policy_from_bytes
from dspctl.runtime.strict_json import Fields, fields_from_json, value_from_json

SCHEMA = 1
MANIFEST = "manifest.json"
POLICY = "policy.safetensors"
ONNX = "policy.onnx"
GOLDEN = "golden.safetensors"
PARITY = "parity.json"

_DIGEST = "manifest_sha256"
_MANIFEST_LIMIT_BYTES = 1 << 20
# Plain relative names: no leading dot, no "..", no drive, nothing that a shell would expand.
_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class FileEntry:
    """What the manifest says of one file."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Manifest:
    """What a bundle is and what it consists of.

    Attributes:
        name: derived from the contents: environment, target and the policy's digest.
        target: the export target it was made for.
        environment: the environment id the policy was trained in.
        dspctl: the version that wrote it.
        tools: versions of the packages that took part.
        files: every file but the manifest, by its path inside the bundle.
    """

    name: str
    target: str
    environment: str
    dspctl: str
    tools: Mapping[str, str]
    files: Mapping[str, FileEntry]

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values, with the schema and without the digest."""
        return {
            "schema": SCHEMA,
            "name": self.name,
            "target": self.target,
            "environment": self.environment,
            "dspctl": self.dspctl,
            "tools": dict(self.tools),
            "files": {
                name: {"sha256": entry.sha256, "size_bytes": entry.size_bytes}
                for name, entry in self.files.items()
            },
        }


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
    entries = {
        name: FileEntry(hashlib.sha256(files[name]).hexdigest(), len(files[name]))
        for name in sorted(files)
    }
    slug = re.sub(r"[^a-z0-9]+", "-", environment.lower()).strip("-")
    manifest = Manifest(
        name=f"{slug}-{target}-{entries[POLICY].sha256[:8]}",
        target=target,
        environment=environment,
        dspctl=version,
        tools=tools,
        files=entries,
    )
    for name, data in files.items():
        write_bytes(folder / name, data)
    write_bytes(folder / MANIFEST, _bytes_from_manifest(manifest))
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
    manifest = _manifest_from_bytes((path / MANIFEST).read_bytes())
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


def _bytes_from_manifest(manifest: Manifest) -> bytes:
    value = manifest.to_json()
    digest = hashlib.sha256(_canonical(value)).hexdigest()
    return _canonical({**value, _DIGEST: digest})


def _manifest_from_bytes(data: bytes) -> Manifest:
    value = value_from_json(data, MANIFEST)
    fields = Fields(value, MANIFEST)
    schema = fields.integer("schema")
    if schema != SCHEMA:
        raise BundleFormat(
            f"bundle schema {schema}, but this dspctl reads {SCHEMA}: install the dspctl that "
            "wrote it, or export again"
        )
    digest = fields.text(_DIGEST)
    value = {key: entry for key, entry in value.items() if key != _DIGEST}
    if hashlib.sha256(_canonical(value)).hexdigest() != digest or data != _canonical(
        {**value, _DIGEST: digest}
    ):
        raise BundleTampered(
            f"{MANIFEST} is not the one that was exported: copy the bundle again, and do not use "
            "it before it verifies"
        )
    tools = fields.fields("tools")
    manifest = Manifest(
        name=fields.text("name"),
        target=fields.text("target"),
        environment=fields.text("environment"),
        dspctl=fields.text("dspctl"),
        tools={name: tools.text(name) for name in value["tools"]},
        files={
            name: _entry_from_json(name, entry) for name, entry in fields.entries("files").items()
        },
    )
    fields.finish()
    if POLICY not in manifest.files:
        raise ValueError(f"{MANIFEST} lists no {POLICY}")
    return manifest


def _entry_from_json(name: str, value: Any) -> FileEntry:
    if not _SAFE_NAME.fullmatch(name) or name == MANIFEST:
        raise ValueError(f"{MANIFEST} lists the unsafe file name {name!r}")
    fields = Fields(value, f"{MANIFEST}: {name}")
    entry = FileEntry(fields.text("sha256"), fields.integer("size_bytes"))
    fields.finish()
    if not _SHA256.fullmatch(entry.sha256) or entry.size_bytes < 0:
        raise ValueError(f"{MANIFEST}: {name} has no valid size and SHA-256")
    return entry


def _canonical(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()


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
    return _canonical({"backends": [record.to_json() for record in records]})


def _parity_from_bytes(data: bytes) -> tuple[Parity, ...]:
    fields = fields_from_json(data, PARITY)
    records = fields.take("backends")
    fields.finish()
    if not isinstance(records, list):
        raise ValueError(f"{PARITY}: 'backends' is not a list")
    return tuple(Parity.from_json(record) for record in records)
