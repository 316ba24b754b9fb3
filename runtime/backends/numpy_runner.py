"""The reference backend: the policy in NumPy, in float64 unless told otherwise.

Every other backend is compared with this one, at export and again on the device.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.runtime.backends.runner import BaseRunner
from dspctl.runtime.policy import Policy


class NumpyRunner(BaseRunner):
    """Runs a policy with NumPy alone.

    Args:
        policy: what to run; masks, if any, are multiplied through (DSP Eq 8).
        dtype: the precision of the arithmetic; float64 is the reference.
    """

    backend = "numpy"

    def __init__(self, policy: Policy, dtype: type[np.floating[Any]] = np.float64) -> None:
        super().__init__(policy)
        self._dtype = dtype
        self._converted = policy.astype(dtype)  # once, not on every call
        self._low = policy.guard.low[policy.inputs]
        self._high = policy.guard.high[policy.inputs]
        self._every_finite = policy.guard.every_finite

    def _act(self, rows: NDArray[np.float32], action: NDArray[Any]) -> NDArray[np.uint8]:
        policy = self._converted
        if self._valid(rows):
            action[...] = policy.action.apply(self._network(rows))
            return np.zeros(len(rows), np.uint8)
        guard = policy.guard
        status = guard.status(rows, policy.inputs)
        found = policy.action.apply(self._network(guard.repair(rows, policy.inputs)))
        if not guard.repairs:
            found[status != 0] = guard.safe_action  # `hold` never copies these
        return self._write(found, status, action)

    def _outputs(self, rows: NDArray[np.float32]) -> NDArray[Any]:
        if not self._valid(rows):
            rows = self.policy.guard.repair(rows, self.policy.inputs)
        return self._network(rows)

    def _network(self, rows: NDArray[np.float32]) -> NDArray[Any]:
        if self._dtype is not np.float64:
            # A valid observation may be so large that a lower precision overflows.
            with np.errstate(over="ignore", invalid="ignore"):
                return self._converted.outputs(rows.astype(self._dtype, copy=False))
        if len(rows) == 1:  # a vector takes four fifths of the time of a batch of one
            return self._converted.outputs(rows[0].astype(np.float64))[None]
        return self._converted.outputs(rows.astype(np.float64))

    def _valid(self, rows: NDArray[np.float32]) -> bool:
        """True when every row obeys the guard's rule, which is nearly always."""
        x = rows.take(self.policy.inputs, axis=1)
        inside = np.isfinite(x) if self._every_finite else (x >= self._low) & (x <= self._high)
        return bool(np.count_nonzero(inside) == inside.size)
