"""Making a bundle; reading one is in `dspctl.runtime.bundle.reading`."""

from collections.abc import Mapping
from pathlib import Path

from dspctl.runtime.bundle.manifest import (
    MANIFEST,
    Build,
    FileEntry,
    Manifest,
    bytes_from_manifest,
    created_from_lineage,
)
from dspctl.runtime.bundle.specs import action_specification, observation_specification
from dspctl.runtime.digest import sha256
from dspctl.runtime.files import write_bytes
from dspctl.runtime.policy import Policy

_EXECUTABLE, _PLAIN = 0o755, 0o644


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
            path: FileEntry(sha256(files[path]), len(files[path]), path in executables)
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
