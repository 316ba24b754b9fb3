"""tanh without a C library: one rational function, the same bits on every target in strict mode.

``tanh(x) = x P(x^2) / Q(x^2)`` on [-9, 9], where P and Q have degree 4; beyond, float32 tanh is 1.
The coefficients minimise the largest relative error (Loeb's iteration with Lawson's weights in
extended precision; 2.1e-8 in exact arithmetic) and are all positive, so that Horner's scheme
cancels nothing. In float32 the error stays below `TANH_BOUND`, absolute and relative, with and
without fused multiply-adds; the test goes through every float32.
"""

import numpy as np
from numpy.typing import NDArray

TANH_LIMIT = np.float32(9.0)
TANH_BOUND = 5e-7
"""Largest absolute and relative error in float32; the result exceeds 1 by at most this."""

NUMERATOR = tuple(
    np.float32(value) for value in (1.0, 0.13381031, 0.0034955948, 2.0609187e-05, 1.3354795e-08)
)
DENOMINATOR = tuple(
    np.float32(value) for value in (1.0, 0.46714347, 0.025877008, 0.00032856455, 7.7766156e-07)
)
"""Lowest power first."""


def tanh_float32(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """What strict C computes, operation by operation: float32 in, float32 out, same shape."""
    x = np.minimum(np.maximum(x, -TANH_LIMIT), TANH_LIMIT)
    square = x * x
    above = np.full_like(x, NUMERATOR[-1])
    for coefficient in reversed(NUMERATOR[:-1]):
        above = above * square + coefficient
    below = np.full_like(x, DENOMINATOR[-1])
    for coefficient in reversed(DENOMINATOR[:-1]):
        below = below * square + coefficient
    return np.asarray((x * above) / below, np.float32)
