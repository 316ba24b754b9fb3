"""One TensorRT execution context with its buffers: what runs up to so many observations.

**Not yet run on hardware**; see `dspctl.runtime.tensorrt.runner`.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dspctl.errors import DeviceError
from dspctl.runtime.backends.onnx_runner import INPUT
from dspctl.runtime.tensorrt.cuda import Cuda


class Gpu(NamedTuple):
    """What all lanes of a runner share.

    Attributes:
        trt: the TensorRT module.
        engine: the deserialised plan.
        cuda: the GPU.
        stream: where everything is enqueued, one thing after the other.
        scratch: address and size of the memory that a run works in. Lanes never run at once.
    """

    trt: Any
    engine: Any
    cuda: Cuda
    stream: Any
    scratch: tuple[int, int]


def allocate_scratch(engine: Any, cuda: Cuda) -> tuple[int, int]:
    """Address and size in bytes of the memory that a run of *engine* works in."""
    name = "device_memory_size_v2"  # TensorRT 10.1 and later
    size = int(getattr(engine, name if hasattr(engine, name) else "device_memory_size"))
    return (cuda.allocate(size), size) if size else (0, 0)


@dataclass(frozen=True, eq=False)
class _Buffer:
    """Pinned host memory as an array [rows, ...], and the address under which the GPU uses it."""

    host: NDArray[Any]
    device: int


class Lane:
    """A context of its own: a captured graph must keep one whose shapes no batch changes.

    Args:
        gpu: what it runs on.
        rows: how many observations fit.

    Attributes:
        context: TensorRT's execution context.
        out: what the last run gave, by tensor: arrays [rows, ...] in pinned memory.

    Raises:
        DeviceError: TensorRT or CUDA refused a call.
    """

    def __init__(self, gpu: Gpu, rows: int) -> None:
        self._gpu = gpu
        self._mapped = gpu.cuda.shares_memory
        self.context = _context(gpu)
        names = [gpu.engine.get_tensor_name(index) for index in range(gpu.engine.num_io_tensors)]
        self._buffers = {name: self._buffer(name, rows) for name in names}
        self.out = {name: each.host for name, each in self._buffers.items() if name != INPUT}
        for name, buffer in self._buffers.items():
            if not self.context.set_tensor_address(name, buffer.device):
                raise DeviceError(f"TensorRT refused the address of {name}: build the plan again")
        self.prepare(np.zeros_like(self._buffers[INPUT].host))

    def prepare(self, rows: NDArray[np.float32]) -> None:
        """Take observations, float32 [n, obs_dim], into the pinned memory, and set the shape."""
        self._buffers[INPUT].host[: len(rows)] = rows
        if not self.context.set_input_shape(INPUT, rows.shape):
            raise DeviceError(f"TensorRT refused a batch of {len(rows)}: build the plan again")

    def replace(self, row: NDArray[np.float32]) -> None:
        """Take one observation, float32 [1, obs_dim]; the shape is set already."""
        self._buffers[INPUT].host[:1] = row

    def enqueue(self, rows: int) -> None:
        """Put copy in, layers and copies out on the stream, for the first *rows* rows."""
        cuda, stream = self._gpu.cuda, self._gpu.stream
        if not self._mapped:
            buffer = self._buffers[INPUT]
            cuda.copy_in(buffer.device, buffer.host, buffer.host[:rows].nbytes, stream)
        if not self.context.execute_async_v3(int(stream)):
            raise DeviceError("TensorRT could not enqueue the plan: see  dspctl doctor")
        if not self._mapped:
            for name in self.out:
                buffer = self._buffers[name]
                cuda.copy_out(buffer.host, buffer.device, buffer.host[:rows].nbytes, stream)

    def _buffer(self, name: str, rows: int) -> _Buffer:
        trt, engine, cuda = self._gpu.trt, self._gpu.engine, self._gpu.cuda
        # Before TensorRT 9 an int64 output was made int32.
        dtype = np.dtype(trt.nptype(engine.get_tensor_dtype(name)))
        shape = (rows, *(int(size) for size in tuple(engine.get_tensor_shape(name))[1:]))
        size = dtype.itemsize * int(np.prod(shape))
        host = cuda.allocate_host(size, mapped=self._mapped)
        device = cuda.address_of(host) if self._mapped else cuda.allocate(size)
        return _Buffer(host.view(dtype).reshape(shape), device)


def _context(gpu: Gpu) -> Any:
    """A context that works in the shared scratch memory."""
    strategies = getattr(gpu.trt, "ExecutionContextAllocationStrategy", None)  # TensorRT 10
    if strategies is not None:
        context = gpu.engine.create_execution_context(strategies.USER_MANAGED)
    else:
        context = gpu.engine.create_execution_context_without_device_memory()
    if context is None:
        raise DeviceError("TensorRT could not create a context: the GPU's memory may be used up")
    address, size = gpu.scratch
    if size and hasattr(context, "set_device_memory"):  # TensorRT 10.1 and later
        context.set_device_memory(address, size)
    elif size:
        context.device_memory = address
    return context
