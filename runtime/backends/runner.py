"""The one protocol every backend follows: raw observation in, environment action out.

`BaseRunner` is what the backends share, so that each is only its computation: it checks shapes,
raises where the guard says that nothing is computed, and is the context manager.
"""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from dspctl.runtime.policy import Policy
from dspctl.runtime.policy.observations import (
    check_action,
    check_observation,
    float32_from,
    invalid_observation,
)

Self = TypeVar("Self", bound="BaseRunner")


@runtime_checkable
class Runner(Protocol):
    """A policy ready to act. Also a context manager; ``close`` frees what it holds.

    Attributes:
        backend: the backend's name, as ``load`` takes it.
        policy: what is being run.
        why: why ``load`` chose this backend, or empty.
    """

    backend: str
    policy: Policy
    why: str

    def __call__(self, observation: NDArray[Any]) -> NDArray[Any]:
        """Act, or raise where there is nothing to act on.

        Args:
            observation: float [obs_dim] or [batch, obs_dim], raw.

        Returns:
            int64 [] or [batch] for a discrete policy, else float32 [action_dim] or
            [batch, action_dim].

        Raises:
            ObservationShape: the last dimension is not obs_dim, or the dtype is not a float.
            ObservationInvalid: in the modes ``flag`` and ``hold``, an observation that breaks the
                guard's rule. ``zero`` and ``clamp`` act on the repaired one.
        """
        ...

    def act(self, observation: NDArray[Any], action: NDArray[Any]) -> Any:
        """Write the action into the caller's buffer, whatever the values of the observation.

        Args:
            observation: float [obs_dim] or [batch, obs_dim], raw.
            action: C-ordered int64 [1] or float32 [action_dim]; for a batch int64 [batch] or
                float32 [batch, action_dim]. An invalid observation puts the safe action there
                (``flag``), leaves it as it is (``hold``), or is repaired (``zero``, ``clamp``).

        Returns:
            The status, bits of `dspctl.runtime.policy.guard`: an int, or uint8 [batch].

        Raises:
            ObservationShape: the observation or the buffer has another shape or type.
        """
        ...

    def outputs(self, observation: NDArray[Any]) -> NDArray[Any]:
        """Network outputs (logits or means) of the repaired observation, finite; never raises for
        values. Same leading shape as *observation*.
        """
        ...

    def close(self) -> None:
        """Free what the backend holds; the runner cannot be used afterwards."""
        ...

    def __enter__(self) -> "Runner": ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class BaseRunner(ABC):
    """A `Runner` whose backend computes batches: a subclass writes `_act` and `_outputs`.

    A subclass that has a shorter way for one observation overrides the public methods too.

    Args:
        policy: what is being run.
    """

    backend: str
    why: str = ""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._kind = np.dtype(np.int64 if policy.action.discrete else np.float32)
        self._width = () if policy.action.discrete else (policy.action.low.size,)
        self._holds = policy.guard.on_invalid == "hold"
        self._raises = not policy.guard.repairs

    @abstractmethod
    def _act(self, rows: NDArray[np.float32], action: NDArray[Any]) -> NDArray[np.uint8]:
        """Write the actions of *rows*, C-ordered float32 [n, obs_dim], and return their statuses.

        *action* is C-ordered int64 [n] or float32 [n, action_dim]. In mode ``hold`` rows that are
        invalid stay as they are; `_write` does that.
        """

    @abstractmethod
    def _outputs(self, rows: NDArray[np.float32]) -> NDArray[Any]:
        """Network outputs [n, out] of the repaired *rows*, C-ordered float32 [n, obs_dim]."""

    def __call__(self, observation: NDArray[Any]) -> NDArray[Any]:
        """Act, or raise; see `Runner`."""
        rows = self._rows(observation)
        action = np.empty((len(rows), *self._width), self._kind)
        if np.count_nonzero(self._act(rows, action)) and self._raises:
            raise invalid_observation(observation, self.policy)
        answer: NDArray[Any] = action if observation.ndim == 2 else action[0]
        return answer

    def act(self, observation: NDArray[Any], action: NDArray[Any]) -> Any:
        """Write the action into the caller's buffer; see `Runner`."""
        rows = self._rows(observation)
        if observation.ndim == 2:
            check_action(action, len(rows), self.policy)
            return self._act(rows, action)
        check_action(action, None, self.policy)
        return int(self._act(rows, action if self.policy.action.discrete else action[None])[0])

    def outputs(self, observation: NDArray[Any]) -> NDArray[Any]:
        """Network outputs of the repaired observation; see `Runner`."""
        outputs = self._outputs(self._rows(observation))
        answer: NDArray[Any] = outputs if observation.ndim == 2 else outputs[0]
        return answer

    def close(self) -> None:
        """Nothing to free; backends that hold something override this."""
        return

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _rows(self, observation: NDArray[Any]) -> NDArray[np.float32]:
        """The observations as C-ordered float32 [n, obs_dim]."""
        check_observation(observation, self.policy)
        rows = float32_from(observation)
        return rows if rows.ndim == 2 else rows[None]

    def _write(
        self, found: NDArray[Any], status: NDArray[np.uint8], action: NDArray[Any]
    ) -> NDArray[np.uint8]:
        """Copy a backend's answers into the caller's buffer; where they are held, leave it."""
        if self._holds and np.count_nonzero(status):
            valid = status == 0
            action[valid] = found[valid]
        else:
            action[...] = found
        return status
