"""The figures that are shown of an unpruned and a pruned policy, formatted for reading."""

from dataclasses import dataclass

from dspctl.benchmarks.plots.style import short_bytes, short_time
from dspctl.runtime import Policy


@dataclass(frozen=True, eq=False)
class Side:
    """One half of the card.

    Attributes:
        label: e.g. ``unpruned PPO``.
        policy: what is drawn and counted.
        episode_return: mean return, or None when it was not evaluated.
        latency_ns: median latency, or None when it was not measured.
    """

    label: str
    policy: Policy
    episode_return: float | None = None
    latency_ns: float | None = None


@dataclass(frozen=True)
class KeyFigure:
    """One column of the table under the networks."""

    name: str
    before: str
    after: str
    change: str


def key_figures(before: Side, after: Side) -> list[KeyFigure]:
    """The table's columns; return and latency only where both sides have them."""
    one, two = before.policy.counts, after.policy.counts
    found = [
        KeyFigure(
            "hidden units",
            f"{one.total_units}",
            f"{two.total_units}",
            _removed(one.total_units, two.total_units),
        ),
        KeyFigure(
            "weights",
            f"{one.weights:,}",
            f"{two.weights:,}",
            _removed(one.weights, two.weights),
        ),
        KeyFigure(
            "parameter memory",
            short_bytes(one.size_bytes),
            short_bytes(two.size_bytes),
            _smaller(one.size_bytes / two.size_bytes),
        ),
    ]
    if before.episode_return is not None and after.episode_return is not None:
        found.append(
            KeyFigure(
                "return",
                _score(before.episode_return),
                _score(after.episode_return),
                _kept(before.episode_return, after.episode_return),
            )
        )
    if before.latency_ns is not None and after.latency_ns is not None:
        ratio = before.latency_ns / after.latency_ns
        found.append(
            KeyFigure(
                "median latency",
                short_time(before.latency_ns),
                short_time(after.latency_ns),
                f"{_times(ratio)} faster" if ratio >= 1 else f"{_times(1 / ratio)} slower",
            )
        )
    return found


def _removed(before: int, after: int) -> str:
    """Share gone, with as many digits as it takes not to read 100%; or how many there are more."""
    if after >= before:
        return "as many" if after == before else f"{after - before:,} more"
    share = 100 * (1 - after / before)
    digits = 0 if share < 95 else 1 if share < 99.9 else 2
    return f"{share:.{digits}f}% removed"


def _smaller(ratio: float) -> str:
    return f"{_times(ratio)} smaller" if ratio >= 1 else f"{_times(1 / ratio)} larger"


def _kept(before: float, after: float) -> str:
    """Share of the return kept; a difference where the scale has no zero to count from."""
    if before <= 0 or after <= 0:
        return f"{after - before:+.3g}".replace("-", "−")
    return f"{after / before:.1%} kept".replace(".0%", "%")


def _times(ratio: float) -> str:
    return f"{ratio:.2f}×" if ratio < 2 else f"{ratio:.1f}×" if ratio < 20 else f"{ratio:.0f}×"


def _score(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 or value == round(value) else f"{value:.1f}"
