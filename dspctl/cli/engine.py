"""``dspctl engine``: TensorRT plans, built on the kind of machine that runs them."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from dspctl.cli import show
from dspctl.errors import BackendUnavailable, MissingExtra, NotEquivalent, UnsupportedPrecision

if TYPE_CHECKING:
    from dspctl.exporter.tensorrt import Engine
    from dspctl.runtime.bundle import Bundle
    from dspctl.runtime.reference.parity import Parity
    from dspctl.runtime.tensorrt.stamp import EngineStamp, Precision

_LARGEST_CACHE_BYTES = 1 << 28

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    help="Build and look into TensorRT plans.",
)


@app.command("build")
def build(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The bundle to build for.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FOLDER", help="Plan folder; beside the bundle if not given."
        ),
    ] = None,
    precision: Annotated[
        str, typer.Option("--precision", metavar="fp32|fp16|int8", help="Which of its graphs.")
    ] = "fp32",
    flavor: Annotated[
        str, typer.Option("--flavor", metavar="tensorrt|rtx", help="Which TensorRT.")
    ] = "tensorrt",
    force: Annotated[bool, typer.Option("--force", help="Replace the plan.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the stamp as JSON.")] = False,
) -> None:
    """Build the plan of a bundle on this machine, stamp it, and compare it with the reference.

    The bundle itself stays as it is. Where nothing here can run the plan, as without a GPU, it is
    written all the same and compared when it is loaded.
    """
    from dspctl.exporter.tensorrt import engine_from_onnx
    from dspctl.runtime.bundle import open_bundle
    from dspctl.runtime.files import check_output, new_folder
    from dspctl.runtime.tensorrt.stamp import STAMP, TIMING_CACHE, engine_folder

    opened = open_bundle(bundle)
    model = _graph(opened, precision)
    folder = output or engine_folder(opened.path, _flavor(flavor), precision)
    check_output(folder, force=force)
    engine = engine_from_onnx(
        model,
        flavor=_flavor(flavor),
        precision=cast("Precision", precision),  # _graph refused any other
        timing_cache=_timing_cache(folder / TIMING_CACHE),
    )
    parity, unrun = _compared(opened, engine)
    with new_folder(folder, force=force, marker=STAMP) as new:
        _write(new, engine)
    if as_json:
        measured = None if parity is None else parity.to_json()
        show.result_json({"path": str(folder), **asdict(engine.stamp), "parity": measured})
        return
    _draw(folder, engine.stamp, len(engine.plan), {"compared": unrun or str(parity)})
    if output is None and precision == "fp32":
        show.next_command(f"dspctl verify {bundle}", "every backend that runs here")


@app.command("info")
def info(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder with a plan.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the stamp as JSON.")] = False,
) -> None:
    """Show what a plan was built with, and whether it fits this machine."""
    from dspctl.runtime.tensorrt.stamp import read_engine

    plan, stamp = read_engine(folder)
    reason = _why_unfit(stamp)
    if as_json:
        show.result_json({**asdict(stamp), "plan_bytes": len(plan), "unfit": reason})
        return
    _draw(folder, stamp, len(plan), {"fits this machine": reason or "yes"})


def _timing_cache(path: Path) -> bytes | None:
    """What an earlier build learned, where there is one: it only saves time."""
    from dspctl.runtime.untrusted import read_bytes

    try:
        return read_bytes(path, _LARGEST_CACHE_BYTES, links=False)
    except (OSError, ValueError):
        return None


def _flavor(name: str) -> Any:
    from dspctl.errors import UnknownBackend
    from dspctl.runtime.tensorrt.stamp import FLAVORS

    if name not in FLAVORS:
        raise UnknownBackend(f"there is no TensorRT {name!r}: choose {', '.join(FLAVORS)}")
    return name


def _graph(bundle: "Bundle", precision: str) -> bytes:
    """The bundle's ONNX graph of a precision."""
    from dspctl.exporter.graphs import ONNX_INT8
    from dspctl.runtime.bundle import ONNX, ONNX_FP16

    names = {"fp32": ONNX, "fp16": ONNX_FP16, "int8": ONNX_INT8}
    if precision not in names:
        raise UnsupportedPrecision(
            f"a bundle holds no graph of precision {precision!r}: choose {', '.join(names)}"
        )
    model = bundle.data.get(names[precision])
    if model is None:
        flag = "--int8" if precision == "int8" else "--target jetson"
        raise UnsupportedPrecision(
            f"{bundle.path} holds no {names[precision]}: export the policy with  {flag}"
        )
    return model


def _compared(bundle: "Bundle", engine: "Engine") -> "tuple[Parity | None, str]":
    """Parity of the plan where it runs here, else why it does not.

    Raises:
        NotEquivalent: a float32 plan computes something else.
    """
    from dspctl.runtime.backends.registry import golden_of
    from dspctl.runtime.reference.parity import measure_parity
    from dspctl.runtime.tensorrt.runner import TrtRunner

    try:
        with TrtRunner(bundle.policy, engine.plan, engine.stamp) as runner:
            parity = measure_parity(runner, golden_of(bundle))
    except (BackendUnavailable, MissingExtra) as error:
        return None, f"not run here: {error}"
    if engine.stamp.precision == "fp32" and not parity.passed:
        raise NotEquivalent(
            f"the plan does not compute what the policy does ({parity}): nothing was written; "
            "please report this together with the policy file"
        )
    return parity, ""


def _write(folder: Path, engine: "Engine") -> None:
    from dspctl.runtime.files import write_bytes
    from dspctl.runtime.tensorrt.stamp import PLAN, STAMP, TIMING_CACHE, bytes_from_stamp

    write_bytes(folder / PLAN, engine.plan)
    write_bytes(folder / STAMP, bytes_from_stamp(engine.stamp))
    if engine.timing_cache is not None:
        write_bytes(folder / TIMING_CACHE, engine.timing_cache)


def _why_unfit(stamp: "EngineStamp") -> str:
    """Why the plan cannot run here; empty where it can."""
    from dspctl.runtime.tensorrt.api import engine_machine, tensorrt_module
    from dspctl.runtime.tensorrt.cuda import Cuda
    from dspctl.runtime.tensorrt.stamp import check_stamp

    try:
        trt = tensorrt_module(stamp.flavor, "running a plan")
        cuda = Cuda()
        try:
            check_stamp(stamp, engine_machine(trt, cuda))
        finally:
            cuda.close()
    except (BackendUnavailable, MissingExtra) as error:
        return str(error)
    return ""


def _draw(folder: Path, stamp: "EngineStamp", plan_bytes: int, more: dict[str, str]) -> None:
    name = "TensorRT-RTX" if stamp.flavor == "rtx" else "TensorRT"
    show.facts(
        str(folder),
        {
            "plan": f"{show.size(plan_bytes)}, {stamp.precision}",
            "built with": f"{name} {stamp.tensorrt} on {stamp.platform}",
            "for GPUs of": f"compute capability {', '.join(stamp.compute_capabilities)}",
            "L4T": stamp.l4t or "none",
            "graph": stamp.onnx_sha256,
            **more,
        },
    )
