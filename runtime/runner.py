"""The one protocol every backend follows: raw observation in, environment action out."""

from types import TracebackType
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from dspctl.errors import ObservationNotFinite, ObservationShape
from dspctl.runtime.policy import Policy

FLOAT32_MAX = np.float64(np.finfo(np.float32).max)


@runtime_checkable
class Runner(Protocol):
    """A policy ready to act. Also a context manager; ``close`` frees what it holds.

    Attributes:
        backend: the backend's name, as ``load`` takes it.
        policy: what is being run.
    """

    backend: str
    policy: Policy

    def __call__(self, observation: NDArray[Any]) -> NDArray[Any]:
        """Act.

        Args:
            observation: float [obs_dim] or [batch, obs_dim], raw.

        Returns:
            int64 [] or [batch] for a discrete policy, else float32 [action_dim] or
            [batch, action_dim].

        Raises:
            ObservationShape: the last dimension is not obs_dim, or the dtype is not a float.
            ObservationNotFinite: a NaN, an infinity or a value beyond float32; what a vehicle
                does without an action is for its control loop to decide.
        """
        ...

    def outputs(self, observation: NDArray[Any]) -> NDArray[Any]:
        """Raw network outputs (logits or means), same leading shape as *observation*."""
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


def check_observation(observation: NDArray[Any], policy: Policy) -> None:
    """Refuse an observation the policy cannot read.

    Raises:
        ObservationShape: wrong last dimension, more than two dimensions, or not a float array.
        ObservationNotFinite: a value that is not a finite float32.
    """
    size = policy.observation.size
    if not isinstance(observation, np.ndarray):
        raise ObservationShape(
            f"observations must be NumPy arrays, not {type(observation).__name__}: "
            "convert with numpy.asarray(observation, 'float32')"
        )
    if observation.ndim not in (1, 2) or observation.shape[-1] != size:
        raise ObservationShape(
            f"this policy reads observations of shape [{size}] or [batch, {size}], "
            f"not {list(observation.shape)}"
        )
    if observation.dtype.kind != "f":
        raise ObservationShape(
            f"observations must be floating point, not {observation.dtype}: "
            "convert with .astype('float32')"
        )
    if observation.dtype.itemsize <= 4:
        usable = np.isfinite(observation)
    else:
        usable = np.abs(observation) <= FLOAT32_MAX  # other backends compute in float32
    if b"\0" in usable.tobytes():  # a quarter of the time of usable.all()
        feature = int(np.argwhere(~usable)[0][-1])
        names = policy.observation.names
        raise ObservationNotFinite(
            f"observation feature {feature}{f' ({names[feature]})' if names else ''} is not a "
            "finite float32 number: check the sensor or the environment"
        )
