"""Which meter this machine has: the board's sensor, tegrastats, or the processor's counters."""

import shutil
from collections.abc import Callable
from pathlib import Path

from dspctl.benchmarks.device.ina3221 import AVERAGING_S, read_rails, unreadable_rails
from dspctl.benchmarks.energy.meters import CounterMeter, Meter, SensorMeter
from dspctl.benchmarks.energy.sampler import INTERVAL_S, Sampler
from dspctl.errors import PowerUnavailable

TEGRASTATS = "tegrastats"


def open_meter(
    root: Path = Path("/"),
    *,
    interval_s: float = INTERVAL_S,
    averaging_s: float = AVERAGING_S,
) -> Meter:
    """The first that works of: the INA3221's files, tegrastats, RAPL counters.

    Args:
        root: where ``sys`` is found.
        interval_s: between two readings of a sensor.
        averaging_s: seconds over which the sensor averages.

    Raises:
        PowerUnavailable: none of them works; says of each why.
    """

    def files() -> Meter:
        if not read_rails(root):
            silent = unreadable_rails(root)
            why = f"the INA3221's rails {', '.join(silent)} give no value" if silent else ""
            raise PowerUnavailable(why or "this machine shows no power sensor (INA3221)")
        notes = tuple(
            f"the rail {name} gives no value, and is not part of the figure"
            for name in unreadable_rails(root)
        )
        sampler = Sampler(root, interval_s=interval_s)
        return SensorMeter("ina3221", sampler, averaging_s=averaging_s, notes=notes)

    def program() -> Meter:
        found = shutil.which(TEGRASTATS)
        if found is None:
            raise PowerUnavailable(f"there is no program {TEGRASTATS}")
        sampler = Sampler(root, program=found, interval_s=interval_s)
        return SensorMeter(TEGRASTATS, sampler, averaging_s=averaging_s)

    openers: tuple[Callable[[], Meter], ...] = (files, program, lambda: CounterMeter(root))
    reasons = []
    for opener in openers:
        try:
            return opener()
        except PowerUnavailable as error:
            reasons.append(str(error))
    raise PowerUnavailable(f"power cannot be measured here: {'; '.join(reasons)}")
