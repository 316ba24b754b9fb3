"""The file that ``policy bench --samples`` writes: the command's ``sample_file.h`` describes it."""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dspctl.errors import BackendUnavailable

MAGIC = b"DSPBENCH"
VERSION = 1
MOST_SAMPLES = 1 << 26
"""Most samples of a kind; the program keeps no more."""
MOST_BYTES = 1 << 28
"""Of a file: 33 million samples, more than the longest measurement that is allowed."""
MOST_CALLS = 1_000_000_000
"""Most calls of a block."""
MOST_NS = 1 << 60
"""Longer than any measurement: 36 years."""

_HEADER = struct.Struct("<8s7Q")


@dataclass(frozen=True, eq=False)
class RawSamples:
    """Every sample of one run, in the order of measurement.

    Attributes:
        calls_per_block: calls that each block holds; 0 without blocks.
        period_ns: of the control loop; 0 without one.
        block_ns: int64 [blocks], the time of all calls of a block together.
        single_ns: int64 [calls], one call each, the clock's cost included.
        wakeup_ns: int64 [steps], from the intended start to the actual one.
        inference_ns: int64 [steps], from the actual start to the end.
    """

    calls_per_block: int
    period_ns: int
    block_ns: NDArray[np.int64]
    single_ns: NDArray[np.int64]
    wakeup_ns: NDArray[np.int64]
    inference_ns: NDArray[np.int64]


def read_samples(data: bytes) -> RawSamples:
    """Read a file of samples, and nothing else.

    Args:
        data: all of it.

    Raises:
        BackendUnavailable: it is of another kind or version, too short or too long, or holds
            values that no measurement has.
    """
    if len(data) > MOST_BYTES:
        raise _unreadable(f"it has {len(data)} bytes, more than the program writes")
    if len(data) < _HEADER.size:
        raise _unreadable(f"it has {len(data)} bytes, its header alone has {_HEADER.size}")
    magic, version, calls, period_ns, *counts = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise _unreadable("it is another kind of file")
    if version != VERSION:
        raise _unreadable(f"its version is {version}, this dspctl reads {VERSION}")
    if max(counts) > MOST_SAMPLES or calls > MOST_CALLS or period_ns > MOST_NS:
        raise _unreadable("its header names more than the program measures")
    if counts[2] != counts[3]:
        raise _unreadable(f"it has {counts[2]} wake-ups and {counts[3]} inferences")
    if (counts[0] > 0 and calls == 0) or (counts[2] > 0 and period_ns == 0):
        raise _unreadable("its header does not say what the samples are of")
    if len(data) != _HEADER.size + 8 * sum(counts):
        raise _unreadable(f"it has {len(data)} bytes, not {_HEADER.size + 8 * sum(counts)}")
    words = np.frombuffer(data, "<u8", offset=_HEADER.size)
    if words.size and int(words.max()) > MOST_NS:
        raise _unreadable("it holds times that no measurement takes")
    kinds = np.split(words.astype(np.int64), np.cumsum(counts)[:-1])
    return RawSamples(calls, period_ns, *kinds)


def _unreadable(why: str) -> BackendUnavailable:
    return BackendUnavailable(
        f"the samples of  policy bench  cannot be read: {why}; export the bundle again with this "
        "dspctl, and repeat"
    )
