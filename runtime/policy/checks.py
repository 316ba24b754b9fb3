"""Questions about whole arrays, asked so that little of NumPy's code has to be in memory.

Every kind of loop that a process runs for the first time maps another 64 KB of NumPy's library. So
what is short is looked at in Python.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


_FEW = 1 << 15
"""Numbers that Python looks at in about a millisecond."""


def finite(values: NDArray[Any]) -> bool:
    """True when no element is NaN or infinite; integers never are."""
    if values.dtype.kind != "f":
        return True
    if values.size > _FEW:
        return bool(np.isfinite(values).all())
    rows = values if values.ndim > 1 else (values,)  # never more than a row of numbers at once
    return all(all(map(math.isfinite, row.tolist())) for row in rows)


def ordered(low: NDArray[Any], high: NDArray[Any]) -> bool:
    """True when every *low* is at most its *high*, two vectors; NaN is in no order."""
    pairs = zip(low.tolist(), high.tolist(), strict=True)
    return all(least <= largest for least, largest in pairs)


def somewhere(status: NDArray[np.uint8]) -> bool:
    """True when some element is not 0."""
    return bool(status.tobytes().strip(b"\0"))
