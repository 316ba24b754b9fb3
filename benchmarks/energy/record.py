"""The figures of energy in a benchmark's result."""

from dataclasses import dataclass

from dspctl.benchmarks.stats import Interval


@dataclass(frozen=True)
class Energy:
    """Energy that one inference adds, idle power subtracted.

    Attributes:
        label: the subject.
        backend: what ran it, in a control loop.
        hz: rate of that loop.
        joules: per inference, mean over rounds.
        busy_w: power while it ran, mean over rounds.
        idle_w: power while nothing ran, mean over rounds.
        rounds: windows of each kind.
        window_s: length of one window.
        source: ``ina3221``, ``tegrastats`` or ``rapl``.
        rails: what was measured, by the sensor's names.
        meaning: what the power stands for, a sentence.
        notes: what weakens the figure, and what to do.
    """

    label: str
    backend: str
    hz: float
    joules: Interval
    busy_w: float
    idle_w: float
    rounds: int
    window_s: float
    source: str
    rails: tuple[str, ...]
    meaning: str
    notes: tuple[str, ...]
