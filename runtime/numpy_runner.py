"""The reference backend: the policy in NumPy, in float64 unless told otherwise.

Every other backend is compared with this one, at export and again on the device.
"""

from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.runtime.policy import Policy
from dspctl.runtime.runner import check_observation


class NumpyRunner:
    """Runs a policy with NumPy alone.

    Args:
        policy: what to run; masks, if any, are multiplied through (DSP Eq 8).
        dtype: the precision of the arithmetic; float64 is the reference.
    """

    backend = "numpy"

    def __init__(self, policy: Policy, dtype: type[np.floating[Any]] = np.float64) -> None:
        self.policy = policy
        self._dtype = dtype
        self._converted = policy.astype(dtype)  # once, not on every call

    def __call__(self, observation: NDArray[Any]) -> NDArray[Any]:
        """Act on raw observations; see :class:`dspctl.runtime.runner.Runner`."""
        action = self.policy.action.apply(self.outputs(observation))
        return action if self.policy.action.discrete else action.astype(np.float32)

    def outputs(self, observation: NDArray[Any]) -> NDArray[Any]:
        """Logits or means, in this runner's precision."""
        check_observation(observation, self.policy)
        return self._converted.outputs(observation.astype(self._dtype, copy=False))

    def close(self) -> None:
        """Nothing to free."""

    def __enter__(self) -> "NumpyRunner":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
