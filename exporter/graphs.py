"""The parts of a bundle that are ONNX graphs, or are made from them."""

from typing import TYPE_CHECKING

from dspctl.errors import PrecisionOverflow
from dspctl.exporter.compare import compare_runner
from dspctl.exporter.draft import Draft
from dspctl.runtime.backends.onnx_runner import OnnxRunner
from dspctl.runtime.bundle import ONNX, ONNX_FP16
from dspctl.runtime.bundle.artefacts import Artefact
from dspctl.runtime.policy.observations import float32_from

if TYPE_CHECKING:
    from dspctl.exporter.onnx.precision import PrecisionReport

ONNX_INT8 = "policy.int8.onnx"

FP16_CHANGED = 0.02
"""Share of the observations on which the fp16 graph may act otherwise: its stated tolerance."""


def add_onnx(draft: Draft) -> None:
    """The float32 graph, compared in ONNX Runtime.

    Raises:
        MissingExtra: onnx or onnxruntime is not installed.
        NotEquivalent: it computes something else.
    """
    from dspctl.exporter.onnx import bytes_from_model, onnx_from_policy

    model = bytes_from_model(onnx_from_policy(draft.policy))
    draft.add({ONNX: model})
    runner = OnnxRunner(draft.policy, model)
    draft.artefacts.append(
        compare_runner(runner, draft.compared, ONNX, "ONNX Runtime on this machine")
    )


def add_fp16(draft: Draft) -> None:
    """The fp16 graph, judged by a tolerance of its own, which does not stop an export.

    Nothing loads this graph by itself; who builds a plan from it reads here what that costs.
    """
    from dspctl.exporter.onnx import bytes_from_model
    from dspctl.exporter.onnx.precision import measure_precision, onnx_fp16_from_policy

    try:
        model = bytes_from_model(onnx_fp16_from_policy(draft.policy))
    except PrecisionOverflow as error:
        draft.artefacts.append(Artefact(ONNX_FP16, "not run", f"left out: {error}"))
        return
    draft.add({ONNX_FP16: model})
    recorded = draft.recorded
    compared = draft.compared.observations if recorded is None else float32_from(recorded)
    report = measure_precision("fp16", draft.policy, model, compared)
    kind = "generated" if recorded is None else "recorded"
    note = (
        f"{_saving(report)} on {kind} observations (ONNX Runtime on this machine; tolerance "
        f"{FP16_CHANGED:.0%})"
    )
    passed = report.changed_actions <= FP16_CHANGED
    draft.artefacts.append(Artefact(ONNX_FP16, "here", note, passed, report.to_json()))


def add_int8(draft: Draft) -> None:
    """The int8 graph; only on request, since it saves little on a network of this size.

    Raises:
        CalibrationMissing: there are too few recorded observations.
    """
    from dspctl.exporter.onnx.int8 import int8_from_policy

    made = int8_from_policy(draft.policy, draft.recorded)
    draft.add({ONNX_INT8: made.model})
    report = made.report
    note = (
        f"{_saving(report)} on recorded observations kept apart (ONNX Runtime on this machine; no "
        "tolerance)"
    )
    draft.artefacts.append(Artefact(ONNX_INT8, "here", note, True, report.to_json()))


def _saving(report: "PrecisionReport") -> str:
    """What a graph of lower precision saves and costs."""
    size = f"{abs(report.saved_bytes):,} bytes {'smaller' if report.saved_bytes > 0 else 'larger'}"
    return f"{size} than the float32 graph; {report.changed_actions:.2%} of the actions change"


def add_recipe(draft: Draft) -> None:
    """What builds a TensorRT plan on the device that runs it."""
    from dspctl.exporter.tensorrt.recipe import SCRIPT, recipe_files

    draft.add(recipe_files(draft.policy, draft.name), frozenset({SCRIPT}))


def add_rtx(draft: Draft) -> None:
    """A TensorRT-RTX plan. Two builds of it may differ.

    Raises:
        MissingTensorRT: tensorrt-rtx is not installed.
        EngineBuildFailed: TensorRT-RTX refused the graph.
    """
    from dspctl.exporter.tensorrt.recipe import rtx_files
    from dspctl.runtime.tensorrt.stamp import PLAN, RTX_FOLDER

    draft.add(rtx_files(draft.policy))
    note = "a plan runs on a GPU only; dspctl verify compares it where there is one"
    draft.artefacts.append(Artefact(f"{RTX_FOLDER}/{PLAN}", "not run", note))
