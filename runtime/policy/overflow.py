"""How large an unbounded feature may be before float32 arithmetic overflows.

Infinity times zero and infinity less infinity are NaN, and a NaN that reaches the action rule is no
action. So a range never reaches further than the network can compute.
"""

import numpy as np
from numpy.typing import NDArray

from dspctl.runtime.policy import Policy

_TOP = float(np.finfo(np.float32).max)


def largest_computable(policy: Policy, bounds: NDArray[np.float64]) -> float:
    """The largest power of ten (or the largest float32) that unbounded features may reach.

    By interval arithmetic on magnitudes, so that it holds for every order of additions.

    Args:
        policy: whose network.
        bounds: float64 [inputs], the largest magnitude of every feature that is read; infinite
            where nothing bounds it.

    Returns:
        The largest float32 as well where even the bounded features overflow: no range helps then.
    """
    for reach in (_TOP, *(10.0**exponent for exponent in range(38, 0, -1))):
        if _stays_finite(policy, np.minimum(bounds, reach)):
            return reach
    return _TOP


def _stays_finite(policy: Policy, largest: NDArray[np.float64]) -> bool:
    if policy.normalizer is not None:
        mean = np.abs(policy.normalizer.mean.astype(np.float64))
        scale = np.abs(policy.normalizer.scale.astype(np.float64))
        centred = largest + mean
        if policy.normalizer.clip is None:
            largest = centred * scale
            if max(centred.max(), largest.max()) > _TOP:
                return False
        else:
            # What overflows here is clipped; only infinity times a scale of zero would be NaN.
            if (centred[scale == 0] > _TOP).any():
                return False
            largest = np.minimum(centred * scale, policy.normalizer.clip)
    for layer in policy.layers:
        weight = np.abs(layer.unmasked.weight.astype(np.float64))
        largest = weight @ largest
        if layer.bias is not None:
            largest = largest + np.abs(layer.bias.astype(np.float64))
        # Every partial sum is below this; rounding adds less than one part in a thousand.
        if largest.max() > _TOP / 1.001:
            return False
        if layer.activation == "tanh":
            largest = np.minimum(largest, 1.0)
    return True
