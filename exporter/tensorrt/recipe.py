"""What a bundle holds for TensorRT: the recipe of its plan, or for RTX the plan itself.

A Jetson's plan can be built only on the Jetson. Its bundle therefore holds the graphs, the settings
of a build as data (``recipe.json``), and a script that builds with nothing but ``trtexec``.
"""

import hashlib
from importlib.resources import files
from typing import Any

from dspctl.errors import PrecisionOverflow
from dspctl.exporter.onnx import bytes_from_model, onnx_from_policy
from dspctl.exporter.onnx.precision import float32_nodes, largest_value, onnx_fp16_from_policy
from dspctl.exporter.tensorrt import MAX_BATCH, engine_from_onnx
from dspctl.runtime.backends.onnx_runner import INPUT
from dspctl.runtime.bundle import ONNX, ONNX_FP16
from dspctl.runtime.bundle.manifest import canonical_json
from dspctl.runtime.policy import Policy
from dspctl.runtime.tensorrt.stamp import PLAN, RTX_FOLDER, STAMP, bytes_from_stamp

RECIPE, SCRIPT = "tensorrt/recipe.json", "tensorrt/build_engine.sh"
_TEMPLATE = "build_engine.sh"
_SCHEMA = 1


def recipe_files(policy: Policy, name: str) -> dict[str, bytes]:
    """The recipe and the script that follows it; the same policy gives the same bytes.

    Args:
        policy: what the bundle holds.
        name: the bundle's name, for the script's last line.

    Returns:
        Contents by path in the bundle; `SCRIPT` is a program.
    """
    fp32 = bytes_from_model(onnx_from_policy(policy))
    fp16, held = _fp16(policy)
    graphs = {"fp32": _graph(ONNX, fp32), "fp16": _graph(ONNX_FP16, fp16)}
    recipe = {
        "schema": _SCHEMA,
        "name": name,
        "graphs": graphs,
        "input": {"name": INPUT, "features": policy.observation.size, **_BATCHES},
        "tf32": False,
        "strongly_typed": True,
        # Before TensorRT 10 there is no strong typing: these are held in float32 one by one.
        "float32_layers": list(held),
        # Beyond 65504 a float16 sum may overflow on an extreme, but valid observation.
        "largest_value": largest_value(policy),
        "measure": {"cuda_graph": True, "spin_wait": False, "data_transfers": True},
        "trtexec": {
            version: {
                "build": {
                    precision: _build_flags(version, precision, policy.observation.size, held)
                    for precision, graph in graphs.items()
                    if graph is not None
                },
                "measure": _MEASURE_FLAGS[version],
            }
            for version in _MEASURE_FLAGS
        },
    }
    return {RECIPE: canonical_json(recipe), SCRIPT: _script(policy, name, fp32, fp16, held)}


def rtx_files(policy: Policy) -> dict[str, bytes]:
    """The RTX plan with its stamp, by path in the bundle; needs no GPU. Two builds may differ.

    Raises:
        MissingTensorRT: tensorrt-rtx is not installed.
        EngineBuildFailed: TensorRT-RTX refused the graph.
    """
    engine = engine_from_onnx(bytes_from_model(onnx_from_policy(policy)), flavor="rtx")
    return {
        f"{RTX_FOLDER}/{PLAN}": engine.plan,
        f"{RTX_FOLDER}/{STAMP}": bytes_from_stamp(engine.stamp),
    }


_BATCHES = {"min_batch": 1, "opt_batch": 1, "max_batch": MAX_BATCH}

# By TensorRT version, as the script gives them. 8.5 and 10 leave CUDA graphs off, do not spin and
# count data transfers unless told otherwise; 11 does the opposite of all three.
_MEASURE_FLAGS = {
    "8.5": ["--useCudaGraph"],
    "10": ["--useCudaGraph"],
    "11": ["--noSpinWait", "--includeDataTransfers"],
}


def _build_flags(version: str, precision: str, features: int, held: tuple[str, ...]) -> list[str]:
    """The flags of a build, without the paths."""
    flags = [
        f"--{end}Shapes={INPUT}:{batch}x{features}"
        for end, batch in (("min", 1), ("opt", 1), ("max", MAX_BATCH))
    ]
    flags.append("--noTF32")
    if version == "10":
        flags.append("--stronglyTyped")
    elif version == "8.5" and precision == "fp16":
        flags += ["--fp16", "--precisionConstraints=obey", f"--layerPrecisions={_held(held)}"]
    return [*flags, "--buildOnly" if version == "8.5" else "--skipInference"]


def _fp16(policy: Policy) -> tuple[bytes | None, tuple[str, ...]]:
    """The fp16 graph and its float32 nodes; None where the weights do not fit float16."""
    try:
        model = onnx_fp16_from_policy(policy)
    except PrecisionOverflow:
        return None, ()
    return bytes_from_model(model), float32_nodes(model)


def _graph(file: str, data: bytes | None) -> dict[str, Any] | None:
    if data is None:
        return None
    return {"file": file, "sha256": hashlib.sha256(data).hexdigest()}


def _held(names: tuple[str, ...]) -> str:
    return ",".join(f"{name}:fp32" for name in names)


def _script(
    policy: Policy, name: str, fp32: bytes, fp16: bytes | None, held: tuple[str, ...]
) -> bytes:
    text = files("dspctl.exporter.tensorrt").joinpath(_TEMPLATE).read_text()
    values = {
        "NAME": name,
        "FEATURES": str(policy.observation.size),
        "MAX_BATCH": str(MAX_BATCH),
        "SHA256_FP32": hashlib.sha256(fp32).hexdigest(),
        "SHA256_FP16": "" if fp16 is None else hashlib.sha256(fp16).hexdigest(),
        "FLOAT32_LAYERS": _held(held),
    }
    for key, value in values.items():
        text = text.replace(f"'@{key}@'", f"'{value}'")
    return text.encode()
