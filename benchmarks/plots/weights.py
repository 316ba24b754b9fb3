"""Weight maps: which units are gone, and what is left once they are (DSP paper, figure 10)."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dspctl.benchmarks.plots.style import MUTED, VERMILION, new_figure, save, styled
from dspctl.errors import ConfigProblem
from dspctl.runtime import Policy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_weights(
    policies: Mapping[str, Policy],
    path: Path,
    *,
    title: str = "Absolute weights of the first two layers",
) -> Path:
    """Absolute weights in grey, one column of maps per policy.

    Args:
        policies: label → policy, e.g. before, masked and compacted; two layers at least.
        path: the PNG to write.
        title: above everything.

    Raises:
        ConfigProblem: a policy has fewer than two layers, or there is none.
        MissingExtra: matplotlib is not installed.
        WriteFailed: the file could not be written.
    """
    return save(weights_figure(policies, title=title), path)


def weights_figure(policies: Mapping[str, Policy], *, title: str) -> "Figure":
    """The picture of `plot_weights`.

    Layer 1 lies above layer 2 with the units of hidden layer 1 along the shared horizontal axis,
    so a removed unit is one white stripe through both. All maps of a row share one scale, in
    cells and in grey: a compacted policy is as small as it is, with a magnified copy beside it.
    """
    if not policies or any(len(policy.layers) < 2 for policy in policies.values()):
        raise ConfigProblem("weight maps need policies with at least one hidden layer")
    maps = {label: _pair(policy) for label, policy in policies.items()}
    width = max(first.shape[1] for first, _ in maps.values())
    heights = [max(pair[row].shape[0] for pair in maps.values()) for row in (0, 1)]
    tops = [
        max(float(np.quantile(pair[row], 0.995)) for pair in maps.values()) or 1.0 for row in (0, 1)
    ]
    with styled():
        # A thin first layer is stretched, or four inputs would be four hairlines.
        shares = [max(heights[0], 0.22 * heights[1]), float(heights[1])]
        figure = new_figure(3.1 * len(maps) + 0.9, 3.1 * sum(shares) / width + 1.5)
        grid = figure.subplots(2, len(maps), squeeze=False, height_ratios=shares)
        for index, (label, pair) in enumerate(maps.items()):
            policy = policies[label]
            for row in (0, 1):
                axes = grid[row][index]
                image = _map(axes, pair[row], width, heights[row], tops[row])
                if index == len(maps) - 1:
                    bar = figure.colorbar(image, ax=grid[row], fraction=0.03, pad=0.02, aspect=18)
                    bar.set_label("|weight|")
                    bar.outline.set_visible(False)
            grid[0][index].set_title(f"{label}\n{_shape(policy)}", fontsize=10)
            grid[1][index].set_xlabel("units of hidden layer 1")
            if policy.counts.units[0] * 3 < width:
                _magnify(grid[1][index], pair[1], width, heights[1], tops[1])
        grid[0][0].set_ylabel("inputs")
        second = len(next(iter(policies.values())).layers) > 2
        grid[1][0].set_ylabel("units of hidden layer 2" if second else "outputs")
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
        return figure


def effective_weights(policy: Policy) -> list[NDArray[Any]]:
    """Absolute weights of every layer, [out, in], with masked units' rows and columns at 0."""
    found = []
    reads = np.ones(policy.inputs.size, bool)
    for layer in policy.layers:
        found.append(np.abs(layer.weight) * layer.kept[:, None] * reads[None, :])
        reads = layer.kept
    return found


def _pair(policy: Policy) -> tuple[NDArray[Any], NDArray[Any]]:
    """Layer 1 as [inputs, units] and layer 2 as [out, units]: both with units side by side."""
    first, second = effective_weights(policy)[:2]
    return first.T, second


def _map(axes: "Axes", values: NDArray[Any], width: int, height: int, top: float) -> Any:
    """One grey map in the corner of a field of *width* × *height* cells."""
    rows, columns = values.shape
    image = axes.imshow(
        values,
        cmap="Greys",
        vmin=0,
        vmax=top,
        extent=(0, columns, rows, 0),
        aspect="auto",
        interpolation="nearest",
    )
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.grid(visible=False)
    axes.spines[["top", "right"]].set_visible(True)
    for spine in axes.spines.values():
        spine.set_color("#C4CBD3")
    if (rows, columns) != (height, width):
        axes.plot([0, columns, columns, 0, 0], [0, 0, rows, rows, 0], color=VERMILION, lw=1.2)
    return image


def _magnify(axes: "Axes", values: NDArray[Any], width: int, height: int, top: float) -> None:
    """A copy of a small map, large enough to see its cells."""
    rows, columns = values.shape
    inset = axes.inset_axes((0.3, 0.11, 0.64, 0.62))
    inset.imshow(values, cmap="Greys", vmin=0, vmax=top, interpolation="nearest", aspect="auto")
    inset.set(xticks=[], yticks=[])
    inset.grid(visible=False)
    for spine in inset.spines.values():
        spine.set(visible=True, color=VERMILION, linewidth=1.2)
    factor = 0.64 * width / columns
    inset.set_xlabel(f"the same, {factor:.0f} times as large", fontsize=8, color=MUTED)
    corner: dict[str, Any] = {
        "color": VERMILION,
        "lw": 0.8,
        "alpha": 0.6,
        "transform": axes.transAxes,
    }
    axes.plot([columns / width, 0.94], [1, 0.73], **corner)
    axes.plot([0, 0.3], [1 - rows / height, 0.11], **corner)


def _shape(policy: Policy) -> str:
    sizes = [policy.layers[0].fan_in, *(int(layer.kept.sum()) for layer in policy.layers)]
    return "–".join(map(str, sizes))
