"""Latency distributions from the raw samples beside a result, thinned to what a chart shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.benchmarks.record.archive import read_archive
from dspctl.benchmarks.record.file import LONGEST_NS, stem_of

_WAKEUP, _INFERENCE = "wakeup:", "inference:"

_POINTS = 220
_NAMED = (0.5, 0.1, 0.01, 0.001)
"""What is left to 1 at the percentiles that the page names: those are kept exactly."""


@dataclass(frozen=True, eq=False)
class Distribution:
    """How long the calls took, from all of them.

    Attributes:
        backend: what ran them.
        label: the subject.
        share: float [n], ascending shares of calls, below 1.
        latency_ns: float [n], the nearest-rank percentile of each share.
        calls: how many were timed.
    """

    backend: str
    label: str
    share: NDArray[np.float64]
    latency_ns: NDArray[np.float64]
    calls: int


def distribution(backend: str, label: str, samples: NDArray[np.int64]) -> Distribution:
    """The percentiles of int64 [n] nanoseconds, n at least 1, as a chart shows them.

    Shares lie evenly on the logarithm of what is left to 1, as in HdrHistogram's charts, so that
    each nine is as long as the next.
    """
    ordered = np.sort(samples)
    count = int(ordered.size)
    left = np.append(np.geomspace(1.0, 1.0 / count, _POINTS), _NAMED)
    ranks = np.unique(np.clip(np.ceil((1 - left) * count - 1e-9).astype(np.int64), 1, count))
    # The slowest call has nothing beyond it, and a logarithmic axis no place for "all".
    ranks = ranks[ranks < count] if count > 1 else ranks
    share = ranks / count if count > 1 else np.zeros(1)
    return Distribution(backend, label, share, ordered[ranks - 1].astype(np.float64), count)


def paced_samples(result: Path, backend: str) -> Mapping[str, NDArray[np.int64]]:
    """Latencies from the intended start, label → int64 [steps]; empty where no file is beside it.

    Args:
        result: the result's JSON file.
        backend: whose control loops.
    """
    try:
        arrays = read_archive(result.with_name(f"{stem_of(result)}-{backend}-paced.npz"))
    except (OSError, ValueError):
        return {}
    found = {
        name.removeprefix(_WAKEUP): (arrays[name], arrays.get(_INFERENCE + name[len(_WAKEUP) :]))
        for name in arrays
        if name.startswith(_WAKEUP)
    }
    return {
        label: wakeup + inference
        for label, (wakeup, inference) in found.items()
        if inference is not None and _belong(wakeup, inference)
    }


def _belong(wakeup: NDArray[Any], inference: NDArray[Any]) -> bool:
    """Whether these are the two parts of the same steps, int64 [steps], and some."""
    whole = wakeup.dtype == inference.dtype == np.dtype(np.int64)
    if not whole or wakeup.size == 0 or wakeup.shape != inference.shape:
        return False
    return all(bool((np.abs(one) <= LONGEST_NS).all()) for one in (wakeup, inference))
