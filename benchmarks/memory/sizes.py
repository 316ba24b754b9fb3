"""What compiled code and a TensorRT plan occupy, as their own reports say."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dspctl.errors import BundleFormat, EngineMismatch
from dspctl.runtime.bundle import NATIVE, ONNX, ONNX_FP16, Bundle, open_bundle
from dspctl.runtime.strict_json import Fields, fields_from_json
from dspctl.runtime.tensorrt.stamp import (
    FLAVORS,
    PLAN,
    PRECISIONS,
    RTX_FOLDER,
    EngineStamp,
    engine_folder,
    plan_and_stamp,
    read_engine,
)

BUILD, COMMAND = "build.json", "policy"
_GRAPHS = {"fp32": ONNX, "fp16": ONNX_FP16}  # an int8 plan's graph is not in the bundle
_RUN_PRECISION = "fp32"  # of the plan that the tensorrt backend opens


@dataclass(frozen=True)
class CodeSize:
    """One target's native code.

    Attributes:
        label: the subject.
        target: the folder under ``native/``.
        flash_bytes: code and constants of the library.
        ram_bytes: variables that it keeps between calls.
        stack_bytes: the most that one call needs, by the compiler; None where it does not tell.
        library_bytes: the shared library's file; None where there is none (microcontrollers).
        command_bytes: the static program's file; None where there is none.
    """

    label: str
    target: str
    flash_bytes: int
    ram_bytes: int
    stack_bytes: int | None
    library_bytes: int | None
    command_bytes: int | None


@dataclass(frozen=True)
class PlanSize:
    """One TensorRT plan.

    Attributes:
        label: the subject.
        flavor: ``tensorrt``, or ``rtx`` for TensorRT-RTX.
        precision: such as ``fp32``.
        plan_bytes: the serialised plan.
        device_memory_bytes: what its execution context needs on the GPU; None where no GPU could
            be asked.
    """

    label: str
    flavor: str
    precision: str
    plan_bytes: int
    device_memory_bytes: int | None


def code_sizes(path: Path, label: str) -> tuple[CodeSize, ...]:
    """Sizes of a bundle's native code, by target; none for a policy file.

    Args:
        path: the bundle folder.
        label: the subject.

    Raises:
        BundleProblem: the bundle cannot be used, or a build's report lacks a figure.
    """
    if not path.is_dir():
        return ()
    bundle = open_bundle(path)
    return tuple(_code(bundle, target, label) for target in sorted(bundle.manifest.builds))


def plan_sizes(
    path: Path, label: str, device_memory_bytes: int | None = None
) -> tuple[PlanSize, ...]:
    """Sizes of the TensorRT plans beside a bundle and inside it; none for a policy file.

    Args:
        path: the bundle folder.
        label: the subject.
        device_memory_bytes: what the ``tensorrt`` backend's plan needs on this machine's GPU;
            None where it did not run. It is noted at that plan alone.

    Raises:
        EngineMismatch: a plan is damaged, or was built from another graph than the bundle's.
        BundleProblem: the bundle cannot be used.
    """
    if not path.is_dir():
        return ()
    sizes = []
    run = False  # the first float32 plan is the one that the backend opens
    for plan, stamp in _plans(open_bundle(path)):
        opened = stamp.precision == _RUN_PRECISION and not run
        run = run or opened
        memory = device_memory_bytes if opened else None
        sizes.append(PlanSize(label, stamp.flavor, stamp.precision, len(plan), memory))
    return tuple(sizes)


def _code(bundle: Bundle, target: str, label: str) -> CodeSize:
    folder = f"{NATIVE}/{target}"
    name = f"{folder}/{BUILD}"
    if name not in bundle.data:
        raise BundleFormat(f"{bundle.path} lacks {name}: export the policy again")
    try:
        report = fields_from_json(bundle.data[name], name)
        if report.text("target") != target:
            raise ValueError(f"{name} is of another target")
        size, stack = report.fields("size"), report.fields("stack")
        return CodeSize(
            label=label,
            target=target,
            flash_bytes=_count(size, "flash_bytes", name),
            ram_bytes=_count(size, "data_bytes", name) + _count(size, "bss_bytes", name),
            stack_bytes=_count_or_none(stack, "measured_bytes", name),
            library_bytes=_file_bytes(bundle, f"{folder}/lib{bundle.manifest.name}.so"),
            command_bytes=_file_bytes(bundle, f"{folder}/{COMMAND}"),
        )
    except ValueError as error:
        raise BundleFormat(f"{bundle.path}: {error}: export the policy again") from error


def _count(fields: Fields, key: str, name: str) -> int:
    value = fields.integer(key)
    if value < 0:
        raise ValueError(f"{name}: '{key}' is {value}, below 0")
    return value


def _count_or_none(fields: Fields, key: str, name: str) -> int | None:
    """None for ``null``, which is how a report says that the compiler does not tell."""
    value = fields.number_or_none(key)
    if value is None:
        return None
    if value < 0 or value != int(value):
        raise ValueError(f"{name}: '{key}' is {value:g}, no number of bytes")
    return int(value)


def _file_bytes(bundle: Bundle, name: str) -> int | None:
    listed = bundle.manifest.files.get(name)
    return None if listed is None else listed.size_bytes


def _plans(bundle: Bundle) -> Iterator[tuple[bytes, EngineStamp]]:
    """Every plan with its stamp, in the order in which the backend looks for them."""
    for flavor in FLAVORS:
        for precision in PRECISIONS:
            folder = engine_folder(bundle.path, flavor, precision)
            if folder.is_dir():
                plan, stamp = read_engine(folder)
                _check(bundle, stamp, folder.name, flavor, precision)
                yield plan, stamp
    inside = {
        name.removeprefix(f"{RTX_FOLDER}/"): data
        for name, data in bundle.data.items()
        if name.startswith(f"{RTX_FOLDER}/")
    }
    if PLAN in inside:
        plan, stamp = plan_and_stamp(inside, RTX_FOLDER)
        _check(bundle, stamp, RTX_FOLDER, "rtx", stamp.precision)
        yield plan, stamp


def _check(bundle: Bundle, stamp: EngineStamp, name: str, flavor: str, precision: str) -> None:
    """Refuse a plan of another kind, or of an earlier export: its size is not this policy's."""
    graph = bundle.data.get(_GRAPHS.get(stamp.precision, ""))
    if (stamp.flavor, stamp.precision) != (flavor, precision):
        wrong = f"holds a plan of {stamp.flavor} in {stamp.precision}"
    elif graph is not None and hashlib.sha256(graph).hexdigest() != stamp.onnx_sha256:
        wrong = "holds a plan that was built from another graph than this bundle's"
    else:
        return
    raise EngineMismatch(f"{name} {wrong}: build it again with  dspctl engine build BUNDLE --force")
