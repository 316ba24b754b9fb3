"""``export(policy, targets, out)``: everything the targets need, in one verified folder."""

import hashlib
import math
import platform
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from pathlib import Path

from numpy.typing import ArrayLike

from dspctl import __version__
from dspctl.errors import InvalidRate, InvalidVersion
from dspctl.exporter.bom import BOM, bytes_from_bom
from dspctl.exporter.bundle_files import SHA256SUMS, Subject, bundle_files, checksums
from dspctl.exporter.c.names import check_identifier, identifier_from_environment
from dspctl.exporter.draft import Draft, Recorded
from dspctl.exporter.exported import Export, Progress
from dspctl.exporter.gate import GATE, Gate, GateResult, bytes_from_gate, run_gate
from dspctl.exporter.graphs import add_fp16, add_int8, add_onnx, add_recipe, add_rtx
from dspctl.exporter.native_parts import add_native, native_runner_here
from dspctl.exporter.parity import parity_observations
from dspctl.exporter.targets import Plan, plan_of
from dspctl.runtime.backends.onnx_runner import OnnxRunner
from dspctl.runtime.backends.runner import Runner
from dspctl.runtime.bundle import (
    GOLDEN,
    MANIFEST,
    ONNX,
    POLICY,
    Manifest,
    bytes_from_golden,
    manifest_of,
    open_bundle,
    write_bundle,
)
from dspctl.runtime.bundle.artefacts import PARITY, bytes_from_artefacts
from dspctl.runtime.bundle.manifest import is_version
from dspctl.runtime.files import check_output, new_folder
from dspctl.runtime.policy import Policy
from dspctl.runtime.policy.file import bytes_from_policy, policy_from_bytes
from dspctl.runtime.policy.guard import OnInvalid
from dspctl.runtime.policy.guarded import ValidRange, with_guard
from dspctl.runtime.reference.golden import golden_from_policy

_TOOLS = ("jinja2", "numpy", "onnx", "onnxruntime", "safetensors", "tensorrt-rtx", "ziglang")
_GOLDEN_ROWS = 64
"""Recorded rows, and as many edge cases: enough to find a wrong build, small next to a policy."""

OnProgress = Callable[[Progress], None]


def export(
    policy: Policy,
    targets: str | Sequence[str],
    out: Path,
    *,
    name: str | None = None,
    version: str = "1",
    observations: Recorded = None,
    strict: bool = False,
    on_invalid: OnInvalid | None = None,
    safe_action: ArrayLike | None = None,
    valid_range: ValidRange = "declared",
    rate_hz: float | None = None,
    flash_limit_bytes: int | None = None,
    int8: bool = False,
    gate: Gate | None = None,
    force: bool = False,
    on_progress: OnProgress | None = None,
) -> Export:
    """Write *policy* as a bundle folder, after proving that what was written computes the same.

    The same policy, arguments, package and compiler versions give the same bytes on the same kind
    of machine; a TensorRT-RTX plan alone may differ.

    Args:
        policy: what to export.
        targets: one or several of `TARGETS`.
        out: the folder to write.
        name: prefix of the C functions; None makes it from the environment id.
        version: digits and dots, for the vehicle to compare.
        observations: float [n, obs_dim], raw, recorded from episodes of this policy; they are
            compared in addition to edge cases, and calibrate int8.
        strict: native code gives the same bits on every target, and is a little slower.
        on_invalid: what invalid observations do, see `dspctl.runtime.policy.guard`. None, without a
            *safe_action*, keeps the policy's own rule.
        safe_action: see `with_guard`.
        valid_range: see `with_guard`.
        rate_hz: control steps per second, told in the manifest; None where nobody knows.
        flash_limit_bytes: refuse a microcontroller's library that is larger.
        int8: add an int8 graph; needs *observations*.
        gate: episodes that the artefact has to play first; None for none.
        force: replace *out* if it is a bundle already.
        on_progress: called before every part, and at the end.

    Raises:
        UnknownTarget, InvalidName, InvalidVersion, InvalidRate, UnknownInvalidMode,
        InvalidSafeAction: an argument cannot be used.
        OutputExists: *out* exists and ``force`` is False, or it is no bundle.
        MissingExtra, NativeBuildProblem: a package or compiler is not installed, or refused.
        ObservationShape, ObservationNotFinite, CalibrationMissing: *observations* do not serve.
        PolicyProblem: the policy cannot be stored.
        TargetTooSmall: it does not fit the flash.
        NotEquivalent: an artefact computes something else.
        GateFailed: the artefact earns less than the policy.
        WriteFailed: the disk is full or the folder cannot be written.

    Whatever is raised, *out* is as it was before.
    """
    plan = plan_of(targets)
    name = identifier_from_environment(policy.environment) if name is None else name
    check_identifier(name)
    _check_numbers(version, rate_hz)
    check_output(out, force=force)  # before the work, not after
    if on_invalid is not None or safe_action is not None:
        mode = on_invalid or policy.guard.on_invalid
        policy = with_guard(policy, mode, safe_action, valid_range, observations)
    draft = _draft(policy, name, observations, strict=strict)

    steps = _steps(draft, plan, flash_limit_bytes=flash_limit_bytes, int8=int8)
    total = len(steps) + (gate is not None) + 1
    report = on_progress or _silent
    for index, (part, make) in enumerate(steps):
        report(Progress(index, total, part))
        make()
    played = None
    if gate is not None:
        played = _play(draft, gate, lambda part: report(Progress(len(steps), total, part)))
        draft.add({GATE: bytes_from_gate(played)})
    report(Progress(total - 1, total, "writing"))
    manifest = _write(draft, plan, out, version=version, rate_hz=rate_hz, force=force)
    report(Progress(total, total, "done"))
    return Export(out, manifest, tuple(draft.artefacts), played, dict(draft.footprints))


def _check_numbers(version: str, rate_hz: float | None) -> None:
    if not is_version(version):
        raise InvalidVersion(
            f"the version {version!r} is not made of digits and dots: use one such as 3 or 1.10, "
            "so that a vehicle can tell which of two is later"
        )
    if rate_hz is not None and not (math.isfinite(rate_hz) and rate_hz > 0):
        raise InvalidRate(f"a rate of {rate_hz} Hz cannot be kept: give a positive number")


def _draft(policy: Policy, name: str, observations: Recorded, *, strict: bool) -> Draft:
    data = bytes_from_policy(policy)
    stored = policy_from_bytes(data, name=POLICY)  # what the target gets, not what was in memory
    golden = golden_from_policy(
        stored,
        parity_observations(
            stored, observations, most_recorded=_GOLDEN_ROWS, most_edges=_GOLDEN_ROWS
        ),
    )
    compared = golden_from_policy(stored, parity_observations(stored, observations))
    draft = Draft(stored, name, strict, observations, golden, compared)
    draft.add({POLICY: data, GOLDEN: bytes_from_golden(golden)})
    return draft


def _steps(
    draft: Draft, plan: Plan, *, flash_limit_bytes: int | None, int8: bool
) -> list[tuple[str, Callable[[], None]]]:
    """What has to be made, in order, each with its name."""
    native = partial(add_native, draft, plan.native, flash_limit_bytes=flash_limit_bytes)
    built = ", ".join(target.name for target in plan.native)
    steps: list[tuple[bool, str, Callable[[], None]]] = [
        (True, "ONNX graph", partial(add_onnx, draft)),
        (plan.fp16, "fp16 graph", partial(add_fp16, draft)),
        (int8, "int8 graph", partial(add_int8, draft)),
        (plan.recipe, "TensorRT recipe", partial(add_recipe, draft)),
        (plan.rtx, "TensorRT-RTX plan", partial(add_rtx, draft)),
        (bool(plan.native), f"native code for {built}", native),
    ]
    return [(part, make) for wanted, part, make in steps if wanted]


def _play(draft: Draft, gate: Gate, report: Callable[[str], None]) -> GateResult:
    """Let the artefact that a vehicle of this kind would use play."""
    found = native_runner_here(draft)
    path: str
    runner: Runner
    if found is None:
        path, runner = ONNX, OnnxRunner(draft.policy, draft.files[ONNX])
    else:
        path, runner = found
    with runner:
        return run_gate(
            gate,
            draft.policy,
            runner,
            path,
            lambda done, total: report(f"{path} plays {gate.environment}: {done} of {total}"),
        )


def _write(
    draft: Draft, plan: Plan, out: Path, *, version: str, rate_hz: float | None, force: bool
) -> Manifest:
    draft.add({PARITY: bytes_from_artefacts(draft.artefacts)})
    subject = Subject(
        policy=draft.policy,
        name=draft.name,
        version=version,
        targets=plan.targets,
        sha256=hashlib.sha256(draft.files[POLICY]).hexdigest(),
        builds=draft.builds,
        rate_hz=rate_hz,
        strict=draft.strict,
        golden=len(draft.golden.observations),
    )
    tools = _tool_versions()
    libc = " ".join(platform.libc_ver()).strip()
    bom = bytes_from_bom(draft, version=version, targets=plan.targets, tools=tools, libc=libc)
    draft.add({BOM: bom})
    draft.add(bundle_files(subject, frozenset(draft.files)))
    draft.add({SHA256SUMS: checksums(draft.files)})
    manifest = manifest_of(
        draft.policy,
        draft.files,
        name=draft.name,
        version=version,
        targets=plan.targets,
        rate_hz=rate_hz,
        builds=draft.builds,
        dspctl=__version__,
        tools=tools,
        executables=frozenset(draft.executables),
    )
    with new_folder(out, force=force, marker=MANIFEST) as folder:
        write_bundle(folder, manifest, draft.files)
        open_bundle(folder)  # a bundle that cannot be opened must never be handed out
    return manifest


def _tool_versions() -> dict[str, str]:
    versions = {}
    for package in _TOOLS:
        try:
            versions[package] = version_of(package)
        except PackageNotFoundError:
            continue
    return versions


def _silent(progress: Progress) -> None:
    return
