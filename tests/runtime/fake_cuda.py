"""A CUDA runtime made of host memory, with the signatures of ``cuda.bindings.runtime``.

Work on a stream waits until the stream is synchronised, and between begin and end of a capture it
is recorded instead: who forgets to wait, or launches the wrong graph, reads old numbers.
"""

import ctypes
from collections.abc import Callable
from enum import IntEnum
from typing import Any


class cudaError_t(IntEnum):
    cudaSuccess = 0
    cudaErrorInvalidValue = 1
    cudaErrorMemoryAllocation = 2
    cudaErrorInsufficientDriver = 35


class cudaDeviceAttr(IntEnum):
    cudaDevAttrIntegrated = 18
    cudaDevAttrCanMapHostMemory = 19
    cudaDevAttrComputeCapabilityMajor = 75
    cudaDevAttrComputeCapabilityMinor = 76


class cudaMemcpyKind(IntEnum):
    cudaMemcpyHostToDevice = 1
    cudaMemcpyDeviceToHost = 2


class cudaStreamCaptureMode(IntEnum):
    cudaStreamCaptureModeThreadLocal = 1


Work = Callable[[], None]
OK = (cudaError_t.cudaSuccess,)


class FakeCuda:
    """Stands in for the module ``cuda.bindings.runtime``; `calls` records what was called."""

    cudaError_t, cudaDeviceAttr = cudaError_t, cudaDeviceAttr
    cudaMemcpyKind, cudaStreamCaptureMode = cudaMemcpyKind, cudaStreamCaptureMode
    cudaStreamNonBlocking, cudaHostAllocDefault, cudaHostAllocMapped = 1, 0, 2

    def __init__(self, capability: tuple[int, int] = (8, 7), *, integrated: bool = False) -> None:
        self.calls: list[str] = []
        self.fails: dict[str, IntEnum] = {}
        self.memory: dict[int, Any] = {}
        self.flags: list[int] = []
        self.queues: dict[int, list[Work]] = {}
        self.graphs: dict[int, list[Work]] = {}
        self._capturing: dict[int, list[Work]] = {}
        self._attributes = {75: capability[0], 76: capability[1], 18: int(integrated), 19: 1}

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("cuda") and name[4].isupper() and name not in ("cudaError_t",):
            value = object.__getattribute__(self, name)
            if callable(value) and not isinstance(value, type):
                self.calls.append(name)
                if name in self.fails:
                    status = self.fails[name]
                    return lambda *arguments: (status, None)
            return value
        return object.__getattribute__(self, name)

    def enqueue(self, handle: int, work: Work) -> None:
        self._capturing.get(handle, self.queues[handle]).append(work)

    # --- the calls, with the parameter names of the real ones -----------------------------------

    def cudaSetDevice(self, device: int) -> Any:
        return OK

    def cudaDeviceGetAttribute(self, attr: int, device: int) -> Any:
        return (*OK, self._attributes[int(attr)])

    def cudaGetErrorName(self, error: IntEnum) -> Any:
        return (*OK, error.name.encode())

    def cudaGetErrorString(self, error: IntEnum) -> Any:
        return (*OK, b"what went wrong")

    def cudaStreamCreateWithFlags(self, flags: int) -> Any:
        handle = 1000 + len(self.queues)
        self.queues[handle] = []
        return (*OK, handle)

    def cudaStreamDestroy(self, stream: int) -> Any:
        del self.queues[stream]
        return OK

    def cudaStreamSynchronize(self, stream: int) -> Any:
        assert stream not in self._capturing, "a capturing stream cannot be synchronised"
        queue, self.queues[stream] = self.queues[stream], []
        for work in queue:
            work()
        return OK

    def cudaMalloc(self, size: int) -> Any:
        memory = (ctypes.c_uint8 * size)()
        address = ctypes.addressof(memory)
        self.memory[address] = memory
        return (*OK, address)

    def cudaHostAlloc(self, size: int, flags: int) -> Any:
        self.flags.append(flags)
        return self.cudaMalloc(size)

    def cudaHostGetDevicePointer(self, pHost: int, flags: int) -> Any:
        assert flags == 0
        return (*OK, pHost)

    def cudaFree(self, devPtr: int) -> Any:
        del self.memory[devPtr]
        return OK

    def cudaFreeHost(self, ptr: int) -> Any:
        return self.cudaFree(ptr)

    def cudaMemcpyAsync(self, dst: int, src: int, count: int, kind: int, stream: int) -> Any:
        self.enqueue(stream, lambda: void(ctypes.memmove(dst, src, count)))
        return OK

    def cudaStreamBeginCapture(self, stream: int, mode: int) -> Any:
        assert not self.queues[stream], "TensorRT's set-up must be finished before the capture"
        self._capturing[stream] = []
        return OK

    def cudaStreamEndCapture(self, stream: int) -> Any:
        return (*OK, self._capturing.pop(stream))

    def cudaGraphInstantiate(self, graph: list[Work], flags: int) -> Any:
        handle = 2000 + len(self.graphs)
        self.graphs[handle] = list(graph)
        return (*OK, handle)

    def cudaGraphDestroy(self, graph: list[Work]) -> Any:
        return OK

    def cudaGraphLaunch(self, graphExec: int, stream: int) -> Any:
        for work in self.graphs[graphExec]:
            self.enqueue(stream, work)
        return OK

    def cudaGraphExecDestroy(self, graphExec: int) -> Any:
        del self.graphs[graphExec]
        return OK


def void(_: Any) -> None:
    return
