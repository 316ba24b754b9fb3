"""Columns of a run's metrics."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = Sequence[Mapping[str, Any]]
"""A run's metrics, one row per iteration."""

_POINTS = 400


def column(rows: Rows, name: str) -> NDArray[np.float64]:
    """One key of all rows, float [rows]; what is absent, null or no number becomes NaN."""
    found = [row.get(name) for row in rows]
    return np.array(
        [
            float(value)
            if isinstance(value, int | float) and not isinstance(value, bool)
            else np.nan
            for value in found
        ],
        np.float64,
    )


def pruning_span(rows: Rows) -> tuple[float, float] | None:
    """Steps between which the scheduled sparsity rose, None for a run without pruning."""
    steps, scheduled = column(rows, "steps"), np.nan_to_num(column(rows, "scheduled_sparsity"))
    rises = np.flatnonzero(np.diff(scheduled) > 0)
    return (float(steps[rises[0]]), float(steps[rises[-1] + 1])) if rises.size else None


def learning_curve(rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Steps and returns, where both are known."""
    steps, values = column(rows, "steps"), column(rows, "episode_return")
    known = np.isfinite(values) & np.isfinite(steps)
    return steps[known], values[known]


def common_stretch(
    curves: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Curves on the longest shared stretch of steps, returns float [runs, points]."""
    first = max(float(x[0]) for x, _ in curves)
    last = min(float(x[-1]) for x, _ in curves)
    steps = np.linspace(first, last, min(_POINTS, max(len(x) for x, _ in curves)))
    return steps, np.stack([np.interp(steps, x, y) for x, y in curves])
