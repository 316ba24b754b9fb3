"""The network while it is being rewritten: float64, every unit with its original index.

Rewrites are plain functions from one `Network` to the next. They return the very same object when
they find nothing to do, which is how the fixed point is recognised. A hidden layer may fall to
width 0 on the way: the output is then a constant, and `policy_from_network` writes that constant
as one linear layer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from dspctl.compactor.groups import UnitGroups
from dspctl.errors import NotEquivalent
from dspctl.runtime import Layer, Normalizer, Policy
from dspctl.runtime.policy import Activation

Float64 = NDArray[np.float64]

Reason = Literal[
    "masked",  # training removed it
    "no-outgoing",  # nothing reads it
    "constant",  # nothing feeds it, or an input that never moves
    "inactive",  # a relu that no observation within the bounds switches on
    "saturated",  # a tanh that is one float64 value over all observations within the bounds
    "duplicate",  # another unit has the same row and bias
    "mirrored",  # another unit has the negated row and bias, and the activation is odd
    "unread-input",  # an observation feature that no unit reads
    "normaliser-folded",  # the feature's mean and scale went into the first layer
]
REASONS: tuple[Reason, ...] = get_args(Reason)

INPUT_LAYER = -1


class Removal(NamedTuple):
    """One thing that left.

    Attributes:
        layer: hidden layer counted from 0, or `INPUT_LAYER` for an observation feature.
        unit: the unit's index in the source layer, or the feature's index in the observation.
        reason: why it could leave.
    """

    layer: int
    unit: int
    reason: Reason


@dataclass(frozen=True, eq=False)
class Dense:
    """One layer: ``activation(weight @ x + bias)``.

    Attributes:
        weight: float64 [out, in]; out or in may be 0.
        bias: float64 [out]; zeros for a layer without biases.
        biased: True if the source layer stores a bias vector.
        activation: as in `Layer`.
        units: int64 [out], each row's index in the source layer.
    """

    weight: Float64
    bias: Float64
    biased: bool
    activation: Activation
    units: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Network:
    """What the rewrites work on.

    Attributes:
        layers: hidden layers, then the output layer.
        inputs: int64 [in], the observation features the first layer reads; never empty.
        normalizer: over those inputs, or None.
        removals: everything that has left so far.
    """

    layers: tuple[Dense, ...]
    inputs: NDArray[np.int64]
    normalizer: Normalizer | None
    removals: tuple[Removal, ...] = ()

    @property
    def depth(self) -> int:
        """Number of hidden layers."""
        return len(self.layers) - 1

    def group(self, layer: int) -> UnitGroups:
        """The unit groups of hidden layer *layer*."""
        here, following = self.layers[layer], self.layers[layer + 1]
        return UnitGroups(here.weight, here.bias, following.weight)

    def with_layer(self, index: int, layer: Dense) -> "Network":
        """The same network with one layer exchanged."""
        return replace(self, layers=(*self.layers[:index], layer, *self.layers[index + 1 :]))


def drop_units(
    network: Network, layer: int, reasons: Mapping[int, Reason], constants: Float64 | None = None
) -> Network:
    """Remove whole unit groups from a hidden layer.

    Args:
        network: what to remove from.
        layer: hidden layer, from 0.
        reasons: current index of each leaving unit and why it leaves.
        constants: float64 [units], the value each unit always has; it goes, times the outgoing
            weight, into the next layer's bias. None when the leaving units carry nothing on.
    """
    if not reasons:
        return network
    here, following = network.layers[layer], network.layers[layer + 1]
    leaving = sorted(reasons)
    kept = np.setdiff1d(np.arange(here.units.size), leaving)
    bias = following.bias
    if constants is not None:
        bias = bias + following.weight[:, leaving] @ constants[leaving]
    left = tuple(Removal(layer, int(here.units[unit]), reasons[unit]) for unit in leaving)
    group = network.group(layer).keep(kept)
    here = replace(
        here,
        weight=np.asarray(group.incoming, np.float64),
        bias=here.bias[kept],
        units=here.units[kept],
    )
    following = replace(following, weight=np.asarray(group.outgoing, np.float64), bias=bias)
    network = network.with_layer(layer, here).with_layer(layer + 1, following)
    return replace(network, removals=network.removals + left)


def drop_inputs(network: Network, reasons: Mapping[int, Reason]) -> Network:
    """Stop reading some input columns; the first one stays if otherwise none would."""
    leaving = sorted(reasons)
    if len(leaving) == network.inputs.size:
        leaving = leaving[1:]
    if not leaving:
        return network
    kept = np.setdiff1d(np.arange(network.inputs.size), leaving)
    first, normalizer = network.layers[0], network.normalizer
    if normalizer is not None:
        normalizer = replace(normalizer, mean=normalizer.mean[kept], scale=normalizer.scale[kept])
    left = tuple(
        Removal(INPUT_LAYER, int(network.inputs[column]), reasons[column]) for column in leaving
    )
    network = network.with_layer(0, replace(first, weight=first.weight[:, kept]))
    return replace(
        network,
        inputs=network.inputs[kept],
        normalizer=normalizer,
        removals=network.removals + left,
    )


def network_from_policy(policy: Policy) -> Network:
    """Every unit of *policy*, masked ones included, in float64."""
    layers = tuple(
        Dense(
            weight=layer.weight.astype(np.float64),
            bias=np.zeros(layer.width) if layer.bias is None else layer.bias.astype(np.float64),
            biased=layer.bias is not None,
            activation=layer.activation,
            units=np.arange(layer.width, dtype=np.int64),
        )
        for layer in policy.layers
    )
    return Network(layers, policy.inputs, policy.normalizer)


def policy_from_network(
    network: Network, source: Policy, dtype: type[np.float64] | type[np.float32]
) -> Policy:
    """*source* with the rewritten layers, inputs and normaliser, weights in *dtype*.

    A bias vector is written where the source layer has one or a folded constant needs one.
    """
    layers = network.layers
    if any(layer.units.size == 0 for layer in layers):
        # Nothing hidden is left, so nothing varies: a layer that reads one input with weight 0.
        output = layers[-1]
        layers = (replace(output, weight=np.zeros((output.units.size, 1))),)
    return replace(
        source,
        layers=tuple(
            Layer(
                weight=layer.weight.astype(dtype),
                bias=layer.bias.astype(dtype) if layer.biased or layer.bias.any() else None,
                activation=layer.activation,
            )
            for layer in layers
        ),
        inputs=network.inputs,
        normalizer=network.normalizer,
    )


def rounded(network: Network) -> Network:
    """*network* with every parameter rounded to float32, the precision of policy files.

    Raises:
        NotEquivalent: a merged or folded parameter is too large for float32.
    """
    layers = []
    for layer in network.layers:
        with np.errstate(over="ignore", under="ignore"):
            weight, bias = layer.weight.astype(np.float32), layer.bias.astype(np.float32)
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            raise NotEquivalent(
                "a merged weight or a folded bias is too large for float32, so the compact "
                "network cannot be stored; nothing was produced: keep the masked policy, or "
                "train again with smaller weights"
            )
        layers.append(
            replace(layer, weight=weight.astype(np.float64), bias=bias.astype(np.float64))
        )
    return replace(network, layers=tuple(layers))
