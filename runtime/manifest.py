"""A bundle's manifest: what it is, and the size and SHA-256 of every file in it.

It carries a digest of itself and is written in one exact form, so that one flipped bit in it, or
one changed space, is found.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dspctl.errors import BundleFormat, BundleTampered
from dspctl.runtime.strict_json import Fields, value_from_json

SCHEMA = 1
MANIFEST = "manifest.json"
POLICY = "policy.safetensors"

_DIGEST = "manifest_sha256"
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


def manifest_of(
    files: Mapping[str, bytes],
    *,
    target: str,
    environment: str,
    version: str,
    tools: Mapping[str, str],
) -> Manifest:
    """The manifest of *files*, named after what is in them."""
    entries = {
        name: FileEntry(hashlib.sha256(files[name]).hexdigest(), len(files[name]))
        for name in sorted(files)
    }
    slug = re.sub(r"[^a-z0-9]+", "-", environment.lower()).strip("-")
    return Manifest(
        name=f"{slug}-{target}-{entries[POLICY].sha256[:8]}",
        target=target,
        environment=environment,
        dspctl=version,
        tools=tools,
        files=entries,
    )


def canonical_json(value: dict[str, Any]) -> bytes:
    """JSON in the one form that bundles use."""
    return (json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()


def bytes_from_manifest(manifest: Manifest) -> bytes:
    """The manifest's file."""
    value = manifest.to_json()
    digest = hashlib.sha256(canonical_json(value)).hexdigest()
    return canonical_json({**value, _DIGEST: digest})


def manifest_from_bytes(data: bytes) -> Manifest:
    """Parse and verify a manifest.

    Raises:
        BundleFormat: another schema.
        BundleTampered: the digest does not fit.
        ValueError: anything else that is malformed.
    """
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
    if hashlib.sha256(canonical_json(value)).hexdigest() != digest or data != canonical_json(
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
