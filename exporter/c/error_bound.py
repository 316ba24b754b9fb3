"""How far generated code may be from exact arithmetic: a bound that is proved, not measured.

Forward error analysis (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1):
a sum of n products in float32, in any order and with or without fused multiply-adds, is off by at
most ``gamma(n + 1) * sum |w x|``. Through a layer, errors of the inputs grow by at most ``|W|``,
since every activation has a slope of at most 1. The bound holds for the largest inputs there can
be, so it is far above what is ever measured; the golden vectors carry measured tolerances.
"""

import numpy as np
from numpy.typing import NDArray

from dspctl.exporter.c.rational_tanh import TANH_BOUND
from dspctl.runtime.policy import Policy
from dspctl.runtime.policy.guard import NO_BOUND
from dspctl.runtime.policy.overflow import largest_computable
from dspctl.runtime.reference.edges import UNBOUNDED_REACH

_UNIT_ROUNDOFF = 2.0**-24


def output_error_bound(policy: Policy) -> float:
    """Largest absolute rounding error of a network output (logit or mean).

    Holds for every valid observation whose unbounded features lie within ±`UNBOUNDED_REACH`; a
    feature with a range of its own may be anywhere in it, however wide it is.
    """
    largest, error = _inputs(policy)
    for layer in (each.unmasked for each in policy.layers):
        weight = np.abs(layer.weight.astype(np.float64))
        bias = np.zeros(layer.width)
        if layer.bias is not None:
            bias = np.abs(layer.bias.astype(np.float64))
        reach = weight @ (largest + error) + bias
        error = weight @ error + _gamma(layer.fan_in + 2) * reach
        largest = weight @ largest + bias
        if layer.activation == "tanh":
            error = error + TANH_BOUND
            largest = np.minimum(largest, 1.0)
    return float(error.max())


def _inputs(policy: Policy) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Largest magnitude of every network input, and of its error."""
    low, high = _reach(policy)
    if policy.normalizer is None:
        largest = np.maximum(np.abs(low), np.abs(high))
        return largest, np.zeros_like(largest)
    mean = policy.normalizer.mean.astype(np.float64)
    scale = np.abs(policy.normalizer.scale.astype(np.float64))
    largest = np.maximum(np.abs(low - mean), np.abs(high - mean)) * scale
    if policy.normalizer.clip is not None:
        largest = np.minimum(largest, policy.normalizer.clip)
    return largest, _gamma(3) * largest


def _reach(policy: Policy) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What a feature lies between: the guard's range, or `UNBOUNDED_REACH` where it has no end.

    At an export a feature that nothing bounds gets as its range what the network can compute. Such
    an end is no bound either, unlike the same number in the environment's declaration.
    """
    guard, declared, read = policy.guard, policy.observation, policy.inputs
    nowhere = np.full(read.size, np.inf)
    computable = float(np.float32(largest_computable(policy, nowhere)))
    ends = []
    for sign, end, said in ((-1, guard.low, declared.low), (1, guard.high, declared.high)):
        far = sign * end[read].astype(np.float64)
        open_ended = (far >= NO_BOUND) | ((far >= computable) & (end[read] != said[read]))
        ends.append((sign * far, open_ended))
    (low, open_below), (high, open_above) = ends
    return (
        np.where(open_below, np.minimum(-UNBOUNDED_REACH, high), low),
        np.where(open_above, np.maximum(UNBOUNDED_REACH, low), high),
    )


def _gamma(operations: int) -> float:
    """``n u / (1 - n u)``: what n roundings in a row can do, relatively."""
    product = operations * _UNIT_ROUNDOFF
    return product / (1.0 - product)
