"""The interval that stands beside every mean return."""

import numpy as np
from numpy.typing import NDArray

_RESAMPLES = 10_000
_LEVELS = (2.5, 97.5)


def mean_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """95% percentile interval of the mean (Efron 1979), always the same for the same values.

    Args:
        values: float64 [n], n > 0, independent.
    """
    rng = np.random.default_rng(0)
    picks = rng.integers(len(values), size=(_RESAMPLES, len(values)))
    low, high = np.percentile(values[picks].mean(axis=1), _LEVELS)
    # Means of equal values differ in the last bits; they must not decide anything.
    mean = values.mean()
    return float(min(low, mean)), float(max(high, mean))
