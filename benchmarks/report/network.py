"""A drawing of the network while it shrinks: every unit a dot, what stays joined by its weights.

A run records how many units each layer has at every step, and at the end which ones remain. It
does not record the order in which the others left; the drawing lets them go in the order of their
numbers, and the page says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.runtime import Policy

WIDTH, HEIGHT = 720.0, 300.0
_PAD = 26.0
_MOST_DOTS = 512
_MOST_EDGES = 900
_MOST_FRAMES = 160


@dataclass(frozen=True)
class Dot:
    """One unit, input or output.

    Attributes:
        x: place in the drawing.
        y: place.
        order: how many units of its layer leave before it; -1 for one that stays.
    """

    x: float
    y: float
    order: int


@dataclass(frozen=True)
class Column:
    """One layer.

    Attributes:
        name: e.g. ``hidden layer 1``.
        x: its middle.
        radius: of its dots.
        hidden: whether units can leave it.
        units: units at first.
        dots: what is drawn; one dot stands for `per_dot` units.
        per_dot: 1, unless a layer is too large.
    """

    name: str
    x: float
    radius: float
    hidden: bool
    units: int
    dots: tuple[Dot, ...]
    per_dot: int


@dataclass(frozen=True)
class Edge:
    """A weight between two that stay; strength in (0, 1]."""

    x1: float
    y1: float
    x2: float
    y2: float
    strength: float


@dataclass(frozen=True)
class Frame:
    """One moment of training.

    Attributes:
        steps: environment steps until then.
        units: left per hidden layer.
        weights: weights left, counted as in DSP Eq 21.
        share: weights left, as a share of the first moment's.
    """

    steps: int
    units: tuple[int, ...]
    weights: int
    share: float


@dataclass(frozen=True)
class Shrinking:
    """The drawing and its moments."""

    columns: tuple[Column, ...]
    edges: tuple[Edge, ...]
    frames: tuple[Frame, ...]
    bands: tuple[str, ...]
    """Polygons between neighbouring columns, as SVG points."""


def shrinking(policy: Policy, rows: Sequence[Mapping[str, Any]]) -> Shrinking | None:
    """The drawing of one run; None where nothing was pruned or the metrics do not fit the policy.

    Args:
        policy: the masked policy at the end of the run.
        rows: the run's metrics.
    """
    kept = [layer.kept for layer in policy.hidden]
    frames = _frames(policy, rows)
    if not kept or not frames or all(one.all() for one in kept):
        return None
    sizes = [policy.layers[0].fan_in, *(layer.width for layer in policy.layers)]
    names = ["inputs", *(f"hidden layer {index + 1}" for index in range(len(kept))), "outputs"]
    blocks = [
        _block(size, 1 if index in (0, len(sizes) - 1) else 0) for index, size in enumerate(sizes)
    ]
    widths = [columns * pitch for _, columns, pitch in blocks]
    gap = (WIDTH - 2 * _PAD - sum(widths)) / (len(sizes) - 1)
    columns: list[Column] = []
    left = _PAD
    for index, (size, (rows_n, columns_n, pitch)) in enumerate(zip(sizes, blocks, strict=True)):
        hidden = 0 < index < len(sizes) - 1
        mask = kept[index - 1] if hidden else np.ones(size, bool)
        columns.append(_column(names[index], left, rows_n, columns_n, pitch, mask, hidden))
        left += widths[index] + gap
    bands = tuple(_band(one, other) for one, other in pairwise(columns))
    return Shrinking(tuple(columns), _edges(policy, columns), frames, bands)


def _frames(policy: Policy, rows: Sequence[Mapping[str, Any]]) -> tuple[Frame, ...]:
    """Moments at which units changed, the first and the last; thinned where there are many."""
    depth = len(policy.hidden)
    fitting = [
        row
        for row in rows
        if isinstance(row.get("units"), list)
        and len(row["units"]) == depth
        and isinstance(row.get("steps"), int)
    ]
    if not fitting:
        return ()
    changed = [
        row
        for index, row in enumerate(fitting)
        if index in (0, len(fitting) - 1) or row["units"] != fitting[index - 1]["units"]
    ]
    if len(changed) > _MOST_FRAMES:
        places = np.unique(np.linspace(0, len(changed) - 1, _MOST_FRAMES).astype(int))
        changed = [changed[place] for place in places]
    inputs, outputs = policy.layers[0].fan_in, policy.layers[-1].width
    weights = []
    for row in changed:
        sizes = [inputs, *row["units"], outputs]
        weights.append(sum(a * b for a, b in pairwise(sizes)))
    most = max(weights[0], 1)
    return tuple(
        Frame(row["steps"], tuple(int(one) for one in row["units"]), count, count / most)
        for row, count in zip(changed, weights, strict=True)
    )


def _block(size: int, columns: int) -> tuple[int, int, float]:
    """Rows, columns and pitch of a layer's dots; 0 columns takes what looks best."""
    drawn = min(size, _MOST_DOTS)
    rows = min(drawn, 16) if not columns and drawn <= 256 else min(drawn, 32)
    across = -(-drawn // rows)
    pitch = min(16.0, (HEIGHT - 2 * _PAD) / max(rows, 1))
    return rows, across, pitch


def _column(
    name: str,
    left: float,
    rows: int,
    across: int,
    pitch: float,
    mask: NDArray[np.bool_],
    hidden: bool,
) -> Column:
    per_dot = -(-mask.size // _MOST_DOTS)
    stays = mask if per_dot == 1 else np.sort(mask)[::-1][::per_dot]
    gone = np.cumsum(~stays) - 1
    height = (rows - 1) * pitch
    dots = tuple(
        Dot(
            x=round(left + (index // rows + 0.5) * pitch, 1),
            y=round(HEIGHT / 2 - height / 2 + index % rows * pitch, 1),
            order=-1 if stays[index] else int(gone[index]),
        )
        for index in range(stays.size)
    )
    middle = left + across * pitch / 2
    return Column(name, round(middle, 1), round(pitch * 0.32, 2), hidden, mask.size, dots, per_dot)


def _edges(policy: Policy, columns: Sequence[Column]) -> tuple[Edge, ...]:
    """Weights between units that stay, the strongest last; none where dots stand for several."""
    if any(column.per_dot > 1 for column in columns):
        return ()
    found = []
    alive = np.ones(policy.layers[0].fan_in, bool)
    for index, layer in enumerate(policy.layers):
        strength = np.abs(layer.weight) * layer.kept[:, None] * alive[None, :]
        top = float(strength.max()) or 1.0
        for out, source in np.argwhere(strength > 0):
            one, other = columns[index].dots[source], columns[index + 1].dots[out]
            value = round(float(strength[out, source]) / top, 3)
            found.append(Edge(one.x, one.y, other.x, other.y, max(value, 0.001)))
        alive = layer.kept
    found.sort(key=lambda edge: edge.strength)
    return tuple(found[-_MOST_EDGES:])


def _band(one: Column, other: Column) -> str:
    """The area between two columns, which stands for all the weights between them."""
    x1, x2 = max(dot.x for dot in one.dots), min(dot.x for dot in other.dots)
    ends = [(dot.y for dot in column.dots) for column in (one, other)]
    (a1, b1), (a2, b2) = ((min(ys), max(ys)) for ys in map(list, ends))
    return f"{x1},{a1} {x2},{a2} {x2},{b2} {x1},{b1}"
