"""Numbers as a reader of the page sees them: three significant digits, and a unit."""

import math
from collections.abc import Sequence

_TIME = (("ns", 1.0), ("µs", 1e3), ("ms", 1e6), ("s", 1e9))
_SIZE = (("B", 1.0), ("kB", 1e3), ("MB", 1e6), ("GB", 1e9))
_ENERGY = (("nJ", 1e-9), ("µJ", 1e-6), ("mJ", 1e-3), ("J", 1.0))

DASH = "–"


def time_of(value_ns: float) -> str:
    """``4180`` as ``4.18 µs``."""
    return _scaled(value_ns, _TIME)


def size_of(value_bytes: float) -> str:
    """``73700`` as ``73.7 kB``; whole bytes stay whole."""
    return _scaled(value_bytes, _SIZE)


def energy_of(value_j: float) -> str:
    """``2.1e-6`` as ``2.10 µJ``."""
    return _scaled(value_j, _ENERGY)


def power_of(value_w: float) -> str:
    """``4.2`` as ``4.20 W``."""
    return f"{three_digits(value_w)} W"


def count_of(value: float) -> str:
    """``17920`` as ``17,920``."""
    return f"{value:,.0f}"


def times_of(value: float) -> str:
    """A ratio: ``14.23`` as ``14.2×``."""
    return f"{three_digits(value)}×"


def share_of(value: float) -> str:
    """``0.9297`` as ``93.0%``."""
    return f"{100 * value:.1f}%"


def return_of(value: float) -> str:
    """A return, with one decimal and a real minus sign."""
    return f"{value:,.1f}".replace("-", "−")


def change_of(value: float) -> str:
    """A difference of returns, with its sign."""
    return f"{value:+,.1f}".replace("-", "−")


def units_of(widths: Sequence[int]) -> str:
    """``(9, 9)`` as ``9-9``."""
    return "-".join(map(str, widths)) if widths else "no hidden layer"


def duration_of(value_s: float) -> str:
    """``73.2`` as ``1 min 13 s``."""
    if value_s < 60:
        return f"{value_s:.1f} s"
    minutes, seconds = divmod(round(value_s), 60)
    return f"{minutes} min {seconds:02d} s"


def range_of(low: str, high: str) -> str:
    """Two formatted ends as one range; a unit that both have is written once."""
    first, _, unit = low.partition(" ")
    _, _, other = high.partition(" ")
    if unit and unit == other:
        return f"{first} to {high}"
    return f"{low} to {high}"


def three_digits(value: float) -> str:
    """Three significant digits, no exponent, trailing zeros kept: they are measured too."""
    if not math.isfinite(value):
        return DASH
    size = abs(value)
    if size != 0 and size < 0.01:
        return f"{value:.2g}".replace("-", "−", 1) if value < 0 else f"{value:.2g}"
    decimals = next((3 - place for place in range(3) if size < 10**place), 0)
    return f"{value:,.{decimals}f}".replace("-", "−")


def _scaled(value: float, scales: Sequence[tuple[str, float]]) -> str:
    name, scale = next((entry for entry in reversed(scales) if abs(value) >= entry[1]), scales[0])
    scaled = value / scale
    whole = scale == 1.0 and name in ("B", "ns") and float(scaled).is_integer()
    return f"{scaled:.0f} {name}" if whole else f"{three_digits(scaled)} {name}"
