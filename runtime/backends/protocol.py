"""The one protocol every backend follows: raw observation in, environment action out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from types import TracebackType

    from numpy.typing import NDArray

    from dspctl.runtime.policy import Policy


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

    def __enter__(self) -> Runner: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
