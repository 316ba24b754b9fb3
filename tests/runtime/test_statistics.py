import numpy as np
import pytest

from dspctl.runtime.statistics import mean_interval


def test_the_interval_of_equal_returns_is_a_point() -> None:
    low, high = mean_interval(np.full(20, 499.7))
    assert low <= np.full(20, 499.7).mean() <= high  # the last bits decide nothing
    assert low == pytest.approx(high) == pytest.approx(499.7)
    low, high = mean_interval(np.arange(100.0))
    # The standard error of this mean is 28.87 / 10; 1.96 of it to either side.
    assert low == pytest.approx(49.5 - 5.66, abs=0.3)
    assert high == pytest.approx(49.5 + 5.66, abs=0.3)
