"""Energy as one of a benchmark's measurements."""

from collections.abc import Sequence

from dspctl.benchmarks.energy.measure import Run, measure_energy
from dspctl.benchmarks.keeper import Keeper


def keep_energy(keeper: Keeper, labels: Sequence[str], backend: str, run: Run) -> None:
    """Measure energy on one backend and put it into the result.

    Args:
        keeper: gets the figures, or why there are none.
        labels: the subjects that run there, the baseline first.
        backend: what *run* runs them on.
        run: a subject's control loop for so many seconds; asks the operating system for what was
            requested by itself, since the process that reads the sensors would inherit it.

    Raises:
        ConfigProblem: the windows are too short for the sensor.
        WriteFailed: the result cannot be written.
    """
    request = keeper.result.settings.request
    found = measure_energy(
        labels,
        backend,
        run,
        hz=request.hz,
        seconds=request.energy_seconds,
        seed=request.seed,
        together=keeper.together,
        on_progress=keeper.reporter("energy", backend),
    )
    keeper.finish(
        "energy", backend, energy=found.energy, ratios=found.ratios, skipped=found.skipped
    )
