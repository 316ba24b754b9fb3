"""A layer's weights in the order in which its loops read them, as C initialisers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dspctl.exporter.c.layout import Affine, Block, Stripe, padded
from dspctl.exporter.c.literals import wrapped

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Array:
    """A constant: its C type, name, dimensions and initialiser."""

    type: str
    name: str
    shape: str
    text: str


@dataclass(frozen=True)
class BlockView:
    """A block of ``columns`` with the names of its constants."""

    block: Block
    weights: str
    bias_name: str | None

    @property
    def lanes(self) -> int:
        """Lanes of its vectors."""
        return self.block.lanes

    @property
    def vectors(self) -> int:
        """Vectors whose sums it holds."""
        return self.block.vectors

    @property
    def chains(self) -> int:
        """Partial sums per vector."""
        return self.block.chains

    @property
    def unrolled(self) -> bool:
        """Written out instead of looped."""
        return self.block.unrolled

    @property
    def type(self) -> str:
        """The C type of its vectors."""
        return f"lanes{self.lanes}"

    @property
    def first(self) -> int:
        """Index of its first vector among vectors of this width."""
        return self.block.offset // self.lanes

    @property
    def zero(self) -> str:
        """Initialiser of an empty sum."""
        return "{0.0F}"

    def bias(self, vector: int) -> str:
        """What the first chain of a vector starts with."""
        return self.zero if self.bias_name is None else f"{self.bias_name}[{vector}]"

    def chain(self, index: int) -> str:
        """Suffix of the partial sum that input *index* is added to."""
        chain = index % self.chains
        return f"_{chain}" if chain else ""

    def total(self, vector: int) -> str:
        """The sum of all chains, pairwise."""
        terms = [f"sum_{vector}"] + [f"sum_{vector}_{chain}" for chain in range(1, self.chains)]
        while len(terms) > 1:
            pairs = [terms[i : i + 2] for i in range(0, len(terms), 2)]
            terms = [f"({' + '.join(pair)})" if len(pair) == 2 else pair[0] for pair in pairs]
        return terms[0]


@dataclass(frozen=True)
class StripeView:
    """A stripe of ``rows`` with the name of its weights."""

    stripe: Stripe
    weights: str

    @property
    def lanes(self) -> int:
        """Lanes of its vectors."""
        return self.stripe.lanes

    @property
    def vectors(self) -> int:
        """How many vectors."""
        return self.stripe.vectors

    @property
    def first(self) -> int:
        """Index of its first vector among vectors of this width."""
        return self.stripe.offset // self.lanes


def constants(
    number: int, layout: Affine, weight: Floats, bias: Floats | None, lanes: int
) -> tuple[tuple[BlockView, ...], tuple[StripeView, ...], tuple[Array, ...]]:
    """The blocks or stripes of layer *number* and its constants, padded with zeros.

    Args:
        number: from 1; part of the names.
        layout: of the layer.
        weight: float32 [out, in], masked rows zero.
        bias: float32 [out], or None.
        lanes: of the target.
    """
    outs, ins = weight.shape
    arrays: list[Array] = []
    if lanes == 1:
        values = np.zeros(outs, np.float32) if bias is None else bias
        arrays = [
            Array("float", f"WEIGHTS_{number}", f"[{outs}][{ins}]", _nested(weight, 4)),
            Array("float", f"BIAS_{number}", f"[{outs}]", _nested(values, 4)),
        ]
        return (), (), tuple(arrays)
    if layout.rows:
        stripes = []
        wide = np.zeros((outs, padded(ins, lanes)), np.float32)
        wide[:, :ins] = weight
        for index, stripe in enumerate(layout.rows):
            name = f"WEIGHTS_{number}" + (f"_{index}" if len(layout.rows) > 1 else "")
            part = wide[:, stripe.offset : stripe.offset + stripe.size]
            cube = part.reshape(outs, stripe.vectors, stripe.lanes)
            shape = f"[{outs}][{stripe.vectors}]"
            arrays.append(Array(f"lanes{stripe.lanes}", name, shape, _nested(cube, 4)))
            stripes.append(StripeView(stripe, name))
        if bias is not None:
            arrays.append(Array("float", f"BIAS_{number}", f"[{outs}]", _nested(bias, 4)))
        return (), tuple(stripes), tuple(arrays)
    blocks = []
    tall = np.zeros((padded(outs, lanes), ins), np.float32)
    tall[:outs] = weight
    start = np.zeros(len(tall), np.float32)
    if bias is not None:
        start[:outs] = bias
    for index, block in enumerate(layout.columns):
        suffix = f"_{index}" if len(layout.columns) > 1 else ""
        size = block.lanes * block.vectors
        part = tall[block.offset : block.offset + size]
        cube = part.T.reshape(ins, block.vectors, block.lanes)
        kind, name = f"lanes{block.lanes}", f"WEIGHTS_{number}{suffix}"
        arrays.append(Array(kind, name, f"[{ins}][{block.vectors}]", _nested(cube, 4)))
        bias_name = None
        if bias is not None:
            bias_name = f"BIAS_{number}{suffix}"
            first = start[block.offset : block.offset + size]
            square = first.reshape(block.vectors, block.lanes)
            arrays.append(Array(kind, bias_name, f"[{block.vectors}]", _nested(square, 4)))
        blocks.append(BlockView(block, name, bias_name))
    return tuple(blocks), (), tuple(arrays)


def _nested(values: Floats, indent: int) -> str:
    """An initialiser with one brace per dimension; the innermost in one group of lines."""
    if values.ndim == 1:
        return f"{{{wrapped(values, indent + 1)}}}"
    rows: Sequence[str] = [_nested(row, indent + 1) for row in values]
    separator = ",\n" + " " * (indent + 1)
    return (
        f"{{\n{' ' * (indent + 1)}{separator.join(rows)}}}"
        if indent == 4
        else (f"{{{separator.join(rows)}}}")
    )
