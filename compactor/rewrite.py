"""Rewrites that remove hidden units without changing what the network computes.

Each takes the network and the bounds of the observation, and returns the next network, or the same
object when there is nothing to remove. `reduce_network` applies all of them to a fixed point.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dspctl.compactor.inputs import drop_unread_inputs, fold_constant_inputs, fold_normalizer
from dspctl.compactor.intervals import (
    Interval,
    activate,
    activation_interval,
    affine_interval,
    first_layer_interval,
)
from dspctl.compactor.network import Network, Reason, drop_units


def remove_masked(network: Network, masks: Sequence[NDArray[np.bool_]]) -> Network:
    """Remove the units whose mask is False: they give 0, so nothing is folded (DSP Eq 8)."""
    for layer, mask in enumerate(masks):
        network = drop_units(network, layer, _because("masked", ~mask))
    return network


def drop_no_outgoing(network: Network, bounds: Interval) -> Network:
    """Remove units that nothing reads, last layer first so that one sweep sees the cascade."""
    for layer in reversed(range(network.depth)):
        unread = ~network.group(layer).outgoing.any(axis=0)
        network = drop_units(network, layer, _because("no-outgoing", unread))
    return network


def drop_no_incoming(network: Network, bounds: Interval) -> Network:
    """Remove units that nothing feeds; ``activation(bias)`` goes into the next bias."""
    for layer in range(network.depth):
        here = network.layers[layer]
        unfed = ~here.weight.any(axis=1)
        values = activate(here.activation, here.bias)
        network = drop_units(network, layer, _because("constant", unfed), values)
    return network


def merge_duplicates(network: Network, bounds: Interval) -> Network:
    """Merge units with equal row and bias, or negated ones where the activation is odd.

    The first of them stays and takes the others' outgoing columns, added or subtracted.
    """
    for layer in range(network.depth):
        here, following = network.layers[layer], network.layers[layer + 1]
        odd = here.activation != "relu"
        # Adding 0.0 turns -0.0 into 0.0, so that equal numbers have equal bytes.
        rows = np.column_stack([here.weight, here.bias]) + 0.0
        outgoing = following.weight.copy()
        first_with: dict[bytes, int] = {}
        reasons: dict[int, Reason] = {}
        for unit, row in enumerate(rows):
            same, mirror = row.tobytes(), (0.0 - row).tobytes()
            if same in first_with:
                outgoing[:, first_with[same]] += outgoing[:, unit]
                reasons[unit] = "duplicate"
            elif odd and mirror in first_with:
                outgoing[:, first_with[mirror]] -= outgoing[:, unit]
                reasons[unit] = "mirrored"
            else:
                first_with[same] = unit
        if reasons:
            network = network.with_layer(layer + 1, replace(following, weight=outgoing))
            network = drop_units(network, layer, reasons)
    return network


def drop_constant_over_bounds(network: Network, bounds: Interval) -> Network:
    """Remove units that interval analysis finds constant for every observation in *bounds*.

    A relu that is never above 0 gives 0. A tanh whose interval rounds to one float64 number gives
    that number.
    """
    box = first_layer_interval(network, bounds)
    for layer in range(network.depth):
        here = network.layers[layer]
        before = affine_interval(here, box)
        after = activation_interval(here.activation, before)
        if here.activation == "relu":
            constant = before.high <= 0
            values, reasons = np.zeros(here.units.size), _because("inactive", constant)
        elif here.activation == "tanh":
            values = np.tanh(before.low)
            constant = values == np.tanh(before.high)
            reasons = _because("saturated", constant)
        else:
            box = after
            continue
        network = drop_units(network, layer, reasons, values)
        box = Interval(after.low[~constant], after.high[~constant])
    return network


Rewrite = Callable[[Network, Interval], Network]

REWRITES: tuple[Rewrite, ...] = (
    drop_no_outgoing,
    drop_no_incoming,
    merge_duplicates,
    drop_constant_over_bounds,
    fold_constant_inputs,
    drop_unread_inputs,
    fold_normalizer,
)


def reduce_network(network: Network, bounds: Interval) -> Network:
    """Apply every rewrite until none finds anything; the same object if there is nothing at all.

    It ends, because each change removes a unit, an input or the normaliser, or zeroes the column
    of an input that is then never looked at again.
    """
    while True:
        start = network
        for rewrite in REWRITES:
            network = rewrite(network, bounds)
        if network is start:
            return network


def _because(reason: Reason, leaving: ArrayLike) -> dict[int, Reason]:
    return {int(unit): reason for unit in np.flatnonzero(leaving)}
