"""The stamp beside a TensorRT plan: what it was built with, and the refusal of a plan that differs.

A plan runs only on the kind of GPU, with the TensorRT and (on a Jetson) the system release that it
was built for, and TensorRT itself notices only some of the differences. So every plan lies beside a
``stamp.json``, which is compared with the machine *before* the plan is deserialised.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from dspctl.errors import EngineMismatch
from dspctl.runtime.strict_json import fields_from_json, shown_names
from dspctl.runtime.untrusted import read_bytes

Flavor = Literal["tensorrt", "rtx"]
FLAVORS: tuple[str, ...] = get_args(Flavor)
Precision = Literal["fp32", "fp16", "int8"]
PRECISIONS: tuple[str, ...] = get_args(Precision)

PLAN, STAMP, TIMING_CACHE = "policy.plan", "stamp.json", "timing.cache"
RTX_FOLDER = "tensorrt-rtx"
"""Folder inside a bundle of target ``rtx``, whose plan needs no GPU to be built."""

SCHEMA = 1
_SHA256 = re.compile(r"[0-9a-f]{64}")
_VERSION = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){1,7}")
_MOST_CAPABILITIES = 64
_LARGEST_PLAN_BYTES, _LARGEST_STAMP_BYTES = 1 << 30, 1 << 16
_VERSION_PARTS = 3
"""Major, minor and patch: what ``trtexec`` prints of a version, and what a plan is tied to."""


@dataclass(frozen=True)
class EngineStamp:
    """What a plan was built from and for.

    Attributes:
        flavor: ``tensorrt``, or ``rtx`` for TensorRT-RTX.
        tensorrt: version of the library that built it, such as ``10.3.0.30``.
        compute_capabilities: of the GPUs it serves, such as ``8.7``: one for ``tensorrt``.
        l4t: release of the Jetson's system, such as ``36.4.3``; None where it is no Jetson.
        platform: operating system and processor, such as ``linux-aarch64``.
        precision: ``fp32``, ``fp16`` or ``int8``.
        onnx_sha256: of the graph it was built from.
        plan_sha256: of the plan itself.
    """

    flavor: Flavor
    tensorrt: str
    compute_capabilities: tuple[str, ...]
    l4t: str | None
    platform: str
    precision: Precision
    onnx_sha256: str
    plan_sha256: str

    def __post_init__(self) -> None:
        versions = (self.tensorrt, *self.compute_capabilities, *([self.l4t] if self.l4t else []))
        wrong = [text for text in versions if not _VERSION.fullmatch(text)]
        if wrong or not self.compute_capabilities:
            raise ValueError(f"{shown_names(wrong) if wrong else 'an empty list'} is no version")
        if len(self.compute_capabilities) > _MOST_CAPABILITIES:
            raise ValueError("it lists more kinds of GPUs than there are")
        if self.flavor not in FLAVORS or self.precision not in PRECISIONS:
            raise ValueError(f"{self.flavor[:80]!r} and {self.precision[:80]!r} are not known")
        if not (_SHA256.fullmatch(self.onnx_sha256) and _SHA256.fullmatch(self.plan_sha256)):
            raise ValueError("a SHA-256 has 64 hexadecimal digits")


@dataclass(frozen=True)
class EngineMachine:
    """The machine as far as a plan is tied to it; the fields are those of `EngineStamp`."""

    tensorrt: str
    compute_capability: str
    l4t: str | None
    platform: str


def bytes_from_stamp(stamp: EngineStamp) -> bytes:
    """The stamp's file; the same stamp gives the same bytes."""
    return (json.dumps({"schema": SCHEMA, **asdict(stamp)}, indent=2) + "\n").encode()


def stamp_from_bytes(data: bytes, name: str = STAMP) -> EngineStamp:
    """Read a stamp.

    Raises:
        EngineMismatch: it is not one that this dspctl reads; *name* is what to call it.
    """
    try:
        fields = fields_from_json(data, name)
        schema = fields.integer("schema")
        if schema != SCHEMA:
            raise ValueError(f"it has schema {schema}, this dspctl reads {SCHEMA}")
        l4t = fields.take("l4t")
        if l4t is not None and not isinstance(l4t, str):
            raise ValueError("'l4t' must be a string or null")
        texts = {
            key: fields.name(key) for key in ("tensorrt", "platform", "onnx_sha256", "plan_sha256")
        }
        stamp = EngineStamp(
            flavor=fields.name("flavor"),  # type: ignore[arg-type]  # checked on construction
            precision=fields.name("precision"),  # type: ignore[arg-type]
            compute_capabilities=fields.texts("compute_capabilities"),
            l4t=l4t,
            **texts,
        )
        fields.finish()
    except ValueError as error:
        raise EngineMismatch(f"{name} is no stamp of a plan ({error}): {_REBUILD}") from error
    return stamp


def check_stamp(
    stamp: EngineStamp, machine: EngineMachine, *, onnx: bytes | None = None, command: str = ""
) -> None:
    """Refuse a plan that was built for another machine or from another graph.

    Args:
        stamp: the plan's.
        machine: where it shall run.
        onnx: the graph that it should have been built from; None to leave that out.
        command: what builds it anew, for the message.

    Raises:
        EngineMismatch: says every difference, and the command.
    """
    name = "TensorRT-RTX" if stamp.flavor == "rtx" else "TensorRT"
    built, here = _parts(stamp.tensorrt), _parts(machine.tensorrt)
    differences = []
    if built != here:
        differences.append(f"{name} {stamp.tensorrt}, but here is {machine.tensorrt}")
    if machine.compute_capability not in stamp.compute_capabilities:
        differences.append(
            f"GPUs of compute capability {', '.join(stamp.compute_capabilities)}, but this one "
            f"has {machine.compute_capability}"
        )
    if stamp.l4t != machine.l4t:
        differences.append(f"L4T {stamp.l4t or 'none'}, but here is {machine.l4t or 'none'}")
    if stamp.platform != machine.platform:
        differences.append(f"{stamp.platform}, but this is {machine.platform}")
    if differences:
        raise EngineMismatch(
            f"the plan was built for {'; for '.join(differences)}: {_rebuild(command)}"
        )
    if onnx is not None and hashlib.sha256(onnx).hexdigest() != stamp.onnx_sha256:
        raise EngineMismatch(
            f"the plan was built from another graph than this bundle's: {_rebuild(command)}"
        )


def check_plan(stamp: EngineStamp, plan: bytes, *, command: str = "") -> None:
    """Refuse a plan that is not the one its stamp describes.

    Raises:
        EngineMismatch: the SHA-256 differs.
    """
    if hashlib.sha256(plan).hexdigest() != stamp.plan_sha256:
        raise EngineMismatch(
            f"the plan is not the one that its stamp describes: {_rebuild(command)}"
        )


def engine_folder(bundle: Path, flavor: str, precision: str) -> Path:
    """Where the plan for a bundle lies: beside it, because a bundle's files are fixed.

    Beside the bundle that a link leads to, as `open_bundle` follows it: a deployment's ``current``
    leads to another one tomorrow, and the plan must not be taken for that one's.
    """
    bundle = bundle.resolve() if bundle.is_symlink() else bundle.absolute()
    return bundle.with_name(f"{bundle.name}.engines") / f"{flavor}-{precision}"


def plan_and_stamp(files: Mapping[str, bytes], name: str) -> tuple[bytes, EngineStamp]:
    """The plan and its stamp out of *files*, which hold `PLAN` and `STAMP`; *name* is the folder's.

    Raises:
        EngineMismatch: one is missing or malformed, or they do not belong together.
    """
    missing = [each for each in (PLAN, STAMP) if each not in files]
    if missing:
        raise EngineMismatch(f"{name} holds no {' and no '.join(missing)}: {_REBUILD}")
    stamp = stamp_from_bytes(files[STAMP], f"{name}/{STAMP}")
    check_plan(stamp, files[PLAN])
    return files[PLAN], stamp


def read_engine(folder: Path) -> tuple[bytes, EngineStamp]:
    """The plan and stamp in *folder*. Raises EngineMismatch as `plan_and_stamp`."""
    limits = {STAMP: _LARGEST_STAMP_BYTES, PLAN: _LARGEST_PLAN_BYTES}
    try:
        files = {
            name: read_bytes(folder / name, most_bytes, links=False)
            for name, most_bytes in limits.items()
            if os.path.lexists(folder / name)
        }
    except OSError as error:
        raise EngineMismatch(
            f"{error.filename or folder} cannot be read ({error.strerror or error}): {_REBUILD}"
        ) from error
    except ValueError as error:
        raise EngineMismatch(f"{folder} holds no plan ({error}): {_REBUILD}") from error
    return plan_and_stamp(files, str(folder))


_REBUILD = "build it again with  dspctl engine build BUNDLE --force"


def _rebuild(command: str) -> str:
    return f"build it on this machine with  {command}" if command else _REBUILD


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:_VERSION_PARTS])
