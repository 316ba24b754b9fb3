"""``export(policy, target, out)``: everything a target needs, in one verified folder."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl import __version__
from dspctl.errors import UnknownTarget
from dspctl.exporter.parity import Parity, check_parity, parity_observations
from dspctl.runtime.bundle import (
    GOLDEN,
    MANIFEST,
    ONNX,
    PARITY,
    POLICY,
    bytes_from_golden,
    bytes_from_parity,
    open_bundle,
    write_bundle,
)
from dspctl.runtime.files import check_output, new_folder
from dspctl.runtime.onnx_runner import OnnxRunner
from dspctl.runtime.parity import golden_from_policy
from dspctl.runtime.policy import Policy
from dspctl.runtime.policy_file import bytes_from_policy, policy_from_bytes
from dspctl.runtime.runner import Runner

_TOOLS = ("numpy", "onnx", "onnxruntime", "safetensors")
_GOLDEN_ROWS = 64
"""Recorded rows, and as many edge cases: enough to find a wrong build, small next to a policy."""

Recorded = NDArray[np.floating[Any]] | None


@dataclass(frozen=True)
class Part:
    """One kind of file in a bundle.

    Attributes:
        file: its name.
        write: makes its bytes from the policy and the recorded observations.
        run: opens it as a runner, whose parity is then checked; None for what does not run.
    """

    file: str
    write: Callable[[Policy, Recorded], bytes]
    run: Callable[[Policy, bytes], Runner] | None = None


@dataclass(frozen=True)
class Target:
    """What a bundle for one kind of machine consists of, besides the policy and its manifest."""

    summary: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Export:
    """What was exported.

    Attributes:
        path: the bundle folder.
        name: the bundle's name.
        target: one of `TARGETS`.
        files: size in bytes of every file, the manifest included.
        parity: one record per backend that was compared.
    """

    path: Path
    name: str
    target: str
    files: dict[str, int]
    parity: tuple[Parity, ...]

    @property
    def size_bytes(self) -> int:
        """All files together."""
        return sum(self.files.values())

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            "path": str(self.path),
            "name": self.name,
            "target": self.target,
            "size_bytes": self.size_bytes,
            "files": self.files,
            "parity": [record.to_json() for record in self.parity],
        }


def _write_onnx(policy: Policy, recorded: Recorded) -> bytes:
    from dspctl.exporter.onnx import bytes_from_model, onnx_from_policy

    return bytes_from_model(onnx_from_policy(policy))


def _write_golden(policy: Policy, recorded: Recorded) -> bytes:
    observations = parity_observations(
        policy, recorded, most_recorded=_GOLDEN_ROWS, most_edges=_GOLDEN_ROWS
    )
    return bytes_from_golden(golden_from_policy(policy, observations))


_ONNX = Part(ONNX, _write_onnx, OnnxRunner)
_GOLDEN = Part(GOLDEN, _write_golden)

# To add a target: the parts it needs, and one line here.
TARGETS: dict[str, Target] = {
    "onnx": Target("the ONNX graph, for any runtime that reads opset 17", (_ONNX,)),
    "cpu": Target("ONNX Runtime or NumPy on any CPU, with golden vectors", (_ONNX, _GOLDEN)),
}


def export(
    policy: Policy,
    target: str,
    out: Path,
    *,
    observations: NDArray[np.floating[Any]] | None = None,
    force: bool = False,
) -> Export:
    """Write *policy* as a bundle folder, after proving that what was written computes the same.

    The same policy, observations and package versions give the same bytes.

    Args:
        policy: what to export.
        target: one of `TARGETS`.
        out: the folder to write.
        observations: float [n, obs_dim], raw, recorded from episodes of this policy; they are
            compared in addition to edge cases.
        force: replace *out* if it is a bundle already.

    Raises:
        UnknownTarget: no such target.
        OutputExists: *out* exists and ``force`` is False, or it is no bundle.
        MissingExtra: onnx or onnxruntime is not installed.
        ObservationShape, ObservationNotFinite: *observations* do not fit the policy.
        PolicyProblem: the policy cannot be stored.
        NotEquivalent: an artefact computes something else; nothing is left behind.
        WriteFailed: the disk is full or the folder cannot be written.
    """
    if target not in TARGETS:
        raise UnknownTarget(f"there is no target {target!r}: choose {', '.join(TARGETS)}")
    check_output(out, force=force)  # before the work, not after
    data = bytes_from_policy(policy)
    stored = policy_from_bytes(data, name=POLICY)  # what the target gets, not what was in memory
    files = {POLICY: data}
    compared = parity_observations(stored, observations)
    parity = []
    for part in TARGETS[target].parts:
        files[part.file] = part.write(stored, observations)
        if part.run is not None:
            with part.run(stored, files[part.file]) as runner:
                parity.append(check_parity(runner, compared))
    files[PARITY] = bytes_from_parity(parity)
    with new_folder(out, force=force, marker=MANIFEST) as folder:
        manifest = write_bundle(
            folder,
            files,
            target=target,
            environment=policy.environment,
            version=__version__,
            tools=_tool_versions(),
        )
        open_bundle(folder)  # a bundle that cannot be opened must never be handed out
        sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    return Export(out, manifest.name, target, sizes, tuple(parity))


def _tool_versions() -> dict[str, str]:
    versions = {}
    for package in _TOOLS:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
