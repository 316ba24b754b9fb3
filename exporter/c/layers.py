"""Layers as the templates see them: layouts with their constants, in the order they are read."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dspctl.exporter.c.constants import Array, BlockView, StripeView, constants
from dspctl.exporter.c.features import Features
from dspctl.exporter.c.layout import Affine, affine_layout, padded, stripes_of
from dspctl.exporter.native.targets import NativeTarget
from dspctl.runtime.policy import Policy


@dataclass(frozen=True)
class LayerView:
    """One layer: names, layout and constants.

    Attributes:
        number: from 1.
        last: it is the output layer.
        activation: of its units.
        layout: where its sums live.
        blocks, stripes: the parts of the layout, by columns or by rows.
        arrays: its constants.
        argument: what its function is given.
        input_size, result_size: elements of its argument and result, padding included.
        clears: the padding of its result must be zero (the next layer reads it).
        vector: written for vectors.
        has_bias: its units have biases.
        picks: where each of its inputs lies in its argument; None: one after the other.
    """

    number: int
    last: bool
    activation: str
    layout: Affine
    blocks: tuple[BlockView, ...]
    stripes: tuple[StripeView, ...]
    arrays: tuple[Array, ...]
    argument: str
    input_size: int
    result_size: int
    clears: bool
    vector: bool
    has_bias: bool
    picks: tuple[int, ...] | None

    @property
    def title(self) -> str:
        """For comments."""
        return "Output layer" if self.last else f"Hidden layer {self.number}"

    @property
    def units(self) -> str:
        """For comments: what its outputs are."""
        kind = "outputs" if self.last else f"{self.activation} units"
        return f"{self.layout.outputs} {kind}"

    @property
    def function(self) -> str:
        """Name of its C function."""
        return "output_layer" if self.last else f"hidden_{self.number}"

    @property
    def result(self) -> str:
        """Name of the variable that holds its result."""
        return "outputs" if self.last else f"layer_{self.number}"

    @property
    def result_type(self) -> str:
        """C type of its result."""
        return f"values{self.result_size}"

    @property
    def input_type(self) -> str:
        """C type of its argument when lanes hold inputs."""
        return f"values{self.input_size}"

    def input(self, index: int) -> str:
        """C expression: one of its inputs (``columns``)."""
        return f"input[{index if self.picks is None else self.picks[index]}]"

    def input_at(self, index: str) -> str:
        """The same for an index that is a variable."""
        return f"input[{index}]" if self.picks is None else f"input[FEATURE[{index}]]"

    @property
    def row_bias(self) -> str:
        """What a dot product starts with."""
        return f"BIAS_{self.number}[o]" if self.has_bias else "0.0F"

    def activate(self, lanes: int, value: str) -> str:
        """The activation of a vector expression."""
        if self.activation == "identity":
            return value
        return f"{self.activation}_{lanes}({value.removeprefix('(').removesuffix(')')})"

    def activate_one(self, value: str) -> str:
        """The activation of a number."""
        if self.activation == "identity":
            return value
        return f"relu_of({value})" if self.activation == "relu" else f"tanh_of({value})"


def layouts_of(policy: Policy, target: NativeTarget, *, strict: bool) -> tuple[Affine, ...]:
    """Where the sums of every layer live on *target*; *strict*: one order of additions."""
    lanes = target.lanes
    return tuple(
        affine_layout(
            layer.fan_in,
            layer.width,
            lanes,
            target.registers,
            strict,
            layer.activation,
            prepared=index == 0,
        )
        if lanes > 1
        else Affine(layer.fan_in, layer.width, (), ())
        for index, layer in enumerate(policy.layers)
    )


def layer_views(
    policy: Policy,
    target: NativeTarget,
    layouts: tuple[Affine, ...],
    features: Features,
    *,
    prepares: bool,
) -> tuple[LayerView, ...]:
    """The policy's layers as they are laid out.

    Args:
        policy: what is generated; masked units become zero rows.
        target: the machine.
        layouts: of its layers.
        features: how its inputs get to the first layer.
        prepares: they are prepared in a local variable, not read where the caller has them.
    """
    lanes = target.lanes
    views = []
    layers = (layer.unmasked for layer in policy.layers)
    for index, (layer, layout) in enumerate(zip(layers, layouts, strict=True)):
        number, last = index + 1, index == len(layouts) - 1
        weight = layer.weight.astype(np.float32)
        bias = None if layer.bias is None else layer.bias.astype(np.float32)
        blocks, stripes, arrays = constants(number, layout, weight, bias, lanes)
        first = "input" if prepares else "observation"
        argument = first if index == 0 else f"layer_{number - 1}"
        if lanes > 1 and (index > 0 or prepares):  # a union of vectors and numbers
            argument = f"&{argument}" if layout.rows else f"{argument}.value"
        views.append(
            LayerView(
                number=number,
                last=last,
                activation=layer.activation,
                layout=layout,
                blocks=blocks,
                stripes=stripes,
                arrays=arrays,
                argument=argument,
                input_size=padded(layer.fan_in, lanes),
                result_size=padded(layer.width, lanes),
                clears=not last and bool(layout.rows) and bool(layouts[index + 1].rows),
                vector=lanes > 1,
                has_bias=bias is not None,
                picks=tuple(map(int, features.read)) if index == 0 and features.skips else None,
            )
        )
    return tuple(views)


def widths_of(sizes: Sequence[int], lanes: int) -> tuple[int, ...]:
    """Every vector width that values of these sizes use, widest first."""
    found = {stripe.lanes for size in sizes for stripe in stripes_of(size, lanes)}
    return tuple(sorted(found, reverse=True))
