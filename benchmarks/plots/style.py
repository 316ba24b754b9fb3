"""One look for all pictures: readable, with units, and safe for colour-blind readers.

The colours are Okabe and Ito's (Color Universal Design, 2008). Figures are made without pyplot:
no global state, no window, the Agg renderer.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dspctl.errors import MissingExtra
from dspctl.runtime.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, VERMILION, GREEN = "#0072B2", "#D55E00", "#009E73"
ORANGE, PURPLE, SKY = "#E69F00", "#CC79A7", "#56B4E9"
INK, MUTED, FAINT, PAPER = "#1F2933", "#616E7C", "#D9DEE4", "#FFFFFF"

CYCLE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
"""Colours of subjects, in order: the first is the baseline, the second the pruned policy."""

DPI = 160

_RC: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
}


@contextmanager
def styled() -> Iterator[None]:
    """Within, new artists get this look.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ModuleNotFoundError as error:
        raise MissingExtra("matplotlib", "bench", "drawing pictures") from error
    with matplotlib.rc_context(_RC):
        yield


def new_figure(width: float, height: float, *, layout: str | None = "constrained") -> "Figure":
    """An empty figure of *width* × *height* inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout=layout)  # type: ignore[arg-type]


def save(figure: "Figure", path: Path) -> Path:
    """Write *figure* as PNG, atomically.

    Raises:
        WriteFailed: the file could not be written.
    """
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    # The size is taken from the pixels: 12.3 inches × 160 is 1968 of them, but 1967.99… in floats.
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    small = io.BytesIO()
    # A palette of 256 makes the file a third as large, which a README is grateful for. No date
    # and no version in it: the same data gives the same bytes.
    picture.quantize(256, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    write_bytes(path, small.getvalue())
    return path


def count_axis(axes: "Axes", axis: str) -> None:
    """Ticks such as 200k and 1M on the ``x`` or ``y`` axis."""
    from matplotlib.ticker import FuncFormatter

    chosen = axes.xaxis if axis == "x" else axes.yaxis
    chosen.set_major_formatter(FuncFormatter(lambda value, _: short_count(value)))


def short_count(value: float) -> str:
    """950 → 950, 17920 → 17.9k, 1000000 → 1M."""
    for limit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{suffix}"
    return f"{value:.4g}"


def short_bytes(size_bytes: float) -> str:
    """Bytes with a decimal prefix: 72700 → 72.7 kB."""
    for limit, unit in ((1e6, "MB"), (1e3, "kB")):
        if size_bytes >= limit:
            return f"{size_bytes / limit:.3g} {unit}"
    return f"{size_bytes:.0f} B"


def short_time(time_ns: float) -> str:
    """Nanoseconds with a fitting unit: 5120 → 5.12 µs."""
    for limit, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if time_ns >= limit:
            return f"{time_ns / limit:.3g} {unit}"
    return f"{time_ns:.3g} ns"
