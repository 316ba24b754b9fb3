"""The row that every Python backend's memory is compared with."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from dspctl.benchmarks.memory.process import Memory
from dspctl.benchmarks.request import C


@dataclass(frozen=True)
class BarePython:
    """Python with NumPy and nothing else: what every Python backend is compared with.

    Attributes:
        rss_bytes: median over processes.
        pss_bytes: median over processes.
        peak_rss_bytes: median over processes.
        processes: how many.
    """

    rss_bytes: float
    pss_bytes: float
    peak_rss_bytes: float
    processes: int


def bare_python(records: Iterable[Memory]) -> BarePython | None:
    """The row of the bare process, from the first stage of every process; None without any."""
    probes = [probe for one in records if one.backend != C for probe in one.probes]
    if not probes:
        return None
    return BarePython(
        rss_bytes=median(probe.baseline_rss_bytes for probe in probes),
        pss_bytes=median(probe.baseline_pss_bytes for probe in probes),
        peak_rss_bytes=median(probe.baseline_peak_rss_bytes for probe in probes),
        processes=len(probes),
    )
