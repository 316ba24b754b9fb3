"""ONNX → a TensorRT engine: one builder for TensorRT 8.5 to 11 and for TensorRT-RTX.

What the versions differ in is found by looking at what the module has:

- **networks**: 8.x wants the flag EXPLICIT_BATCH. From 10 on they can be strongly typed, and 11
  and RTX know no others: each tensor has the type that the graph gives it. So that is asked for
  wherever there is such a flag, and float32 stays float32.
- **precision flags**: only where a network cannot be strongly typed, FP16 and INT8 allow the types,
  and every layer that is float32 in the graph is held there by a constraint.
- **TF32**, which rounds float32 to 10 bits in matrix products, is on by default and is turned off.
- **timing cache**: an editable one where there is one, so that a second build can be held to the
  first one's choices. RTX has none to keep: its calls do nothing.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

from dspctl.errors import EngineBuildFailed, UnsupportedPrecision
from dspctl.runtime.backends.onnx_runner import INPUT
from dspctl.runtime.tensorrt.api import (
    engine_machine,
    last_lines,
    logger_of,
    platform_name,
    tensorrt_module,
    version_of,
)
from dspctl.runtime.tensorrt.cuda import Cuda
from dspctl.runtime.tensorrt.stamp import PRECISIONS, EngineMachine, EngineStamp, Flavor, Precision

MAX_BATCH = 256
"""Largest batch of an engine; a control loop asks for 1, which the engine is tuned for."""

RTX_CAPABILITIES: dict[str, tuple[str, ...]] = {
    "fp32": ("8.6", "8.9", "12.0"),
    "fp16": ("7.5", "8.6", "8.9", "12.0"),
    "int8": ("8.6", "8.9", "12.0"),
}
"""What an RTX engine is built for. Turing (7.5) has no float32 matrix product in TensorRT-RTX
("FP32 GEMM is not supported"), and an int8 graph keeps its biases and sums in float32."""


@dataclass(frozen=True)
class Engine:
    """A built engine.

    Attributes:
        plan: its serialised form.
        stamp: what it was built from and for.
        timing_cache: the builder's measurements, to build it again alike; None for RTX.
    """

    plan: bytes
    stamp: EngineStamp
    timing_cache: bytes | None


def engine_from_onnx(
    model: bytes,
    *,
    flavor: Flavor = "rtx",
    precision: Precision = "fp32",
    timing_cache: bytes | None = None,
    max_batch: int = MAX_BATCH,
    module: Any = None,
    machine: EngineMachine | None = None,
) -> Engine:
    """Build an engine from a graph that `exporter` wrote.

    Args:
        model: the serialised graph, typed for *precision*.
        flavor: ``tensorrt`` builds for this machine's GPU; ``rtx`` needs none.
        precision: what the graph is typed for.
        timing_cache: of an earlier build on this machine, or None.
        max_batch: batches from 1 to this will run; it is tuned for 1.
        module: the TensorRT module, in tests; otherwise imported.
        machine: what the plan will be tied to; by default this machine. Unused by ``rtx``.

    Raises:
        MissingTensorRT: the package of that flavor is not installed.
        DeviceError, MissingExtra: ``tensorrt`` without a usable GPU or cuda-python.
        UnsupportedPrecision: no such precision.
        EngineBuildFailed: the parser or the builder refused; holds TensorRT's own lines.
    """
    if precision not in PRECISIONS:
        raise UnsupportedPrecision(
            f"there is no precision {precision!r}: choose {', '.join(PRECISIONS)}"
        )
    trt = tensorrt_module(flavor, "building an engine") if module is None else module
    if flavor == "rtx":
        machine = None
    elif machine is None:
        machine = _this_machine(trt)
    logger = logger_of(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(_network_flags(trt))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(model):
        raise EngineBuildFailed(
            f"TensorRT {version_of(trt)} cannot read the graph ({_parser_errors(parser, logger)}): "
            "report this together with the policy file, or use another backend"
        )
    config = builder.create_builder_config()
    capabilities = _configure(trt, config, network, precision, machine)
    features = int(network.get_input(0).shape[1])
    profile = builder.create_optimization_profile()
    profile.set_shape(INPUT, (1, features), (1, features), (max_batch, features))
    config.add_optimization_profile(profile)
    cache = None if flavor == "rtx" else _set_timing_cache(config, timing_cache, logger)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise EngineBuildFailed(
            f"TensorRT {version_of(trt)} cannot build an engine ({last_lines(logger)}): check the "
            "driver and the free memory with  dspctl doctor, or use another backend"
        )
    data = bytes(plan)
    stamp = EngineStamp(
        flavor=flavor,
        tensorrt=version_of(trt),
        compute_capabilities=capabilities,
        l4t=None if machine is None else machine.l4t,
        platform=platform_name() if machine is None else machine.platform,
        precision=precision,
        onnx_sha256=hashlib.sha256(model).hexdigest(),
        plan_sha256=hashlib.sha256(data).hexdigest(),
    )
    return Engine(data, stamp, None if cache is None else bytes(cache.serialize()))


def _this_machine(trt: Any) -> EngineMachine:
    cuda = Cuda()
    try:
        return engine_machine(trt, cuda)
    finally:
        cuda.close()


def _network_flags(trt: Any) -> int:
    """The bits of the flags that this module has; those that it ignores do no harm."""
    flags = trt.NetworkDefinitionCreationFlag
    names = [name for name in ("EXPLICIT_BATCH", "STRONGLY_TYPED") if hasattr(flags, name)]
    return sum(1 << int(getattr(flags, name)) for name in names)


def _configure(
    trt: Any, config: Any, network: Any, precision: Precision, machine: EngineMachine | None
) -> tuple[str, ...]:
    """Set the builder's flags. Returns the compute capabilities that the engine will serve."""
    flags = trt.BuilderFlag
    if hasattr(flags, "TF32"):
        config.clear_flag(flags.TF32)
    # The guard compares with NaN in mind; REQUIRE_USER_ALLOCATION lets RTX's work be captured in a
    # CUDA graph; an editable timing cache (TensorRT 10) holds a second build to the first one.
    for name in ("STRICT_NANS", "REQUIRE_USER_ALLOCATION", "EDITABLE_TIMING_CACHE"):
        if hasattr(flags, name):
            config.set_flag(getattr(flags, name))
    if not hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED") and precision != "fp32":
        config.set_flag(flags.FP16 if precision == "fp16" else flags.INT8)
        config.set_flag(flags.OBEY_PRECISION_CONSTRAINTS)
        _hold_float32(trt, network)
    if machine is not None:
        return (machine.compute_capability,)
    capabilities = RTX_CAPABILITIES[precision]
    config.num_compute_capabilities = len(capabilities)
    for index, capability in enumerate(capabilities):
        member = getattr(trt.ComputeCapability, f"SM{capability.replace('.', '')}")
        config.set_compute_capability(member, index)
    return capabilities


def _hold_float32(trt: Any, network: Any) -> None:
    """Hold what the graph types as float32 there: guard, normaliser, action."""
    # CAST came with TensorRT 8.6; before, a cast is an IDENTITY with an output type.
    names = ("CONSTANT", "SHAPE", "IDENTITY", "CAST")
    typed = {getattr(trt.LayerType, name) for name in names if hasattr(trt.LayerType, name)}
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        if layer.type in typed or layer.num_inputs == 0:
            continue
        if layer.get_input(0).dtype == trt.float32:
            layer.precision = trt.float32
        for output in range(layer.num_outputs):
            if layer.get_output(output).dtype == trt.float32:
                layer.set_output_type(output, trt.float32)


def _set_timing_cache(config: Any, data: bytes | None, logger: Any) -> Any:
    """Attach a timing cache, new or given."""
    cache = config.create_timing_cache(data or b"")
    if not config.set_timing_cache(cache, False):
        raise EngineBuildFailed(
            f"the timing cache is of another machine or TensorRT ({last_lines(logger)}): delete "
            "it and build again"
        )
    return cache


def _parser_errors(parser: Any, logger: Any) -> str:
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    return "; ".join(str(error.desc()).strip() for error in errors) or last_lines(logger)
