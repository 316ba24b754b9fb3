"""The TensorRT backend: a plan on the GPU, one observation replayed as a CUDA graph.

**Not yet run on hardware.** Written against the bindings of TensorRT-RTX 1.7 and TensorRT 10 and
cuda-python's, and tested with a recording of both; where a GPU can be used, the tests run it.

A policy is so small that launching its work costs more than the work. So what one observation
needs (copy in, layers, copies out) is captured once and launched as one; buffers are pinned, and
where GPU and CPU share their memory, as on a Jetson, they are mapped and nothing is copied.
"""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.errors import BackendUnavailable, EngineMismatch
from dspctl.runtime.backends.onnx_runner import ACTION, INPUT, OUTPUTS, STATUS
from dspctl.runtime.backends.runner import BaseRunner
from dspctl.runtime.bundle import Bundle
from dspctl.runtime.policy import Policy
from dspctl.runtime.tensorrt.api import engine_machine, last_lines, logger_of, tensorrt_module
from dspctl.runtime.tensorrt.cuda import Cuda
from dspctl.runtime.tensorrt.lane import Gpu, Lane, allocate_scratch
from dspctl.runtime.tensorrt.stamp import (
    FLAVORS,
    PLAN,
    RTX_FOLDER,
    EngineStamp,
    check_plan,
    check_stamp,
    engine_folder,
    plan_and_stamp,
    read_engine,
)

log = logging.getLogger(__name__)


class TrtRunner(BaseRunner):
    """Runs a policy's TensorRT plan on the first GPU; belongs to one thread at a time.

    Args:
        policy: what the plan was made from.
        plan: the serialised engine.
        stamp: what it was built from and for; compared with this machine first.
        onnx: the graph that it should have been built from, or None.
        command: what builds the plan anew, for messages.
        trt: stands in for the TensorRT module, in tests.
        cuda: stands in for the GPU, in tests.

    Attributes:
        device_memory_bytes: what the plan needs on the GPU to run, its own weights apart.

    Raises:
        MissingExtra: TensorRT or cuda-python is not installed.
        DeviceError: there is no usable GPU, or it refused a call.
        EngineMismatch: the plan is for another machine, TensorRT, graph or policy.
    """

    backend = "tensorrt"

    def __init__(
        self,
        policy: Policy,
        plan: bytes,
        stamp: EngineStamp,
        *,
        onnx: bytes | None = None,
        command: str = "",
        trt: Any = None,
        cuda: Cuda | None = None,
    ) -> None:
        super().__init__(policy)
        trt = tensorrt_module(stamp.flavor, "running a plan") if trt is None else trt
        self._cuda = Cuda() if cuda is None else cuda
        try:
            check_plan(stamp, plan, command=command)
            check_stamp(stamp, engine_machine(trt, self._cuda), onnx=onnx, command=command)
            self._logger = logger_of(trt)  # must outlive what is made with it
            self._runtime = trt.Runtime(self._logger)
            engine = self._runtime.deserialize_cuda_engine(plan)
            if engine is None:
                raise EngineMismatch(
                    f"TensorRT does not take this plan ({last_lines(self._logger)}): build it "
                    f"again with  {command or 'dspctl engine build BUNDLE --force'}"
                )
            _check_tensors(trt, engine, policy)
            self.max_batch = int(engine.get_tensor_profile_shape(INPUT, 0)[2][0])
            self._stream = self._cuda.stream()
            scratch = allocate_scratch(engine, self._cuda)
            self.device_memory_bytes = scratch[1]
            self._gpu: Gpu | None = Gpu(trt, engine, self._cuda, self._stream, scratch)
            self._one: Lane | None = Lane(self._gpu, 1)
            self._many: Lane | None = None
            self._launch = self._captured(self._one)
        except BaseException:
            self._cuda.close()
            raise

    @classmethod
    def from_folder(cls, policy: Policy, folder: Path) -> "TrtRunner":
        """Run the plan in *folder*, as ``dspctl engine build`` writes it, of any precision."""
        plan, stamp = read_engine(folder)
        return cls(policy, plan, stamp)

    def close(self) -> None:
        """Free the engine and everything on the GPU."""
        self._one = self._many = self._gpu = self._runtime = None
        self._launch = lambda: None  # lets go of the lane
        self._cuda.close()

    def _act(self, rows: NDArray[np.float32], action: NDArray[Any]) -> NDArray[np.uint8]:
        status = np.empty(len(rows), np.uint8)
        for part, lane in self._parts(rows):
            found = lane.out[ACTION][: len(rows[part])]
            status[part] = lane.out[STATUS][: len(rows[part])]
            self._write(found, status[part], action[part])
        return status

    def _outputs(self, rows: NDArray[np.float32]) -> NDArray[Any]:
        outputs = np.empty((len(rows), self.policy.layers[-1].width), np.float32)
        for part, lane in self._parts(rows):
            outputs[part] = lane.out[OUTPUTS][: len(rows[part])]
        return outputs

    def _parts(self, rows: NDArray[np.float32]) -> Iterator[tuple[slice, Lane]]:
        """Run *rows* in batches that the engine takes; yields each slice and what ran it."""
        if self._one is None or self._gpu is None:
            raise BackendUnavailable("this runner is closed: load the bundle again")
        if len(rows) == 1:
            self._one.replace(rows)
            self._launch()
            self._cuda.wait(self._stream)
            yield slice(0, 1), self._one
            return
        if self._many is None:
            self._many = Lane(self._gpu, self.max_batch)
        for start in range(0, len(rows), self.max_batch):
            part = slice(start, min(start + self.max_batch, len(rows)))
            self._many.prepare(rows[part])
            self._many.enqueue(len(rows[part]))
            self._cuda.wait(self._stream)
            yield part, self._many

    def _captured(self, lane: Lane) -> Callable[[], None]:
        """How to run *lane*'s one observation: its captured graph."""
        lane.enqueue(1)  # TensorRT finishes its set-up in the first run, which must not be captured
        self._cuda.wait(self._stream)
        capturable = getattr(lane.context, "is_stream_capturable", None)
        if capturable is not None and not capturable(int(self._stream)):
            log.warning("this plan cannot be captured as a CUDA graph and will run slower")
            return lambda: lane.enqueue(1)
        graph = self._cuda.capture(self._stream, lambda: lane.enqueue(1))
        return lambda: self._cuda.launch(graph, self._stream)


def open_tensorrt(bundle: Bundle) -> TrtRunner:
    """The runner for a bundle's float32 plan: beside the bundle, else the one inside.

    Raises:
        BackendUnavailable: there is no plan; the message holds the command that builds it.
        MissingExtra, DeviceError, EngineMismatch: as `TrtRunner`.
    """
    for flavor in FLAVORS:
        folder = engine_folder(bundle.path, flavor, "fp32")
        if folder.is_dir():
            plan, stamp = read_engine(folder)
            command = f"dspctl engine build {bundle.path} --flavor {flavor} --force"
            return TrtRunner(bundle.policy, plan, stamp, onnx=bundle.onnx, command=command)
    inside = {
        name.removeprefix(f"{RTX_FOLDER}/"): data
        for name, data in bundle.data.items()
        if name.startswith(f"{RTX_FOLDER}/")
    }
    command = f"dspctl engine build {bundle.path}"
    if PLAN not in inside:
        raise BackendUnavailable(f"{bundle.path} has no TensorRT plan yet: run  {command}")
    plan, stamp = plan_and_stamp(inside, f"{bundle.path}/{RTX_FOLDER}")
    command += " --flavor rtx"
    return TrtRunner(bundle.policy, plan, stamp, onnx=bundle.onnx, command=command)


def _check_tensors(trt: Any, engine: Any, policy: Policy) -> None:
    """The engine's tensors must be those of *policy*."""
    width, modes = policy.layers[-1].width, trt.TensorIOMode
    wanted = {
        INPUT: (modes.INPUT, (policy.observation.size,)),
        ACTION: (modes.OUTPUT, () if policy.action.discrete else (width,)),
        OUTPUTS: (modes.OUTPUT, (width,)),
        STATUS: (modes.OUTPUT, ()),
    }
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    found = {
        name: (engine.get_tensor_mode(name), tuple(engine.get_tensor_shape(name))[1:])
        for name in names
    }
    if found != wanted:
        raise EngineMismatch(
            f"the plan has the tensors {found}, but this policy needs {wanted}: build it again "
            "with  dspctl engine build BUNDLE --force"
        )
