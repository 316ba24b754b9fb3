"""Figures as they stand in sentences: base units in, a few digits and a unit out."""

from collections.abc import Sequence

from dspctl.benchmarks.stats import Interval

_TIMES = (("ns", 1.0), ("µs", 1e3), ("ms", 1e6), ("s", 1e9))


def time_words(value_ns: float) -> str:
    """``4180`` as ``4.18 µs``."""
    unit, scale = next((one for one in reversed(_TIMES) if value_ns >= one[1]), _TIMES[0])
    return f"{three_digits(value_ns / scale)} {unit}"


def ratio_words(value: Interval) -> str:
    """``14.2 times (95% interval 13.9 to 14.6)``."""
    return (
        f"{three_digits(value.estimate)} times ({interval_name(value)} "
        f"{three_digits(value.low)} to {three_digits(value.high)})"
    )


def interval_name(value: Interval) -> str:
    """``95% interval``, or ``simultaneous 95% interval`` where it is one of several."""
    return f"{'simultaneous ' * (value.together > 1)}{value.confidence:.0%} interval"


def three_digits(value: float) -> str:
    """Three significant digits, no exponent."""
    decimals = next((3 - place for place in range(3) if abs(value) < 10**place), 0)
    return f"{value:,.{decimals}f}"


def listed(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else ""
