"""Bundles on another machine: copied, and verified there by their own programs."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dspctl.benchmarks.remote.cache import Cache, Parcel
from dspctl.errors import (
    BackendUnavailable,
    BundleNotFound,
    BundleTampered,
    HostAnswer,
    UnknownTarget,
    WrongProcessor,
)
from dspctl.runtime.backends.native_library import choose_target
from dspctl.runtime.bundle import MANIFEST, POLICY, Manifest, open_bundle
from dspctl.runtime.bundle.manifest import LARGEST_MANIFEST_BYTES
from dspctl.runtime.machine import Machine
from dspctl.runtime.strict_json import fields_from_json
from dspctl.runtime.untrusted import read_bytes

_MOST_VALUES = 1 << 16
_VERIFY = """
cd "$1/$2/native/$3" || exit 126
exec ./policy verify --json
"""
_VERIFY_S = 120.0
_DIFFERENT, _NO_PROGRAM = 1, 126


@dataclass(frozen=True, eq=False)
class Packed:
    """A bundle, verified here and ready to be copied.

    Attributes:
        label: of the subject.
        path: the folder here.
        manifest: what it is.
        parcel: its files.
    """

    label: str
    path: Path
    manifest: Manifest
    parcel: Parcel


def pack(label: str, path: Path) -> Packed:
    """Read and verify a bundle.

    Raises:
        BundleNotFound: *path* is no folder: a policy file cannot run on a machine without dspctl.
        BundleProblem: it cannot be used.
    """
    if not path.is_dir():
        raise BundleNotFound(
            f"{path} is no bundle, and only bundles are copied to another machine: write one with  "
            f"dspctl export {path} --target NAME  first"
        )
    bundle = open_bundle(path)
    manifest = bundle.manifest
    try:
        description = read_bytes(path / MANIFEST, LARGEST_MANIFEST_BYTES, links=False)
        files = {name: bundle.data[name] for name in manifest.files}
    except (OSError, ValueError) as error:
        raise BundleTampered(
            f"{path}: {MANIFEST} changed while it was read: export or copy the bundle again"
        ) from error
    programs = frozenset(name for name, entry in manifest.files.items() if entry.executable)
    parcel = Parcel(
        hashlib.sha256(description).hexdigest(), {**files, MANIFEST: description}, programs
    )
    return Packed(label, path, manifest, parcel)


def program_target(bundle: Packed, processor: Machine, host: str) -> str:
    """The target in *bundle* whose program fits *processor* best.

    Raises:
        WrongProcessor: there is none; says which one to export.
    """
    programs = {
        target: b""
        for target in bundle.manifest.builds
        if f"native/{target}/policy" in bundle.parcel.files
    }
    try:
        return choose_target(bundle.manifest.builds, programs, processor)
    except BackendUnavailable as error:
        held = ", ".join(programs) or "none"
        raise WrongProcessor(
            f"'{bundle.label}' has no native code for {host} ({processor}), only for {held}: "
            f"{_advice(processor)}"
        ) from error


def verify(cache: Cache, bundle: Packed, target: str, host: str) -> None:
    """Let the bundle's own program replay the golden vectors on the other machine.

    Raises:
        BackendUnavailable: it does not run there, or computes something else there.
        HostAnswer: it did not say whether it passed.
    """
    done = cache.run(_VERIFY, bundle.parcel.name, target, timeout_s=_VERIFY_S)
    if done.code not in (0, _DIFFERENT):
        why = done.complaint or f"exit code {done.code}"
        hint = " (a cache folder that is mounted noexec?)" if done.code == _NO_PROGRAM else ""
        raise BackendUnavailable(
            f"the program of '{bundle.label}' for {target} does not run on {host}{hint}: {why}: "
            "set XDG_CACHE_HOME there to another folder, or export for an older processor"
        )
    try:
        report = fields_from_json(done.output, "its report", most_values=_MOST_VALUES)
        passed, policy = report.boolean("passed"), report.name("policy_sha256")
    except ValueError as error:
        raise HostAnswer(
            f"{host} did not say whether '{bundle.label}' computes there what it should: repeat "
            "the command"
        ) from error
    if passed is not True or policy != bundle.manifest.files[POLICY].sha256:
        raise BackendUnavailable(
            f"'{bundle.label}' does not compute on {host} what was exported: do not use it there, "
            f"and report this with the output of  policy verify  ({cache.root}/"
            f"{bundle.parcel.name}/native/{target})"
        )


def targets_of(bundles: Mapping[str, Packed], processor: Machine, host: str) -> dict[str, str]:
    """`program_target` of every bundle, by label."""
    return {label: program_target(one, processor, host) for label, one in bundles.items()}


def _advice(processor: Machine) -> str:
    from dspctl.exporter.native.targets import cpu_target

    if processor.board:
        return f"export with  --target {processor.board}"
    try:
        return f"export with  --target {cpu_target(processor).name}"
    except UnknownTarget:
        return "dspctl has no target for this kind of processor"
