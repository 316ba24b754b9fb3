"""Weight maps before, masked and after (the DSP paper's figures 10 and 11), as small pictures.

A map is a grey picture whose ink is its transparency, so that one picture serves light and dark.
"""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.errors import MissingExtra
from dspctl.runtime import Policy

_MOST_CELLS = 192
_LEVELS = 48
_BRIGHTEST = 0.995
_THINNEST = 0.3


@dataclass(frozen=True)
class Map:
    """One layer of one policy, on a field that is as large as the largest policy's.

    Attributes:
        picture: data URI of a PNG.
        columns: share of the field's width that it takes.
        rows: share of the field's height.
        shape: what it shows: ``128 × 8``.
        magnified: whether it is so small that a larger copy is shown beside it.
    """

    picture: str
    columns: float
    rows: float
    shape: str
    magnified: bool


@dataclass(frozen=True)
class Maps:
    """The maps of all policies.

    Attributes:
        labels: of the policies, in order.
        shapes: of the policies, such as ``8-128-128-4``.
        layers: per layer its name, the aspect of its field and one map per policy.
        pooled: cells in one pixel where a map was too large, else 1.
    """

    labels: tuple[str, ...]
    shapes: tuple[str, ...]
    layers: tuple["LayerMaps", ...]
    pooled: int


@dataclass(frozen=True)
class LayerMaps:
    """One layer of all policies.

    Attributes:
        title: what rows and columns are.
        aspect: height of the field over its width.
        maps: one per policy.
    """

    title: str
    aspect: float
    maps: tuple[Map, ...]


def weight_maps(policies: Mapping[str, Policy]) -> Maps | None:
    """Absolute weights of the first two layers; None without a hidden layer.

    Units of hidden layer 1 lie along the horizontal axis of both, so that a removed unit is one
    empty stripe through both. All maps of a layer share their scale, in cells and in grey.

    Args:
        policies: label → policy; all with the same number of layers.

    Raises:
        MissingExtra: Pillow is not installed.
    """
    if not policies or any(len(policy.layers) < 2 for policy in policies.values()):
        return None
    pairs = [_pair(policy) for policy in policies.values()]
    width = max(first.shape[1] for first, _ in pairs)
    second = "units of hidden layer 2"
    if all(len(policy.layers) == 2 for policy in policies.values()):
        second = "outputs"
    heights = [max(pair[row].shape[0] for pair in pairs) for row in (0, 1)]
    pooled = -(-max(width, *heights) // _MOST_CELLS)
    layers = []
    for row, title in enumerate(("inputs", second)):
        top = max(float(np.quantile(pair[row], _BRIGHTEST)) for pair in pairs) or 1.0
        maps = tuple(
            Map(
                picture=_picture(pair[row] / top, pooled),
                columns=pair[row].shape[1] / width,
                rows=pair[row].shape[0] / heights[row],
                shape=f"{pair[row].shape[0]} × {pair[row].shape[1]}",
                magnified=row == 1 and pair[row].shape[1] * 3 < width,
            )
            for pair in pairs
        )
        # A thin first layer is stretched, or four inputs would be four hairlines.
        aspect = heights[row] / width
        layers.append(LayerMaps(title, max(aspect, _THINNEST if row == 0 else 0.05), maps))
    shapes = tuple(_shape(policy) for policy in policies.values())
    return Maps(tuple(policies), shapes, tuple(layers), pooled)


def _pair(policy: Policy) -> tuple[NDArray[Any], NDArray[Any]]:
    """Layer 1 as [inputs, units] and layer 2 as [out, units], masked rows and columns at 0."""
    first, second = policy.layers[0], policy.layers[1]
    return (
        (np.abs(first.weight) * first.kept[:, None]).T,
        np.abs(second.weight) * second.kept[:, None] * first.kept[None, :],
    )


def _picture(values: NDArray[Any], pooled: int) -> str:
    """Values in [0, 1] as black ink on nothing; blocks of *pooled* cells show their largest."""
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise MissingExtra("pillow", "report", "drawing weight maps") from error
    if pooled > 1:
        rows, columns = (-(-size // pooled) for size in values.shape)
        padded = np.zeros((rows * pooled, columns * pooled))
        padded[: values.shape[0], : values.shape[1]] = values
        values = padded.reshape(rows, pooled, columns, pooled).max(axis=(1, 3))
    steps = np.round(np.clip(values, 0, 1) * (_LEVELS - 1)) / (_LEVELS - 1)
    ink = (255 * steps).astype(np.uint8)
    picture = Image.fromarray(np.stack([np.zeros_like(ink), ink], axis=-1), mode=None)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _shape(policy: Policy) -> str:
    sizes = [policy.layers[0].fan_in, *(int(layer.kept.sum()) for layer in policy.layers)]
    return "-".join(map(str, sizes))
