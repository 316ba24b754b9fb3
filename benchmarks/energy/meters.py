"""What measures power: a counter read before and after a window, or a sensor read all along."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Protocol

from dspctl.benchmarks.device.board_power import BoardPower, board_power, unknown_rails
from dspctl.benchmarks.device.ina3221 import AVERAGING_S
from dspctl.benchmarks.device.rapl import package_energy, read_counters
from dspctl.benchmarks.energy.sampler import Sampler
from dspctl.errors import PowerUnavailable

FEWEST_READINGS = 2
"""Of a sensor, in one window."""


@dataclass(frozen=True)
class Power:
    """What one window showed.

    Attributes:
        watts: mean power.
        duration_s: length of the window.
        rails: what was added, by the sensor's or the counter's names.
    """

    watts: float
    duration_s: float
    rails: tuple[str, ...]


class Meter(Protocol):
    """Measures the power of a window; `close` ends what it has started.

    Attributes:
        source: ``ina3221``, ``tegrastats`` or ``rapl``.
        averaging_s: seconds over which it averages; 0 for a counter of energy.
        shortest_s: the shortest window that it can tell anything of.
        meaning: what its power stands for, a sentence.
    """

    source: str
    averaging_s: float
    shortest_s: float
    meaning: str

    @property
    def notes(self) -> tuple[str, ...]:
        """What weakens the figures, so far."""
        ...

    def window(self, work: Callable[[], object]) -> Power:
        """Mean power while *work* runs.

        Raises:
            PowerUnavailable: the sensor or the counter stopped telling.
        """
        ...

    def close(self) -> None:
        """End what the meter has started."""
        ...


class CounterMeter:
    """The energy counters of x86 processors, read before and after.

    Args:
        root: where ``sys`` is found.

    Raises:
        PowerUnavailable: there are none, or they cannot be read; says why.
    """

    source = "rapl"
    averaging_s = 0.0
    shortest_s = 0.1  # the counters move every millisecond
    meaning = (
        "energy of all processor packages (cores, caches, memory controllers), without memory, "
        "disks and power supply"
    )
    notes: tuple[str, ...] = ()

    def __init__(self, root: Path) -> None:
        self._root = root
        now = read_counters(root)
        found = package_energy(now, now)
        if found.joules is None:
            raise PowerUnavailable(found.reason or "the energy counters cannot be read")

    def window(self, work: Callable[[], object]) -> Power:
        """Mean power while *work* runs; see `Meter`."""
        before, start = read_counters(self._root), time.monotonic()
        work()
        duration_s, after = time.monotonic() - start, read_counters(self._root)
        energy = package_energy(before, after)
        if energy.joules is None:
            raise PowerUnavailable(energy.reason or "the energy counters cannot be read any more")
        return Power(energy.joules / duration_s, duration_s, energy.domains)

    def close(self) -> None:
        """Nothing to end."""


class SensorMeter:
    """A board's sensor, read by a process of its own at a low rate.

    Its readings are averages over the last *averaging_s*, so those that reach back to before a
    window are left out. The rails are those of the first reading: the board's input where it is
    measured, else the sum of all.

    Args:
        source: ``ina3221`` or ``tegrastats``.
        sampler: gives the readings; the meter closes it.
        averaging_s: of the sensor.
        notes: what is known to weaken the figures.

    Raises:
        PowerUnavailable: no reading with a rail came in time.
    """

    def __init__(
        self,
        source: str,
        sampler: Sampler,
        *,
        averaging_s: float = AVERAGING_S,
        notes: tuple[str, ...] = (),
    ) -> None:
        self.source, self.averaging_s = source, averaging_s
        self.shortest_s = averaging_s + (FEWEST_READINGS + 1) * sampler.interval_s
        self._sampler = sampler
        self._lacking = 0
        try:
            first = sampler.first()
        except PowerUnavailable:
            sampler.close()
            raise
        self._board: BoardPower = _known(board_power(first.rails_w))
        self.meaning = self._board.meaning
        strange = unknown_rails(first.rails_w)
        use = "are not part of the figure" if self._board.total else "are part of the sum"
        self._notes = notes
        if strange:
            self._notes += (
                f"unknown rails ({', '.join(strange)}) {use}: see the board's documentation for "
                "what they feed",
            )

    @property
    def notes(self) -> tuple[str, ...]:
        """What weakens the figures, so far."""
        if not self._lacking:
            return self._notes
        return (
            *self._notes,
            f"{self._lacking} readings lacked a rail of {', '.join(self._board.rails)} and were "
            "left out",
        )

    def window(self, work: Callable[[], object]) -> Power:
        """Mean power while *work* runs; see `Meter`."""
        start = time.monotonic()
        work()
        end = time.monotonic()
        readings = [
            one.rails_w
            for one in self._sampler.readings()
            if start + self.averaging_s <= one.at_s <= end
        ]
        whole = [
            sum(rails[name] for name in self._board.rails)
            for rails in readings
            if all(name in rails for name in self._board.rails)
        ]
        self._lacking += len(readings) - len(whole)
        if len(whole) < FEWEST_READINGS:
            raise PowerUnavailable(
                f"{self.source} gave {len(whole)} readings in a window of {end - start:.1f} s: use "
                "longer windows, and see that the sensor answers"
            )
        return Power(fmean(whole), end - start, self._board.rails)

    def close(self) -> None:
        """End the process that reads the sensor."""
        self._sampler.close()


def _known(power: BoardPower | None) -> BoardPower:
    if power is None:
        raise PowerUnavailable("the sensor shows no rail")
    return power
