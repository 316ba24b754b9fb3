"""A bundle's manifest: what it is, and the size and SHA-256 of every file in it.

It carries a digest of itself and is written in one exact form, so that one flipped bit in it, or
one changed space, is found. ``bundle.schema.json`` beside this module describes the form for
programs in other languages.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dspctl.runtime.bundle.specs import (
    ActionSpecification,
    ObservationSpecification,
    action_from_json,
    observation_from_json,
)
from dspctl.runtime.digest import sha256, sha256_of_parts
from dspctl.runtime.on_demand import errors
from dspctl.runtime.records import record
from dspctl.runtime.strict_json import Fields, value_from_json
from dspctl.runtime.untrusted import check_name

SCHEMA = 2
MANIFEST = "manifest.json"
SIGNATURES = "signatures.json"
"""Written after the manifest, about it; so the one file that is there and not listed."""

POLICY = "policy.safetensors"

MOST_FILES = 1000
LARGEST_FILE_BYTES = 1 << 30
LARGEST_BUNDLE_BYTES = 1 << 31
"""All files together: what opening a bundle may hold in memory."""

LARGEST_MANIFEST_BYTES = 1 << 20

_DIGEST = "manifest_sha256"
# Plain relative names: no leading dot, no "..", no drive, nothing that a shell would expand.
_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
_LONGEST_PATH = 200
_SHA256 = re.compile(r"[0-9a-f]{64}")
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,62}")
_VERSION = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){0,3}")
_WORD = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


@record(frozen=True)
class FileEntry:
    """What the manifest says of one file.

    Attributes:
        sha256: of its bytes, hex.
        size_bytes: their number.
        executable: it is a program. A copy may lose the mode; the bytes are what is verified.
    """

    sha256: str
    size_bytes: int
    executable: bool = False


@record(frozen=True)
class Build:
    """How the native code under ``native/TARGET/`` was made, and what may run it.

    Attributes:
        architecture: ``x86_64``, ``aarch64`` or ``thumb``.
        requires: processor features, as ``/proc/cpuinfo`` names them.
        compiler: name and version.
        flags: of the compiler, for the policy's source.
    """

    architecture: str
    requires: tuple[str, ...]
    compiler: str
    flags: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            "architecture": self.architecture,
            "requires": list(self.requires),
            "compiler": self.compiler,
            "flags": list(self.flags),
        }


@record(frozen=True)
class Manifest:
    """What a bundle is and what it consists of.

    Attributes:
        name: a C identifier: the prefix of the C functions and the name of the libraries.
        version: digits and dots; what a vehicle compares to roll back, see `version_key`.
        created: when the policy was made, if its lineage says so; never the time of the export,
            so that exporting again gives the same bytes.
        targets: the export targets it was made for.
        environment: the environment id the policy was trained in.
        observation: what goes in.
        action: what comes out.
        builds: the native code, by the folder under ``native/``.
        lineage: where the policy came from: run, masks, compaction.
        dspctl: the version that wrote it.
        tools: versions of the packages that took part.
        files: every file but the manifest and its signatures, by its path inside the bundle.
    """

    name: str
    version: str
    created: str | None
    targets: tuple[str, ...]
    environment: str
    observation: ObservationSpecification
    action: ActionSpecification
    builds: Mapping[str, Build]
    lineage: Mapping[str, Any]
    dspctl: str
    tools: Mapping[str, str]
    files: Mapping[str, FileEntry]

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values, with the schema and without the digest."""
        return {
            "schema": SCHEMA,
            "name": self.name,
            "version": self.version,
            "created": self.created,
            "targets": list(self.targets),
            "environment": self.environment,
            "observation": self.observation.to_json(),
            "action": self.action.to_json(),
            "builds": {target: build.to_json() for target, build in self.builds.items()},
            "lineage": dict(self.lineage),
            "dspctl": self.dspctl,
            "tools": dict(self.tools),
            "files": {
                name: {
                    "sha256": entry.sha256,
                    "size_bytes": entry.size_bytes,
                    "executable": entry.executable,
                }
                for name, entry in self.files.items()
            },
        }


def is_version(text: str) -> bool:
    """True for digits and dots, such as ``3`` or ``1.10``."""
    return _VERSION.fullmatch(text) is not None


def version_key(version: str) -> tuple[int, ...]:
    """What versions are compared by: ``1.10`` is later than ``1.9``."""
    return tuple(int(part) for part in version.split("."))


def created_from_lineage(lineage: Mapping[str, Any]) -> str | None:
    """The lineage's entry ``created`` where it is a time such as ``2025-01-31T12:00:00Z``."""
    created = lineage.get("created")
    return created if isinstance(created, str) and _TIME.fullmatch(created) else None


def canonical_json(value: dict[str, Any]) -> bytes:
    """JSON in the one form that bundles use."""
    return b"".join(_canonical_parts(value))


def _canonical_parts(value: dict[str, Any]) -> Iterator[bytes]:
    """`canonical_json` piece by piece: to compare with it, nobody has to hold it."""
    encoder = json.JSONEncoder(indent=2, sort_keys=True, allow_nan=False)
    for part in encoder.iterencode(value):
        yield part.encode()
    yield b"\n"


def _is_made_of(data: bytes, parts: Iterable[bytes]) -> bool:
    at = 0
    for part in parts:
        if not data.startswith(part, at):
            return False
        at += len(part)
    return at == len(data)


def bytes_from_manifest(manifest: Manifest) -> bytes:
    """The manifest's file.

    Raises:
        ValueError: it would not be read again: a name, version or number of files out of bounds.
    """
    value = manifest.to_json()
    digest = sha256(canonical_json(value))
    data = canonical_json({**value, _DIGEST: digest})
    manifest_from_bytes(data)
    return data


def manifest_from_bytes(data: bytes) -> Manifest:
    """Parse and verify a manifest.

    Raises:
        BundleFormat: another schema.
        BundleTampered: the digest does not fit.
        ValueError: anything else that is malformed.
    """
    if len(data) > LARGEST_MANIFEST_BYTES:
        raise ValueError(f"{MANIFEST} is too large to be one")
    value = value_from_json(data, MANIFEST)
    fields = Fields(value, MANIFEST)
    schema = fields.integer("schema")
    if schema != SCHEMA:
        raise errors.BundleFormat(
            f"bundle schema {schema}, but this dspctl reads {SCHEMA}: install the dspctl that "
            "wrote it, or export again"
        )
    digest = fields.text(_DIGEST)
    bare = {key: entry for key, entry in value.items() if key != _DIGEST}
    if sha256_of_parts(_canonical_parts(bare)) != digest or not _is_made_of(
        data, _canonical_parts(value)
    ):
        raise errors.BundleTampered(
            f"{MANIFEST} is not the one that was exported: copy the bundle again, and do not use "
            "it before it verifies"
        )
    tools = fields.entries("tools")
    manifest = Manifest(
        name=_matching(_IDENTIFIER, fields.text("name"), "name"),
        version=_matching(_VERSION, fields.text("version"), "version"),
        created=_created(fields.take("created")),
        targets=tuple(_matching(_WORD, each, "targets") for each in fields.texts("targets")),
        environment=fields.name("environment"),
        observation=observation_from_json(fields.fields("observation")),
        action=action_from_json(fields.fields("action")),
        builds={
            _matching(_WORD, target, "builds"): _build_from_json(Fields(entry, f"build {target}"))
            for target, entry in fields.entries("builds").items()
        },
        lineage=fields.entries("lineage"),
        dspctl=fields.name("dspctl"),
        tools={check_name(name, "'tools'"): Fields(tools, "'tools'").name(name) for name in tools},
        files={
            name: _entry_from_json(name, entry) for name, entry in fields.entries("files").items()
        },
    )
    fields.finish()
    if not manifest.targets or len(set(manifest.targets)) < len(manifest.targets):
        raise ValueError(f"{MANIFEST} lists no targets, or one of them twice")
    if POLICY not in manifest.files:
        raise ValueError(f"{MANIFEST} lists no {POLICY}")
    if len({name.lower() for name in manifest.files}) < len(manifest.files):
        raise ValueError(f"{MANIFEST} lists two files whose names differ in case alone")
    if len(manifest.files) > MOST_FILES:
        raise ValueError(f"{MANIFEST} lists more than {MOST_FILES} files")
    if sum(entry.size_bytes for entry in manifest.files.values()) > LARGEST_BUNDLE_BYTES:
        raise ValueError(f"{MANIFEST} lists more than {LARGEST_BUNDLE_BYTES} bytes")
    return manifest


def _matching(pattern: re.Pattern[str], text: str, field: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError(
            f"{MANIFEST}: {text[:80]!r} in '{field}' is not of the form {pattern.pattern}"
        )
    return text


def _created(value: Any) -> str | None:
    if value is not None and not (isinstance(value, str) and _TIME.fullmatch(value)):
        raise ValueError(f"{MANIFEST}: 'created' is neither null nor a time")
    return value


def _build_from_json(fields: Fields) -> Build:
    build = Build(
        architecture=fields.name("architecture"),
        requires=fields.names("requires"),
        compiler=fields.name("compiler"),
        flags=fields.names("flags"),
    )
    fields.finish()
    return build


def _entry_from_json(name: str, value: Any) -> FileEntry:
    own = name.lower() in (MANIFEST, SIGNATURES)
    if own or not _SAFE_NAME.fullmatch(name) or len(name) > _LONGEST_PATH:
        raise ValueError(f"{MANIFEST} lists the unsafe file name {name[:80]!r}")
    fields = Fields(value, f"{MANIFEST}: {name}")
    entry = FileEntry(
        fields.text("sha256"), fields.integer("size_bytes"), fields.boolean("executable")
    )
    fields.finish()
    if not _SHA256.fullmatch(entry.sha256) or not 0 <= entry.size_bytes <= LARGEST_FILE_BYTES:
        raise ValueError(f"{MANIFEST}: {name} has no valid size and SHA-256")
    return entry
