"""TensorRT modules of versions 8.5, 10 and 11 as far as dspctl uses them.

The names, parameters and what is missing follow the Python bindings of each version; a test
compares those of version 11 with the real ones of TensorRT-RTX. The builder records what it was
told; the runtime computes with ONNX Runtime on the fake GPU's memory.
"""

import ctypes
from enum import IntEnum
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from tests.runtime.fake_cuda import FakeCuda

CACHE = b"timing cache of this machine"
PLAN = b"plan:"


class ILogger:
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

    def __init__(self) -> None: ...

    def log(self, severity: int, msg: str) -> None:
        raise NotImplementedError


class IHostMemory:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def __bytes__(self) -> bytes:
        return self._data


class ITimingCache:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def serialize(self) -> IHostMemory:
        return IHostMemory(self.data or CACHE)


class IOptimizationProfile:
    def __init__(self) -> None:
        self.shapes: dict[str, Any] = {}

    def set_shape(self, input: str, min: Any, opt: Any, max: Any) -> None:
        self.shapes[input] = (min, opt, max)


class IBuilderConfig:
    def __init__(self, trt: Any) -> None:
        self.flags_set: set[Any] = {trt.BuilderFlag.TF32}  # on by default
        self.profiles: list[IOptimizationProfile] = []
        self.cache: ITimingCache | None = None

    def set_flag(self, flag: Any) -> None:
        self.flags_set.add(flag)

    def clear_flag(self, flag: Any) -> None:
        self.flags_set.discard(flag)

    def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
        self.profiles.append(profile)
        return 0

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache:
        return ITimingCache(serialized_timing_cache)

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        self.cache = cache
        return cache.data in (b"", CACHE)


class Tensor:
    def __init__(self, name: str, dtype: Any, shape: tuple[int, ...]) -> None:
        self.name, self.dtype, self.shape = name, dtype, shape


class Layer:
    def __init__(self, name: str, kind: str, inputs: list[Tensor], outputs: list[Tensor]) -> None:
        self.name, self.type, self.inputs, self.outputs = name, kind, inputs, outputs
        self.precision: Any = None
        self.output_types: dict[int, Any] = {}

    num_inputs = property(lambda self: len(self.inputs))
    num_outputs = property(lambda self: len(self.outputs))

    def get_input(self, index: int) -> Tensor:
        return self.inputs[index]

    def get_output(self, index: int) -> Tensor:
        return self.outputs[index]

    def set_output_type(self, index: int, dtype: Any) -> None:
        self.output_types[index] = dtype


class INetworkDefinition:
    def __init__(self) -> None:
        self.layers: list[Layer] = []
        self.inputs: list[Tensor] = []

    num_layers = property(lambda self: len(self.layers))

    def get_layer(self, index: int) -> Layer:
        return self.layers[index]

    def get_input(self, index: int) -> Tensor:
        return self.inputs[index]


class Builder:
    def __init__(self, trt: Any, logger: Any) -> None:
        self._trt, self._logger = trt, logger

    def create_network(self, flags: int = 0) -> INetworkDefinition:
        self._trt.network_flags = flags
        self._trt.network = INetworkDefinition()
        return self._trt.network  # type: ignore[no-any-return]

    def create_builder_config(self) -> IBuilderConfig:
        self._trt.config = IBuilderConfig(self._trt)
        return self._trt.config  # type: ignore[no-any-return]

    def create_optimization_profile(self) -> IOptimizationProfile:
        return IOptimizationProfile()

    def build_serialized_network(
        self, network: INetworkDefinition, config: IBuilderConfig
    ) -> IHostMemory | None:
        if self._trt.builder_fails:
            self._logger.log(ILogger.INFO, "an unimportant line")
            self._logger.log(ILogger.ERROR, "Error Code 2: OutOfMemory")
            return None
        return IHostMemory(PLAN + self._trt.model)


class OnnxParser:
    def __init__(self, trt: Any, network: INetworkDefinition, logger: Any) -> None:
        self._trt, self._network = trt, network
        self.num_errors = 0

    def parse(self, model: bytes, path: str | None = None) -> bool:
        self._trt.model = model
        try:
            parsed = onnx.load_from_string(model)
        except Exception:
            self.num_errors = 1
            return False
        types: dict[str, int] = {
            each.name: each.type.tensor_type.elem_type
            for part in (parsed.graph.input, parsed.graph.output, parsed.graph.value_info)
            for each in part
        }
        names: dict[int, Any] = {
            onnx.TensorProto.FLOAT: self._trt.float32,
            onnx.TensorProto.FLOAT16: "half",
        }

        def tensor(name: str) -> Tensor:
            return Tensor(name, names.get(types.get(name, 0), "other"), ())

        (x,) = parsed.graph.input
        features = x.type.tensor_type.shape.dim[1].dim_value
        self._network.inputs = [Tensor(x.name, self._trt.float32, (-1, features))]
        self._network.layers = [Layer("weights", "constant", [], [tensor(x.name)])]
        self._network.layers += [
            Layer(
                node.name,
                node.op_type,
                [tensor(name) for name in node.input],
                [tensor(name) for name in node.output],
            )
            for node in parsed.graph.node
        ]
        return True

    def get_error(self, index: int) -> Any:
        return SimpleNamespace(desc=lambda: "the model is not an ONNX file")


class TensorIOMode(IntEnum):
    NONE, INPUT, OUTPUT = range(3)


class ExecutionContextAllocationStrategy(IntEnum):
    STATIC, ON_PROFILE_CHANGE, USER_MANAGED = range(3)


class IExecutionContext:
    def __init__(self, trt: Any, engine: "EngineBase") -> None:
        self._trt, self._engine = trt, engine
        self.addresses: dict[str, int] = {}
        self.shape: tuple[int, ...] = ()

    def set_device_memory(self, memory: int, size: int) -> None:
        self._trt.log.append(("set_device_memory", size))

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self.addresses[name] = memory
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.shape = tuple(shape)
        return self.shape[0] <= self._engine.max_batch

    def is_stream_capturable(self, stream: int) -> bool:
        return bool(self._trt.capturable)

    def execute_async_v3(self, stream_handle: int) -> bool:
        self._trt.log.append(("execute_async_v3", self.shape[0]))
        shape = self.shape
        self._trt.cuda.enqueue(stream_handle, lambda: self._compute(shape))
        return True

    def _compute(self, shape: tuple[int, ...]) -> None:
        x = array_at(self.addresses["observation"], shape, np.dtype(np.float32))
        for name, value in zip(
            self._engine.outputs, self._engine.session.run(None, {"observation": x}), strict=True
        ):
            value = value.astype(self._engine.dtype(name))
            array_at(self.addresses[name], value.shape, value.dtype)[...] = value


class OldContext:
    """What TensorRT 8.5 lacks of `IExecutionContext`: a property sets its memory."""

    def __init__(self, trt: Any, engine: "EngineBase") -> None:
        self._trt = trt
        new = IExecutionContext(trt, engine)
        self.set_tensor_address = new.set_tensor_address
        self.set_input_shape = new.set_input_shape
        self.execute_async_v3 = new.execute_async_v3

    @property
    def device_memory(self) -> int:
        raise AttributeError("write-only")

    @device_memory.setter
    def device_memory(self, address: int) -> None:
        self._trt.log.append(("device_memory", address in self._trt.cuda.memory))


class EngineBase:
    max_batch = 4

    def __init__(self, trt: Any, model: bytes) -> None:
        self._trt = trt
        self.session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        tensors = [*self.session.get_inputs(), *self.session.get_outputs()]
        self._shapes: dict[str, Any] = {each.name: tuple(each.shape) for each in tensors}
        self._types = {each.name: each.type for each in tensors}
        self.outputs = [each.name for each in self.session.get_outputs()]

    num_io_tensors = property(lambda self: len(self._shapes))

    def dtype(self, name: str) -> np.dtype[Any]:
        kinds = {"tensor(float)": np.float32, "tensor(int32)": np.int32, "tensor(int64)": np.int64}
        kind = kinds[self._types[name]]
        return np.dtype(np.int32 if kind is np.int64 and self._trt.casts_int64 else kind)

    def get_tensor_name(self, index: int) -> str:
        return list(self._shapes)[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.OUTPUT if name in self.outputs else TensorIOMode.INPUT

    def get_tensor_shape(self, name: str) -> Any:
        return [-1 if isinstance(size, str) else size for size in self._shapes[name]]

    def get_tensor_dtype(self, name: str) -> Any:
        return self.dtype(name)

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> Any:
        assert profile_index == 0
        return [[batch, self._shapes[name][1]] for batch in (1, 1, self.max_batch)]


class ICudaEngine(EngineBase):
    device_memory_size_v2 = property(lambda self: self._trt.scratch)

    def create_execution_context(self, strategy: Any) -> IExecutionContext:
        self._trt.log.append(("create_execution_context", strategy.name))
        return IExecutionContext(self._trt, self)


class OldEngine(EngineBase):
    device_memory_size = property(lambda self: self._trt.scratch)

    def create_execution_context_without_device_memory(self) -> OldContext:
        return OldContext(self._trt, self)


class Runtime:
    def __init__(self, trt: Any, logger: Any) -> None:
        self._trt, self._logger = trt, logger

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> EngineBase | None:
        if not serialized_engine.startswith(PLAN):
            self._logger.log(ILogger.ERROR, "IRuntime: the engine plan file is not compatible")
            return None
        kind = OldEngine if self._trt.casts_int64 else ICudaEngine
        return kind(self._trt, serialized_engine[len(PLAN) :])


_FLAGS = {
    "8.5.2.2": ("EXPLICIT_BATCH", "EXPLICIT_PRECISION"),
    "10.3.0.30": ("EXPLICIT_BATCH", "STRONGLY_TYPED"),
    "11.4.1.2": ("STRONGLY_TYPED",),
}
_WEAK = "FP16 INT8 OBEY_PRECISION_CONSTRAINTS PREFER_PRECISION_CONSTRAINTS"
_BUILDER_FLAGS = {
    "8.5.2.2": f"TF32 {_WEAK}",
    "10.3.0.30": f"TF32 {_WEAK} BF16 FP8 STRICT_NANS EDITABLE_TIMING_CACHE",
    "11.4.1.2": "TF32 STRICT_NANS EDITABLE_TIMING_CACHE",
}
VERSIONS = tuple(_FLAGS)


def fake_trt(version: str = "10.3.0.30", cuda: FakeCuda | None = None) -> Any:
    """The module ``tensorrt`` of a version; what it was told is in its extra attributes."""
    numbers = {"EXPLICIT_BATCH": 0, "EXPLICIT_PRECISION": 1, "STRONGLY_TYPED": 1}
    trt = SimpleNamespace(
        __version__=version,
        ILogger=ILogger,
        NetworkDefinitionCreationFlag=SimpleNamespace(
            **{name: numbers[name] for name in _FLAGS[version]}
        ),
        BuilderFlag=SimpleNamespace(**{name: name for name in _BUILDER_FLAGS[version].split()}),
        LayerType=SimpleNamespace(CONSTANT="constant", SHAPE="shape", IDENTITY="Cast"),
        TensorIOMode=TensorIOMode,
        float32="float32",
        nptype=lambda trt_type: trt_type.type,
        builder_fails=False,
        casts_int64=version.startswith("8"),
        capturable=True,
        scratch=512,
        cuda=cuda,
        log=[],
    )
    trt.Builder = lambda logger: Builder(trt, logger)
    trt.OnnxParser = lambda network, logger: OnnxParser(trt, network, logger)
    trt.Runtime = lambda logger: Runtime(trt, logger)
    if not version.startswith("8"):
        trt.ExecutionContextAllocationStrategy = ExecutionContextAllocationStrategy
    return trt


def array_at(address: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Memory as an array."""
    size = dtype.itemsize * int(np.prod(shape))
    memory = (ctypes.c_uint8 * size).from_address(address)
    return np.frombuffer(memoryview(memory), dtype).reshape(shape)
