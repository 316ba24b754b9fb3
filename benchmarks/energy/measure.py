"""Energy per inference on one backend: windows of power in turns, idle subtracted."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean

from dspctl.benchmarks.energy.choice import open_meter
from dspctl.benchmarks.energy.meters import Meter
from dspctl.benchmarks.energy.record import Energy
from dspctl.benchmarks.energy.windows import (
    ENOUGH_ROUNDS,
    IDLE,
    RECOMMENDED_S,
    Window,
    energy_per_inference,
    energy_ratio,
)
from dspctl.benchmarks.record.result import Ratio, Skipped
from dspctl.errors import ConfigProblem, PowerUnavailable

ROUNDS = ENOUGH_ROUNDS
FEWEST_ROUNDS = 3
QUANTITY = "energy"

Run = Callable[[str, float], int]
"""Runs a subject in the control loop for so many seconds; gives the inferences that it made."""


@dataclass(frozen=True)
class EnergyFound:
    """What one backend gave.

    Attributes:
        windows: all that were measured, in order.
        energy: one record per subject.
        ratios: the first subject against each other one, where that is not one of noise.
        skipped: subjects without a figure, and why.
    """

    windows: tuple[Window, ...] = ()
    energy: tuple[Energy, ...] = ()
    ratios: tuple[Ratio, ...] = ()
    skipped: tuple[Skipped, ...] = ()


def measure_energy(
    labels: Sequence[str],
    backend: str,
    run: Run,
    *,
    hz: float,
    seconds: float,
    rounds: int = ROUNDS,
    root: Path = Path("/"),
    meter: Meter | None = None,
    idle: Callable[[float], object] = time.sleep,
    seed: int = 0,
    together: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
    on_window: Callable[[tuple[Window, ...]], None] | None = None,
) -> EnergyFound:
    """Measure idle, A, B, idle, B, A and so on.

    A machine that cannot measure power gives no error: its reason is in `EnergyFound.skipped`.

    Args:
        labels: the subjects; the first is the baseline of the ratios.
        backend: what *run* runs them on.
        run: a subject's control loop.
        hz: rate of that loop.
        seconds: length of one window; the sensor's own limit is what is refused.
        rounds: windows of each kind, at least 3.
        root: where ``sys`` is found.
        meter: measures power, and stays open; None opens what this machine has, and closes it.
        idle: does nothing for so many seconds.
        seed: of resampling.
        together: with how many ratios those of energy are to hold at once.
        on_progress: called with windows done and windows in all.
        on_window: called after every window with all of them so far.

    Raises:
        ConfigProblem: no labels, labels that are not different, a label that is ``idle``; too few
            rounds; windows too short for the sensor.
        Whatever *run* raises.
    """
    _check(labels, rounds, seconds)
    windows: list[Window] = []
    try:
        with closing(open_meter(root)) if meter is None else nullcontext(meter) as chosen:
            _check_window(chosen, seconds)
            total = rounds * (1 + len(labels))
            for window in _measured(chosen, labels, run, idle, seconds, rounds):
                windows.append(window)
                if on_window is not None:
                    on_window(tuple(windows))
                if on_progress is not None:
                    on_progress(len(windows), total)
            return _figures(chosen, windows, labels, backend, hz, seconds, seed, together)
    except PowerUnavailable as error:
        lost = tuple(Skipped(label, backend, f"energy: {error}") for label in labels)
        return EnergyFound(windows=tuple(windows), skipped=lost)


def check_energy(labels: Sequence[str], seconds: float, root: Path = Path("/")) -> None:
    """Refuse before anything is measured what `measure_energy` refuses on this machine.

    Raises:
        ConfigProblem: as `measure_energy`.
    """
    _check(labels, ROUNDS, seconds)
    try:
        with closing(open_meter(root)) as meter:
            _check_window(meter, seconds)
    except PowerUnavailable:  # which is no error: the result says why there is no energy
        return


def _check_window(meter: Meter, seconds: float) -> None:
    if seconds < meter.shortest_s:
        raise ConfigProblem(
            f"windows of {seconds:g} s are too short for {meter.source}, which needs "
            f"{meter.shortest_s:.1f} s: use {RECOMMENDED_S:.0f} s and more"
        )


def _check(labels: Sequence[str], rounds: int, seconds: float) -> None:
    if not labels or len(set(labels)) < len(labels) or IDLE in labels:
        raise ConfigProblem(
            f"energy needs subjects of different names, none of them '{IDLE}', not "
            f"{', '.join(labels) or 'none'}: name them differently"
        )
    if rounds < FEWEST_ROUNDS:
        raise ConfigProblem(f"energy needs at least {FEWEST_ROUNDS} rounds, not {rounds}")
    if not (math.isfinite(seconds) and seconds > 0):
        raise ConfigProblem(f"the energy seconds must be a positive number, not {seconds}")


def _measured(
    meter: Meter,
    labels: Sequence[str],
    run: Run,
    idle: Callable[[float], object],
    seconds: float,
    rounds: int,
) -> Iterator[Window]:
    """The windows, one after the other; the order of the subjects turns with every round."""

    def nothing() -> int:
        idle(seconds)
        return 0

    for number in range(rounds):
        yield _window(meter, IDLE, nothing)
        for label in labels if number % 2 == 0 else reversed(labels):
            yield _window(meter, label, partial(run, label, seconds))


def _window(meter: Meter, subject: str, work: Callable[[], int]) -> Window:
    made = 0

    def counted() -> None:
        nonlocal made
        made = work()

    power = meter.window(counted)
    return Window(subject, power.watts, power.duration_s, made, power.rails)


def _figures(
    meter: Meter,
    windows: Sequence[Window],
    labels: Sequence[str],
    backend: str,
    hz: float,
    seconds: float,
    seed: int,
    together: int,
) -> EnergyFound:
    """Records, ratios and what gave none."""
    energy, ratios, skipped = [], [], []
    idle_w = fmean(one.watts for one in windows if one.subject == IDLE)
    for label in labels:
        try:
            found = energy_per_inference(windows, label, averaging_s=meter.averaging_s, seed=seed)
        except ConfigProblem as error:
            skipped.append(Skipped(label, backend, f"energy: {error}"))
            continue
        notes = [*meter.notes, *found.notes]
        if label != labels[0]:
            ratio = _ratio(meter, windows, labels[0], label, backend, seed, together)
            if isinstance(ratio, Ratio):
                ratios.append(ratio)
            else:
                notes.append(ratio)
        energy.append(
            Energy(
                label=label,
                backend=backend,
                hz=hz,
                joules=found.joules,
                busy_w=fmean(one.watts for one in windows if one.subject == label),
                idle_w=idle_w,
                rounds=found.rounds,
                window_s=seconds,
                source=meter.source,
                rails=found.rails,
                meaning=meter.meaning,
                notes=tuple(notes),
            )
        )
    return EnergyFound(tuple(windows), tuple(energy), tuple(ratios), tuple(skipped))


def _ratio(
    meter: Meter,
    windows: Sequence[Window],
    baseline: str,
    label: str,
    backend: str,
    seed: int,
    together: int,
) -> Ratio | str:
    """The ratio, or a sentence on why there is none."""
    try:
        value = energy_ratio(
            windows,
            baseline,
            label,
            averaging_s=meter.averaging_s,
            seed=seed,
            together=together,
        )
    except ConfigProblem as error:
        return f"no ratio of energy to '{baseline}': {error}"
    return Ratio(QUANTITY, backend, baseline, label, value)
