"""Interval arithmetic: which values can each unit take, over all admissible observations?

Intervals are rounded outwards, so that they hold for the float64 evaluation too and a unit that is
called constant is one. Infinite ends are allowed everywhere.

Where the bounds of the observation come from decides what the answer is worth:

* A normaliser that clips bounds its output whatever the observation is.
* A *declared* bound is the environment's word. It is believed only while recorded observations
  support it: they must be given, and a side that one of them breaks counts as unbounded. (Declared
  bounds are not always kept: LunarLander's have been wrong before.)
* A bound at the largest float32 is the older spelling of "none".
"""

from typing import NamedTuple

import numpy as np

from dspctl.compactor.network import Dense, Float64, Network
from dspctl.runtime import Normalizer, ObservationSpec
from dspctl.runtime.policy import Activation

UNIT_ROUNDOFF = 2.0**-53
_NO_BOUND = float(np.finfo(np.float32).max)


class Interval(NamedTuple):
    """A box: float64 [n] lower and upper ends, possibly infinite, low <= high."""

    low: Float64
    high: Float64


def unbounded(size: int) -> Interval:
    """The box of all observations with *size* features."""
    return Interval(np.full(size, -np.inf), np.full(size, np.inf))


def supported_bounds(spec: ObservationSpec, recorded: Float64) -> Interval:
    """The declared bounds as far as *recorded* observations, float64 [n, obs_dim], support them."""
    if not len(recorded):
        return unbounded(spec.size)
    low, high = spec.low.astype(np.float64), spec.high.astype(np.float64)
    none_below = (low <= -_NO_BOUND) | (recorded.min(axis=0) < low)
    none_above = (high >= _NO_BOUND) | (recorded.max(axis=0) > high)
    return Interval(np.where(none_below, -np.inf, low), np.where(none_above, np.inf, high))


def normalized_interval(normalizer: Normalizer, raw: Interval) -> Interval:
    """``(x - mean) * scale`` over *raw*, before any clip.

    An end is exact (as the policy itself computes it) where the feature cannot move.
    """
    mean, scale = normalizer.mean.astype(np.float64), normalizer.scale.astype(np.float64)
    with np.errstate(invalid="ignore"):  # inf * 0, replaced below
        ends = (raw.low - mean) * scale, (raw.high - mean) * scale
    low = np.where(scale == 0, 0.0, np.minimum(*ends))
    high = np.where(scale == 0, 0.0, np.maximum(*ends))
    slack = np.where(low == high, 0.0, 4 * UNIT_ROUNDOFF)
    return _widened(Interval(low, high), slack)


def first_layer_interval(network: Network, bounds: Interval) -> Interval:
    """What the first layer is given for observations within *bounds*: normalised and clipped."""
    raw = Interval(bounds.low[network.inputs], bounds.high[network.inputs])
    if network.normalizer is None:
        return raw
    box = normalized_interval(network.normalizer, raw)
    clip = network.normalizer.clip
    if clip is None:
        return box
    return Interval(np.clip(box.low, -clip, clip), np.clip(box.high, -clip, clip))


def affine_interval(layer: Dense, box: Interval) -> Interval:
    """``weight @ x + bias`` for x within *box*, float64 [out]."""
    weight = layer.weight
    with np.errstate(invalid="ignore"):  # inf * 0, replaced below
        at_low, at_high = weight * box.low, weight * box.high
    zero = np.zeros_like(weight)
    low = np.where(weight > 0, at_low, np.where(weight < 0, at_high, zero))
    high = np.where(weight > 0, at_high, np.where(weight < 0, at_low, zero))
    # n products and n sums, once here and once in the network: Higham, section 3.1.
    slack = 2 * (weight.shape[1] + 2) * UNIT_ROUNDOFF
    return Interval(
        low.sum(axis=1) + layer.bias - slack * (np.abs(low).sum(axis=1) + np.abs(layer.bias)),
        high.sum(axis=1) + layer.bias + slack * (np.abs(high).sum(axis=1) + np.abs(layer.bias)),
    )


def activation_interval(activation: Activation, box: Interval) -> Interval:
    """``activation(z)`` for z within *box*; all three activations are monotone."""
    if activation == "relu":
        return Interval(np.maximum(box.low, 0.0), np.maximum(box.high, 0.0))
    if activation == "tanh":
        values = Interval(np.tanh(box.low), np.tanh(box.high))
        wide = _widened(values, np.full(box.low.size, 8 * UNIT_ROUNDOFF))
        return Interval(np.maximum(wide.low, -1.0), np.minimum(wide.high, 1.0))
    return box


def activate(activation: Activation, z: Float64) -> Float64:
    """The activation itself, element-wise."""
    if activation == "tanh":
        return np.tanh(z)
    return np.maximum(z, 0.0) if activation == "relu" else z


def _widened(box: Interval, slack: Float64) -> Interval:
    """*box* with both ends moved outwards by a share of their own size."""
    return Interval(box.low - slack * np.abs(box.low), box.high + slack * np.abs(box.high))
