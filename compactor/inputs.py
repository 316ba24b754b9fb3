"""Rewrites on the input side: features nothing reads, features that never move, the normaliser."""

from dataclasses import replace

import numpy as np

from dspctl.compactor.intervals import Interval, first_layer_interval, normalized_interval
from dspctl.compactor.network import INPUT_LAYER, Network, Reason, Removal, drop_inputs

# Folding replaces (x - mean) * scale by x * scale - mean * scale. In float64 that is exact to
# rounding, but in the float32 that is stored it costs log2(|mean| * scale) bits to cancellation.
# Up to this ratio of mean to standard deviation it costs at most four of 24.
_LARGEST_OFFSET = 16.0


def drop_unread_inputs(network: Network, bounds: Interval) -> Network:
    """Stop reading features whose column in the first layer is all zero."""
    unread = ~network.layers[0].weight.any(axis=0)
    reasons: dict[int, Reason] = {int(column): "unread-input" for column in np.flatnonzero(unread)}
    return drop_inputs(network, reasons)


def fold_constant_inputs(network: Network, bounds: Interval) -> Network:
    """Fold features that have one value within *bounds* into the first layer's bias."""
    first = network.layers[0]
    box = first_layer_interval(network, bounds)
    constant = (box.low == box.high) & first.weight.any(axis=0)
    if not constant.any():
        return network
    bias = first.bias + first.weight[:, constant] @ box.low[constant]
    network = network.with_layer(
        0, replace(first, weight=np.where(constant, 0.0, first.weight), bias=bias)
    )
    reasons: dict[int, Reason] = {int(column): "constant" for column in np.flatnonzero(constant)}
    return drop_inputs(network, reasons)


def fold_normalizer(network: Network, bounds: Interval) -> Network:
    """Put ``(x - mean) * scale`` into the first layer where the clip can never act.

    That is so when the normaliser has no clip, or when every feature that is read stays inside
    the clip over all of *bounds*. The normaliser stays if some feature's mean is so many standard
    deviations from 0 that the folded float32 network would lose accuracy.
    """
    normalizer, first = network.normalizer, network.layers[0]
    if normalizer is None:
        return network
    read = first.weight.any(axis=0)
    raw = Interval(bounds.low[network.inputs], bounds.high[network.inputs])
    box = normalized_interval(normalizer, raw)
    if normalizer.clip is not None:
        inside = (box.low >= -normalizer.clip) & (box.high <= normalizer.clip)
        if not inside[read].all():
            return network
    mean, scale = normalizer.mean.astype(np.float64), normalizer.scale.astype(np.float64)
    if (np.abs(mean * scale)[read] > _LARGEST_OFFSET).any():
        return network
    weight = first.weight * scale
    folded = replace(first, weight=weight, bias=first.bias - weight @ mean)
    left = tuple(
        Removal(INPUT_LAYER, int(feature), "normaliser-folded") for feature in network.inputs
    )
    network = network.with_layer(0, folded)
    return replace(network, normalizer=None, removals=network.removals + left)
