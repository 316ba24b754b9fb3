"""The ONNX Runtime backend: one thread, no spinning, no allocation on the path of one observation.

A control loop shares its cores with the rest of the vehicle. ONNX Runtime's default thread pool
spins while it waits and starves the others; a policy is too small to gain from a second thread.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.errors import BackendUnavailable, MissingExtra
from dspctl.runtime.backends.runner import BaseRunner
from dspctl.runtime.policy import Policy
from dspctl.runtime.policy.observations import check_action, invalid_observation

INPUT, ACTION, OUTPUTS, STATUS = "observation", "action", "outputs", "status"
"""The graph's names; ``docs/bundle.md`` describes them."""

_FLOAT32 = np.dtype(np.float32)


class OnnxRunner(BaseRunner):
    """Runs a policy's ONNX graph on the CPU.

    One observation goes through buffers bound once, which makes a runner belong to one thread at a
    time.

    Args:
        policy: what the graph was made from.
        model: the serialised graph.

    Raises:
        MissingExtra: onnxruntime is not installed.
        BackendUnavailable: the graph does not load, or is not one that dspctl writes.
    """

    backend = "onnxruntime"

    def __init__(self, policy: Policy, model: bytes) -> None:
        ort = _onnxruntime()
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        options.log_severity_level = 3  # errors only: a vehicle's log is not for optimiser notes
        try:
            session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own types, which differ between releases
            raise BackendUnavailable(
                f"ONNX Runtime cannot load this graph ({_first_line(error)}): export the policy "
                "again, or use --backend numpy"
            ) from error
        _check_signature(session, policy)
        super().__init__(policy)
        self._session: Any = session
        self._one: tuple[int, ...] = (policy.observation.size,)
        self._row = np.zeros((1, policy.observation.size), np.float32)
        self._found = np.zeros((1, *self._width), self._kind)
        self._status = np.zeros(1, np.int32)
        self._first_status = self._status.data  # a memoryview gives an int in a third of the time
        self._answer = self._found if policy.action.discrete else self._found[0]
        self._binding = session.io_binding()
        self._binding.bind_input(INPUT, "cpu", 0, _FLOAT32, self._row.shape, self._row.ctypes.data)
        for name, buffer in ((ACTION, self._found), (STATUS, self._status)):
            self._binding.bind_output(
                name, "cpu", 0, buffer.dtype, buffer.shape, buffer.ctypes.data
            )

    def __call__(self, observation: NDArray[Any]) -> NDArray[Any]:
        """Act, or raise; see :class:`dspctl.runtime.backends.runner.Runner`."""
        status = self._run_one(observation)
        if status is None:
            return super().__call__(observation)
        if status and self._raises:
            raise invalid_observation(observation, self.policy)
        action: NDArray[Any] = self._found[0].copy()
        return action

    def act(self, observation: NDArray[Any], action: NDArray[Any]) -> Any:
        """Write the action; see :class:`dspctl.runtime.backends.runner.Runner`."""
        status = self._run_one(observation)
        if status is None:
            return super().act(observation, action)
        check_action(action, None, self.policy)
        if not (status and self._holds):
            action[...] = self._answer
        return status

    def close(self) -> None:
        """Free the session."""
        self._binding = self._session = None
        self._one = ()  # so that no observation takes the short way

    def _run_one(self, observation: NDArray[Any]) -> int | None:
        """Run a single float32 observation through the bound buffers.

        Returns:
            Its status; its action is in ``_found``. None for anything else, which is not run.
        """
        if (
            not isinstance(observation, np.ndarray)
            or observation.shape != self._one
            or observation.dtype != _FLOAT32
        ):
            return None
        self._row[0] = observation
        self._session.run_with_iobinding(self._binding)
        return self._first_status[0]

    def _act(self, rows: NDArray[np.float32], action: NDArray[Any]) -> NDArray[np.uint8]:
        found, status = self._run([ACTION, STATUS], rows)
        return self._write(found, status.astype(np.uint8), action)

    def _outputs(self, rows: NDArray[np.float32]) -> NDArray[Any]:
        outputs: NDArray[Any] = self._run([OUTPUTS], rows)[0]
        return outputs

    def _run(self, names: list[str], rows: NDArray[np.float32]) -> list[NDArray[Any]]:
        if self._session is None:
            raise BackendUnavailable("this runner is closed: load the bundle again")
        found: list[NDArray[Any]] = self._session.run(names, {INPUT: rows})
        return found


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtra("onnxruntime", "onnxruntime", "the onnxruntime backend") from error
    return onnxruntime


def _check_signature(session: Any, policy: Policy) -> None:
    """The graph's inputs and outputs must be those of *policy*."""
    outs = policy.layers[-1].width
    wanted = {
        INPUT: ("tensor(float)", (policy.observation.size,)),
        ACTION: ("tensor(int64)", ()) if policy.action.discrete else ("tensor(float)", (outs,)),
        OUTPUTS: ("tensor(float)", (outs,)),
        STATUS: ("tensor(int32)", ()),
    }
    found = {
        each.name: (each.type, tuple(each.shape[1:]))
        for each in (*session.get_inputs(), *session.get_outputs())
    }
    if found != wanted:
        raise BackendUnavailable(
            f"the graph has the inputs and outputs {found}, but this policy needs {wanted}: "
            "export the policy again"
        )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
