"""The few CUDA calls that running a plan needs, each with its return code checked.

The only module that imports ``cuda-python``. Its functions return a tuple: the status, then what C
would write through pointers. **Not yet run on hardware**: written against the signatures of
cuda-python 12.6 to 13.4 (``cuda.bindings.runtime``) and tested with a recording of them.
"""

import ctypes
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.errors import DeviceError, MissingExtra

_CUDA_HINTS = {
    "cudaErrorInsufficientDriver": "there is no NVIDIA driver here, or it is older than this "
    "cuda-python; install the cuda-python of the driver's CUDA version",
    "cudaErrorNoDevice": "no NVIDIA GPU is visible here; check nvidia-smi and CUDA_VISIBLE_DEVICES",
    "cudaErrorMemoryAllocation": "the memory is used up; close other programs on the GPU",
}


class Cuda:
    """One GPU, through the CUDA runtime; frees on `close` what it allocated.

    Args:
        device: its index.
        runtime: stands in for ``cuda.bindings.runtime``, in tests.

    Raises:
        MissingExtra: cuda-python is not installed.
        DeviceError: there is no usable GPU or driver.
    """

    def __init__(self, device: int = 0, runtime: Any = None) -> None:
        self._runtime = _cuda_runtime() if runtime is None else runtime
        self._device = device
        self._free: list[tuple[str, Any]] = []
        self.call("cudaSetDevice", device)

    def call(self, name: str, *arguments: Any) -> Any:
        """Call the function *name*; returns what it gives besides the status: nothing, or a value.

        Raises:
            DeviceError: the status is not success.
        """
        status, *values = getattr(self._runtime, name)(*arguments)
        if status != self._runtime.cudaError_t.cudaSuccess:
            raise DeviceError(f"{name} failed: {self._describe(status)}")
        return values[0] if values else None

    def attribute(self, name: str) -> int:
        """A device attribute, such as ``cudaDevAttrIntegrated``."""
        which = getattr(self._runtime.cudaDeviceAttr, name)
        return int(self.call("cudaDeviceGetAttribute", which, self._device))

    @property
    def compute_capability(self) -> str:
        """Such as ``8.7``."""
        major = self.attribute("cudaDevAttrComputeCapabilityMajor")
        return f"{major}.{self.attribute('cudaDevAttrComputeCapabilityMinor')}"

    @property
    def shares_memory(self) -> bool:
        """True where GPU and CPU use the same memory, as on a Jetson: then nothing is copied."""
        return bool(self.attribute("cudaDevAttrIntegrated")) and bool(
            self.attribute("cudaDevAttrCanMapHostMemory")
        )

    def stream(self) -> Any:
        """A stream that does not wait for the default one; ``int(stream)`` is its handle."""
        flag = self._runtime.cudaStreamNonBlocking
        return self._keep("cudaStreamDestroy", self.call("cudaStreamCreateWithFlags", flag))

    def allocate(self, size_bytes: int) -> int:
        """Device memory; its address."""
        return int(self._keep("cudaFree", self.call("cudaMalloc", size_bytes)))

    def allocate_host(self, size_bytes: int, *, mapped: bool) -> NDArray[np.uint8]:
        """Pinned host memory, uint8 [size_bytes]; with *mapped* the GPU can address it too."""
        runtime = self._runtime
        flag = runtime.cudaHostAllocMapped if mapped else runtime.cudaHostAllocDefault
        address = self._keep("cudaFreeHost", self.call("cudaHostAlloc", size_bytes, flag))
        memory = (ctypes.c_uint8 * size_bytes).from_address(int(address))
        array = np.frombuffer(memoryview(memory), np.uint8)
        array[:] = 0
        return array

    def address_of(self, mapped: NDArray[np.uint8]) -> int:
        """The GPU's address of mapped host memory."""
        return int(self.call("cudaHostGetDevicePointer", mapped.ctypes.data, 0))

    def copy_in(self, device: int, host: NDArray[Any], size_bytes: int, stream: Any) -> None:
        """Copy to the device, in the order of *stream*."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        self.call("cudaMemcpyAsync", device, host.ctypes.data, size_bytes, kind, stream)

    def copy_out(self, host: NDArray[Any], device: int, size_bytes: int, stream: Any) -> None:
        """Copy from the device, in the order of *stream*."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self.call("cudaMemcpyAsync", host.ctypes.data, device, size_bytes, kind, stream)

    def capture(self, stream: Any, work: Callable[[], None]) -> Any:
        """Record what *work* puts on *stream* as a CUDA graph that can be launched again.

        Only this thread's calls are restricted meanwhile (thread-local mode).
        """
        mode = self._runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self.call("cudaStreamBeginCapture", stream, mode)
        try:
            work()
        except BaseException:
            self._runtime.cudaStreamEndCapture(stream)  # leave the stream usable
            raise
        graph = self.call("cudaStreamEndCapture", stream)
        try:
            return self._keep("cudaGraphExecDestroy", self.call("cudaGraphInstantiate", graph, 0))
        finally:
            self.call("cudaGraphDestroy", graph)

    def launch(self, graph: Any, stream: Any) -> None:
        """Put a captured graph on *stream*."""
        self.call("cudaGraphLaunch", graph, stream)

    def wait(self, stream: Any) -> None:
        """Wait until everything on *stream* is done; errors of that work surface here."""
        self.call("cudaStreamSynchronize", stream)

    def close(self) -> None:
        """Free everything, latest first. Arrays over host memory must not be used afterwards."""
        while self._free:
            name, value = self._free.pop()
            # Freeing reports errors of earlier work, which were raised where they happened.
            getattr(self._runtime, name)(value)

    def _keep(self, free: str, value: Any) -> Any:
        self._free.append((free, value))
        return value

    def _describe(self, status: Any) -> str:
        _, name = self._runtime.cudaGetErrorName(status)
        _, text = self._runtime.cudaGetErrorString(status)
        name, text = (x.decode() if isinstance(x, bytes) else str(x) for x in (name, text))
        hint = _CUDA_HINTS.get(name, "use another backend, and see  dspctl doctor")
        return f"{name} ({text}): {hint}"


def _cuda_runtime() -> Any:
    try:
        return importlib.import_module("cuda.bindings.runtime")
    except ImportError as error:
        raise MissingExtra("cuda-python", "tensorrt", "using the GPU") from error
