"""The native backend: the compiled policy, with as little Python as possible on top of the C call.

A compact policy takes some 20 ns in C; every line of Python costs as much. What one call does is
therefore written out once per kind of action, as a closure over everything it needs:

- type, dtype and shape are compared by identity where that is possible;
- the observation goes in as the bytes that ``tobytes`` copies, whatever its strides;
- the answer comes back through a buffer taken from a list and given back to it. ``list.pop`` and
  ``list.append`` are atomic, so a buffer belongs to one call at a time: any number of threads may
  use a runner;
- a discrete action is an ``int64`` made in advance.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from dspctl.runtime.backends.native_library import Library, library_from_bundle
from dspctl.runtime.backends.runner import BaseRunner
from dspctl.runtime.on_demand import errors
from dspctl.runtime.policy.observations import invalid_observation
from dspctl.runtime.records import record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dspctl.runtime.bundle import Bundle
    from dspctl.runtime.policy import Policy

_FLOAT32, _INT64 = np.dtype(np.float32), np.dtype(np.int64)


@record(frozen=True, eq=False)
class _General:
    """The ways for every array that is not one float32 observation."""

    call: Callable[[NDArray[Any]], NDArray[Any]]
    act: Callable[[NDArray[Any], NDArray[Any]], Any]


@record(frozen=True, eq=False)
class _Calls:
    """The public methods of one runner, and what makes them refuse."""

    call: Callable[[NDArray[Any]], NDArray[Any]]
    act: Callable[[NDArray[Any], NDArray[Any]], Any]
    close: Callable[[], None]


class NativeRunner(BaseRunner):
    """Runs a policy's compiled C on this processor; safe to use from several threads.

    Args:
        policy: what was compiled.
        library: its functions.
    """

    backend = "native"
    _close: Callable[[], None]

    def __new__(cls, policy: Policy, library: Library) -> NativeRunner:
        """A class of its own for every runner: ``__call__`` is looked up there, and a plain
        function there costs 60 ns less than a method that reads its instance.
        """
        general = _General(
            lambda observation: BaseRunner.__call__(runner, observation),
            lambda observation, action: BaseRunner.act(runner, observation, action),
        )
        calls = (_discrete if policy.action.discrete else _continuous)(policy, library, general)
        members = {
            "__call__": staticmethod(calls.call),
            "act": staticmethod(calls.act),
            "_close": staticmethod(calls.close),
            "__module__": __name__,
        }
        runner: NativeRunner = object.__new__(type(cls.__name__, (cls,), members))
        return runner

    def __init__(self, policy: Policy, library: Library) -> None:
        super().__init__(policy)
        self.target = library.target
        self._library: Library | None = library
        self._c_kind = np.dtype(np.int32) if policy.action.discrete else _FLOAT32

    def close(self) -> None:
        """Stop answering; the library itself stays open until the process ends."""
        self._library = None
        self._close()

    def _act(self, rows: NDArray[np.float32], action: NDArray[Any]) -> NDArray[np.uint8]:
        # The C of a continuous policy writes what the caller wants, and in mode ``hold`` nothing.
        found = action if action.dtype == self._c_kind else np.zeros(action.shape, self._c_kind)
        status = np.zeros(len(rows), np.uint8)
        self._opened().act_batch(rows.ctypes.data, found.ctypes.data, status.ctypes.data, len(rows))
        return status if found is action else self._write(found, status, action)

    def _outputs(self, rows: NDArray[np.float32]) -> NDArray[Any]:
        outputs = np.empty((len(rows), self.policy.layers[-1].width), np.float32)
        compute, width = self._opened().outputs, outputs.strides[0]
        first, answer = rows.ctypes.data, outputs.ctypes.data
        for row in range(len(rows)):
            compute(
                ctypes.c_void_p(first + row * rows.strides[0]),
                ctypes.c_void_p(answer + row * width),
            )
        return outputs

    def _opened(self) -> Library:
        if self._library is None:
            raise errors.BackendUnavailable("this runner is closed: load the bundle again")
        return self._library


def runner_from_bundle(bundle: Bundle, target: str | None = None) -> NativeRunner:
    """The native runner of a bundle.

    Args:
        bundle: it holds native libraries.
        target: the folder under ``native/`` to run; None for the best-fitting one.

    Raises:
        BackendUnavailable: there is none, or it cannot be opened.
        WrongProcessor: it may not run on this processor.
    """
    return NativeRunner(bundle.policy, library_from_bundle(bundle, target))


def _discrete(policy: Policy, library: Library, general: _General) -> _Calls:
    """The calls of a discrete policy."""
    c_act, shape, start = library.act, (policy.observation.size,), policy.action.start
    raises, holds = not policy.guard.repairs, policy.guard.on_invalid == "hold"
    array, float32, int64, one = np.ndarray, _FLOAT32, _INT64, (1,)
    actions = _Actions({start + i: np.int64(start + i) for i in range(policy.layers[-1].width)})
    buffer = ctypes.c_int32 * 1
    buffers = [buffer(start)]
    take, give = buffers.pop, buffers.append

    def call(observation: NDArray[Any]) -> NDArray[Any]:
        if (
            type(observation) is array
            and observation.dtype is float32
            and observation.shape == shape
        ):
            try:
                found = take()
            except IndexError:  # as many calls at once as there are buffers
                found = buffer(start)
            status = c_act(observation.tobytes(), found)
            answer: NDArray[Any] = actions[found[0]]
            give(found)
            if status and raises:
                raise invalid_observation(observation, policy)
            return answer
        return general.call(observation)

    def act(observation: NDArray[Any], action: NDArray[Any]) -> Any:
        if (
            type(observation) is array
            and observation.dtype is float32
            and observation.shape == shape
            and type(action) is array
            and action.dtype is int64
            and action.shape == one
        ):
            try:
                found = take()
            except IndexError:
                found = buffer(start)
            status = c_act(observation.tobytes(), found)
            answer = found[0]
            give(found)
            if not (status and holds):
                action[0] = answer
            return status
        return general.act(observation, action)

    def close() -> None:
        nonlocal c_act
        c_act = _refuse

    return _Calls(call, act, close)


def _continuous(policy: Policy, library: Library, general: _General) -> _Calls:
    """The calls of a continuous policy; an answer is a copy, so that the caller may keep it."""
    c_act, shape, width = library.act, (policy.observation.size,), (policy.action.low.size,)
    raises, holds = not policy.guard.repairs, policy.guard.on_invalid == "hold"
    array, float32 = np.ndarray, _FLOAT32
    memory = ctypes.c_float * policy.action.low.size

    def buffer() -> tuple[Any, NDArray[np.float32], Callable[[], NDArray[np.float32]]]:
        floats: Any = memory()
        found = np.frombuffer(floats, np.float32)
        return ctypes.byref(floats), found, found.copy

    buffers = [buffer()]
    take, give = buffers.pop, buffers.append

    def call(observation: NDArray[Any]) -> NDArray[Any]:
        if (
            type(observation) is array
            and observation.dtype is float32
            and observation.shape == shape
        ):
            try:
                taken = take()
            except IndexError:
                taken = buffer()
            pointer, _, copy = taken
            status = c_act(observation.tobytes(), pointer)
            answer = copy()
            give(taken)
            if status and raises:
                raise invalid_observation(observation, policy)
            return answer
        return general.call(observation)

    def act(observation: NDArray[Any], action: NDArray[Any]) -> Any:
        if (
            type(observation) is array
            and observation.dtype is float32
            and observation.shape == shape
            and type(action) is array
            and action.dtype is float32
            and action.shape == width
        ):
            try:
                taken = take()
            except IndexError:
                taken = buffer()
            pointer, found, _ = taken
            status = c_act(observation.tobytes(), pointer)
            if not (status and holds):
                action[...] = found
            give(taken)
            return status
        return general.act(observation, action)

    def close() -> None:
        nonlocal c_act
        c_act = _refuse

    return _Calls(call, act, close)


class _Actions(dict[int, Any]):
    """Actions made in advance; a library that answers another one is shown to do so."""

    def __missing__(self, action: int) -> Any:
        return np.int64(action)


def _refuse(observation: bytes, action: Any) -> int:
    raise errors.BackendUnavailable("this runner is closed: load the bundle again")
