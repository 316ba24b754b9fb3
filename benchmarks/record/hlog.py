"""HdrHistogram logs beside a result, for the tools that people already read latencies with.

The standard interval log (format 1.3, histograms in encoding V2, 3 significant digits, values in
nanoseconds): one interval per subject and round or window, tagged with the subject. Calls back to
back are the single ones; of a control loop it is the latency from the intended start, so nothing
needs a correction for coordinated omission.

Raw samples have no time of day. The log's intervals follow each other in the order of measurement,
each as long as its samples took together.
"""

import importlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.benchmarks.calls.latency import Samples
from dspctl.benchmarks.calls.paced import PacedSamples
from dspctl.benchmarks.calls.timer import WarmUp
from dspctl.benchmarks.record.file import Raw, load_raw, stem_of
from dspctl.benchmarks.record.result import BenchResult
from dspctl.runtime.files import write_bytes

DIGITS = 3
"""Significant digits of a recorded value: it is off by less than 0.1%."""

_LARGEST_NS = 3_600_000_000_000
_MS = 1_000_000
_UNKNOWN = WarmUp(0, 0.0, settled=True)  # no log tells it
_NOT_IN_A_TAG = re.compile(r"[^\w.%+=@-]+")


@dataclass(frozen=True)
class Written:
    """What became of a log.

    Attributes:
        path: the file; None where none was written.
        note: why not, and what to do; empty where it was.
    """

    path: Path | None
    note: str


def write_logs(result: BenchResult, out: Path) -> tuple[str, ...]:
    """Write a log per backend and way to measure, from the raw samples beside *out*.

    Args:
        result: what was measured.
        out: its JSON; the samples lie beside it, and the logs will.

    Returns:
        Sentences on what was not written, and why; each once.

    Raises:
        WriteFailed: a file cannot be written.
    """
    notes = []
    for backend in result.backends:
        raw = load_raw(out, backend)
        calls = {
            label: Samples(tuple(one.single_ns), (), 1, _UNKNOWN)
            for label, one in raw.items()
            if one.single_ns
        }
        loops = {
            one.label: _loop(raw[one.label], one.period_ns)
            for one in result.paced
            if one.backend == backend and one.label in raw and raw[one.label].wakeup_ns
        }
        notes += [write_hlog(out, backend, found).note for found in (calls, loops) if found]
    return tuple(note for note in dict.fromkeys(notes) if note)


def log_files(out: Path, backend: str) -> tuple[Path, Path]:
    """Where the logs of one backend lie: back to back, and paced."""
    return (
        out.with_name(f"{stem_of(out)}-{backend}.hlog"),
        out.with_name(f"{stem_of(out)}-{backend}-paced.hlog"),
    )


def write_hlog(
    out: Path, backend: str, found: Mapping[str, Samples] | Mapping[str, PacedSamples]
) -> Written:
    """Write one mode of one backend beside the JSON at *out*.

    Args:
        out: the result's JSON; the log is ``<stem>-<backend>.hlog`` beside it, that of a control
            loop ``<stem>-<backend>-paced.hlog``.
        backend: what ran the subjects.
        found: label → raw samples, all of one mode.

    Returns:
        Without the package ``hdrhistogram`` nothing is written, and the note says so.

    Raises:
        WriteFailed: the file cannot be written; an old one is intact.
    """
    try:
        histogram: Any = importlib.import_module("hdrh.histogram").HdrHistogram
    except ImportError:
        return Written(
            None,
            "no HdrHistogram logs were written, since the package hdrhistogram is not installed: "
            "pip install 'dspctl[bench]'  adds it",
        )
    paced = any(isinstance(samples, PacedSamples) for samples in found.values())
    path = log_files(out, backend)[paced]
    lines = "".join(f"{line}\n" for line in _lines(found, histogram))
    write_bytes(path, lines.encode())
    return Written(path, "")


def _loop(raw: Raw, period_ns: int) -> PacedSamples:
    return PacedSamples(
        period_ns=period_ns,
        wakeup_ns=np.concatenate([*raw.wakeup_ns]),
        inference_ns=np.concatenate([*raw.inference_ns]),
        window_steps=tuple(block.size for block in raw.wakeup_ns),
    )


def _lines(
    found: Mapping[str, Samples] | Mapping[str, PacedSamples], histogram: Any
) -> Iterator[str]:
    tags = tags_of(tuple(found))
    yield "#[Histogram log format version 1.3]"
    yield "#[Values are nanoseconds, Interval_Max is milliseconds]"
    for label, tag in tags.items():
        yield f"#[Tag {tag}: {label!a}]"
    yield "#[StartTime: 0.000 (seconds since epoch), the time of day was not recorded]"
    yield '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"'
    parts = {label: _intervals(samples) for label, samples in found.items()}
    start_s = 0.0
    for turn in range(max((len(part) for part in parts.values()), default=0)):
        for label, part in parts.items():
            if turn < len(part) and part[turn].values_ns.size:
                one = part[turn]
                payload = _encoded(one.values_ns, histogram)
                largest_ms = float(one.values_ns.max()) / _MS
                yield (
                    f"Tag={tags[label]},{start_s:.6f},{one.length_s:.6f},{largest_ms:.6f},{payload}"
                )
                start_s += one.length_s


def tags_of(labels: tuple[str, ...]) -> dict[str, str]:
    """A tag for every label: without commas and spaces, which end a tag, and all different."""
    tags: dict[str, str] = {}
    for label in labels:
        plain = _NOT_IN_A_TAG.sub("_", label) or "_"
        tag, number = plain, 2
        while tag in tags.values():
            tag, number = f"{plain}_{number}", number + 1
        tags[label] = tag
    return tags


@dataclass(frozen=True, eq=False)
class _Interval:
    values_ns: NDArray[np.int64]
    length_s: float


def _intervals(samples: Samples | PacedSamples) -> list[_Interval]:
    if isinstance(samples, PacedSamples):
        return [
            _Interval(values, values.size * samples.period_ns * 1e-9)
            for values in samples.windows(samples.latency_ns)
        ]
    return [_Interval(values, float(values.sum()) * 1e-9) for values in samples.single_ns]


def _encoded(values_ns: NDArray[np.int64], histogram: Any) -> str:
    """One interval's histogram, compressed and in base 64."""
    counts: Any = histogram(1, max(_LARGEST_NS, int(values_ns.max())), DIGITS)
    for value, count in zip(*np.unique(values_ns, return_counts=True), strict=True):
        counts.record_value(int(value), int(count))
    encoded: bytes = counts.encode()
    return encoded.decode()
