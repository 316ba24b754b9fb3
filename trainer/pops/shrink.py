"""From the weights that pruning left to the widths of a dense network (PoPS, section 4)."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from dspctl.runtime import Policy


def shrunk(policy: Policy) -> tuple[int, ...]:
    """Widths that the redundancy in a pruned *policy* calls for, none wider than before.

    The share of weights left says how much of a layer was needed. A layer that reads the inputs, or
    feeds the outputs, keeps that share of its units, since the matrix's other side cannot shrink;
    with a single hidden layer both matrices say so and are counted together. A layer between two
    hidden ones keeps the geometric mean of the shares around it. At least one unit stays.
    """
    left = [int(np.count_nonzero(layer.weight)) for layer in policy.layers]
    full = [layer.weight.size for layer in policy.layers]
    shares = [a / b for a, b in zip(left, full, strict=True)]
    widths = [layer.width for layer in policy.hidden]
    if len(widths) == 1:
        wanted = [sum(left) / sum(full)]
    else:
        between = [math.sqrt(a * b) for a, b in pairwise(shares[1:-1])]
        wanted = [shares[0], *between, shares[-1]]
    # Nothing is rounded away: a needed fraction of a unit needs the unit.
    return tuple(
        min(width, max(1, math.ceil(share * width - 1e-9)))
        for width, share in zip(widths, wanted, strict=True)
    )


def weight_count(inputs: int, hidden: Sequence[int], outputs: int) -> int:
    """Weights of a dense network (DSP Eq 21)."""
    sizes = (inputs, *hidden, outputs)
    return sum(a * b for a, b in pairwise(sizes))
