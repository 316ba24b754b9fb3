"""How a layer's sums are laid out in registers: the choice that decides what a call costs.

A layer computes ``outputs`` sums of ``inputs`` products. Two layouts keep all partial sums in
registers:

columns
    Lanes hold outputs. Every input is broadcast and multiplied with one column of the weights.
    The additions of one output happen in the order of the inputs, so the result does not depend
    on the number of lanes. Too few registers in flight leave the pipeline waiting for the
    previous addition; then several *chains* take turns and are added at the end (`fast` only).
rows
    Lanes hold inputs. Every output is a dot product, reduced at the end. It wins where a wide
    layer feeds a few outputs: 128 inputs and 4 outputs are 32 multiplications of 16 lanes instead
    of 128 of 4. It reorders additions, so `strict` code never uses it.

The order of the loops within a layer matters most: inner products in strict order do not vectorise
at all (nine times slower at 128 units on the same compiler).
"""

from dataclasses import dataclass

_UNROLLED = 160
"""Most multiply-adds written out one by one; above it, a loop keeps the code in the cache."""

_NARROWEST = 4
"""Float32 lanes of the narrowest vector."""

_IN_FLIGHT = 8
"""Independent vector additions that hide their latency: 2 units x 4 cycles (Zen, Golden Cove)."""

_MOST_CHAINS = 4

_REDUCTION = 6
"""Cost of adding up the lanes of a register, in multiply-adds."""


_ACTIVATION = {"tanh": 10, "relu": 1, "identity": 0}
"""Cost of an activation, in multiply-adds: of one number in rows, of a whole vector in columns."""


_RELOAD = 30
"""Cost, in multiply-adds, of loading as a vector what was just written one by one: the load waits
until every store has reached the cache, since no single one holds all of it."""


@dataclass(frozen=True)
class Stripe:
    """Neighbouring vectors of one width.

    Attributes:
        lanes: float32 lanes of each.
        vectors: how many.
        offset: index of the first element.
    """

    lanes: int
    vectors: int
    offset: int

    @property
    def size(self) -> int:
        """Elements that it holds, padding included."""
        return self.lanes * self.vectors


def stripes_of(size: int, lanes: int) -> tuple[Stripe, ...]:
    """Cover *size* elements with vectors of *lanes*, and the rest with the narrowest that holds it.

    Nine values on 8 lanes are one vector of 8 and one of 4, not two of 8.
    """
    full, rest = divmod(size, lanes)
    narrow = _NARROWEST
    while narrow < rest:
        narrow *= 2
    if rest and narrow >= lanes:
        full, rest = full + 1, 0
    stripes = [Stripe(lanes, full, 0)] if full else []
    if rest:
        stripes.append(Stripe(narrow, 1, full * lanes))
    return tuple(stripes)


def padded(size: int, lanes: int) -> int:
    """Elements of *size* values with the padding that `stripes_of` adds."""
    return size if lanes == 1 else sum(stripe.size for stripe in stripes_of(size, lanes))


@dataclass(frozen=True)
class Block:
    """Vectors of one stripe whose sums are in registers at the same time (``columns``).

    Attributes:
        lanes: float32 lanes of each vector.
        vectors: how many.
        offset: index of the first output.
        chains: partial sums per vector.
        unrolled: written out instead of looped over the inputs.
    """

    lanes: int
    vectors: int
    offset: int
    chains: int
    unrolled: bool


@dataclass(frozen=True)
class Affine:
    """The layout of one layer.

    Attributes:
        inputs, outputs: its size.
        columns: blocks, when lanes hold outputs; empty for ``rows``.
        rows: stripes of the inputs, when lanes hold inputs; empty for ``columns``.
    """

    inputs: int
    outputs: int
    columns: tuple[Block, ...]
    rows: tuple[Stripe, ...]


def affine_layout(
    inputs: int,
    outputs: int,
    lanes: int,
    registers: int,
    strict: bool,
    activation: str,
    *,
    prepared: bool,
) -> Affine:
    """The cheapest layout of a layer on *lanes* lanes and *registers* vector registers.

    Args:
        inputs, outputs: its size.
        lanes: float32 lanes of the widest register.
        registers: how many there are.
        strict: one order of additions everywhere, which is the one of columns.
        activation: of the layer.
        prepared: its inputs are an observation that was just normalised, not a layer's result.
    """
    by_rows = stripes_of(inputs, lanes)
    by_columns = stripes_of(outputs, lanes)
    if not strict:
        row_vectors = sum(stripe.vectors for stripe in by_rows)
        column_vectors = sum(stripe.vectors for stripe in by_columns)
        each = _ACTIVATION[activation]
        rows_cost = outputs * (row_vectors + _REDUCTION + each)
        if prepared and inputs % _NARROWEST:  # its last values are written one by one
            rows_cost += _RELOAD
        # One more load for the broadcast.
        columns_cost = inputs * (column_vectors + 1) + column_vectors * each
        if rows_cost < columns_cost:
            return Affine(inputs, outputs, (), by_rows)
    budget = registers - 4  # the broadcast input, a product, two spare for the compiler
    blocks = []
    for stripe in by_columns:
        count = -(-stripe.vectors // budget)
        start = 0
        for index in range(count):
            vectors = stripe.vectors // count + (index < stripe.vectors % count)
            chains = 1
            if not strict:
                most = min(_MOST_CHAINS, budget // vectors, _worthwhile_chains(inputs))
                chains = max(1, min(most, _IN_FLIGHT // vectors))
            blocks.append(
                Block(
                    lanes=stripe.lanes,
                    vectors=vectors,
                    offset=stripe.offset + start * stripe.lanes,
                    chains=chains,
                    unrolled=inputs * vectors <= _UNROLLED,
                )
            )
            start += vectors
    return Affine(inputs, outputs, tuple(blocks), ())


def _worthwhile_chains(inputs: int) -> int:
    """Most partial sums of one vector: they must save more than adding them up costs.

    Each takes at least four products, or three where there would be a single one otherwise: two
    chains of a layer of 7 inputs take a tenth off the call.
    """
    return 2 if 6 <= inputs < 8 else max(1, inputs // 4)
