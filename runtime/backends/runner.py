"""What the backends share, so that each is only its computation.

`BaseRunner` checks shapes, raises where the guard says that nothing is computed, and is the context
manager. The protocol that it follows, `Runner`, can be imported from here too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from dspctl.runtime.policy.checks import somewhere
from dspctl.runtime.policy.observations import (
    check_action,
    check_observation,
    float32_from,
    invalid_observation,
)

if TYPE_CHECKING:
    from types import TracebackType

    from numpy.typing import NDArray

    from dspctl.runtime.backends.protocol import Runner
    from dspctl.runtime.policy import Policy

__all__ = ["BaseRunner", "Runner"]

Self = TypeVar("Self", bound="BaseRunner")


def __getattr__(name: str) -> Any:
    """`Runner`, loaded on first use: to run a policy nobody has to look at a protocol (PEP 562)."""
    if name == "Runner":
        from dspctl.runtime.backends.protocol import Runner

        return Runner
    raise AttributeError(f"module 'dspctl.runtime.backends.runner' has no attribute {name!r}")


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
        if somewhere(self._act(rows, action)) and self._raises:
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
        if self._holds and somewhere(status):
            valid = status == 0
            action[valid] = found[valid]
        else:
            action[...] = found
        return status
