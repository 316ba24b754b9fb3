"""Energy per inference from windows of mean power: idle, A, B, idle, A, B and so on.

``E = (W_busy - W_idle) * t / N``: idle power is subtracted, so this is what the inferences *add*.
Each busy window is compared with the idle window of its own round, and rounds are what is
resampled, so that warming and drift, which hit a round as a whole, cancel or show in the interval.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dspctl.benchmarks.device.ina3221 import AVERAGING_S
from dspctl.benchmarks.stats import FloatArray, Interval, bootstrap_mean, percentile_ratio
from dspctl.errors import ConfigProblem

IDLE = "idle"
RECOMMENDED_S = 60.0
_FEWEST_ROUNDS = 2
ENOUGH_ROUNDS = 5


@dataclass(frozen=True)
class Window:
    """Mean power over a stretch of time.

    Attributes:
        subject: `IDLE`, or what ran.
        watts: mean power.
        duration_s: its length.
        inferences: how many were made in it; 0 when idle.
        rails: what was measured; windows of different rails are not compared.
    """

    subject: str
    watts: float
    duration_s: float
    inferences: int
    rails: tuple[str, ...]


@dataclass(frozen=True)
class InferenceEnergy:
    """Energy that one inference adds.

    Attributes:
        subject: what ran.
        joules: mean over rounds, with its interval.
        rounds: how many.
        rails: what was measured.
        notes: what weakens the figure, and what to do.
    """

    subject: str
    joules: Interval
    rounds: int
    rails: tuple[str, ...]
    notes: tuple[str, ...]


def energy_per_inference(
    windows: Sequence[Window], subject: str, *, averaging_s: float = AVERAGING_S, seed: int = 0
) -> InferenceEnergy:
    """Energy per inference of *subject*, idle subtracted.

    Args:
        windows: in the order in which they were measured; every round starts with an idle one.
        subject: one that ran in every round.
        averaging_s: seconds over which the sensor averages; 0 for a counter of energy.
        seed: of the resampling.

    Raises:
        ConfigProblem: a window is shorter than *averaging_s*; there are fewer than two rounds; a
            round does not start idle or lacks the subject; rails differ; a value cannot be one.
    """
    rounds = _rounds(windows, averaging_s)
    energies = _energies(rounds, subject)
    interval = bootstrap_mean(energies, seed=seed)
    return InferenceEnergy(
        subject=subject,
        joules=interval,
        rounds=len(rounds),
        rails=windows[0].rails,
        notes=_notes(windows, interval, len(rounds)),
    )


def energy_ratio(
    windows: Sequence[Window],
    above: str,
    below: str,
    *,
    averaging_s: float = AVERAGING_S,
    seed: int = 0,
    together: int = 1,
) -> Interval:
    """Ratio of the median energies per inference of two subjects that ran in the same rounds.

    Raises:
        ConfigProblem: as `energy_per_inference`; or a round shows no energy above idle for one of
            the two, so that a ratio would be one of noise.
    """
    rounds = _rounds(windows, averaging_s)
    pair = [_energies(rounds, subject) for subject in (above, below)]
    for subject, energies in zip((above, below), pair, strict=True):
        if energies.min() <= 0:
            raise ConfigProblem(
                f"'{subject}' used no more power than idling in some round, so no ratio can be "
                f"given: measure longer windows ({RECOMMENDED_S:.0f} s) at a higher rate"
            )
    numerator, denominator = (
        [energies[i : i + 1] for i in range(len(rounds))] for energies in pair
    )
    return percentile_ratio(numerator, denominator, 0.5, together=together, seed=seed)


def _rounds(windows: Sequence[Window], averaging_s: float) -> list[dict[str, Window]]:
    """Split at the idle windows; each round by subject."""
    rounds: list[dict[str, Window]] = []
    for window in windows:
        _check(window, windows[0], averaging_s)
        if window.subject == IDLE:
            rounds.append({})
        elif not rounds:
            raise ConfigProblem("the first window is not idle: start every round with an idle one")
        if window.subject in rounds[-1]:
            raise ConfigProblem(
                f"'{window.subject}' ran twice in a round: alternate idle and every subject"
            )
        rounds[-1][window.subject] = window
    if len(rounds) < _FEWEST_ROUNDS:
        raise ConfigProblem(
            f"energy needs at least {_FEWEST_ROUNDS} rounds of idle and busy windows for an "
            f"interval, not {len(rounds)}: measure more of them"
        )
    return rounds


def _check(window: Window, first: Window, averaging_s: float) -> None:
    if not (math.isfinite(window.watts) and math.isfinite(window.duration_s)):
        raise ConfigProblem(f"a window of '{window.subject}' has no finite power or length")
    if window.duration_s <= 0 or window.duration_s < averaging_s:
        raise ConfigProblem(
            f"a window of '{window.subject}' lasted {window.duration_s:g} s, but the sensor "
            f"averages over {averaging_s:g} s: use windows of {RECOMMENDED_S:.0f} s and more"
        )
    if window.rails != first.rails:
        raise ConfigProblem(
            f"windows measured different rails ({', '.join(window.rails) or 'none'} and "
            f"{', '.join(first.rails) or 'none'}): measure all of them with the same"
        )


def _energies(rounds: Sequence[dict[str, Window]], subject: str) -> FloatArray:
    """Joules per inference of a subject, float64 [rounds]."""
    energies = []
    for number, windows in enumerate(rounds, start=1):
        busy = windows.get(subject)
        if busy is None or subject == IDLE or busy.inferences < 1:
            raise ConfigProblem(
                f"round {number} has no inference of '{subject}': run it in every round"
            )
        added_w = busy.watts - windows[IDLE].watts
        energies.append(added_w * busy.duration_s / busy.inferences)
    return np.array(energies, np.float64)


def _notes(windows: Sequence[Window], interval: Interval, rounds: int) -> tuple[str, ...]:
    found = []
    shortest = min(window.duration_s for window in windows)
    if shortest < RECOMMENDED_S:
        found.append(
            f"the shortest window lasted {shortest:g} s: use {RECOMMENDED_S:.0f} s and more"
        )
    if rounds < ENOUGH_ROUNDS:
        found.append(
            f"{rounds} rounds give too narrow an interval: measure {ENOUGH_ROUNDS} and more"
        )
    if interval.low <= 0:
        found.append("not distinguishable from idling: measure at a higher rate, or for longer")
    return tuple(found)
