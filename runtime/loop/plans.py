"""Which faults come at which step: by chance, or one after the other at a fixed time."""

import math
import re
from random import Random
from typing import Protocol

from dspctl.errors import InvalidFaults
from dspctl.runtime.loop.records import APPLY, BACKEND, INVALID, LATE, OBSERVE, STALL

INJECTABLE = (INVALID, OBSERVE, LATE, BACKEND, APPLY, STALL)
"""In the order in which ``every`` has them."""

_NONE: frozenset[str] = frozenset()
_TIME = re.compile(r"every=(\d+(?:\.\d+)?)(ms|s)")
_MOST_STEPS = 2**63
_EXAMPLE = f"such as invalid=0.01,late=0.005 ({', '.join(INJECTABLE)}), or every=1s"


class Plan(Protocol):
    """Faults by step; asked once a step, in order."""

    kinds: tuple[str, ...]

    def due(self, step: int) -> frozenset[str]:
        """The kinds of faults for *step*, from 0."""
        ...


class ByChance:
    """Each kind with a probability of its own, at every step.

    Args:
        probabilities: kind → from 0 to 1.
        seed: of all of them.
    """

    def __init__(self, probabilities: dict[str, float], seed: int) -> None:
        self.kinds = tuple(probabilities)
        self._probabilities, self._random = probabilities, Random(seed)

    def due(self, step: int) -> frozenset[str]:
        """See `Plan`."""
        draw = self._random.random
        return frozenset([kind for kind, share in self._probabilities.items() if draw() < share])


class InTurn:
    """One fault every *steps* steps, a kind after the other.

    Args:
        steps: between two faults, at least 1.
        seed: where in the order it begins.
    """

    kinds: tuple[str, ...] = INJECTABLE

    def __init__(self, steps: int, seed: int) -> None:
        self._steps, self._first = steps, seed

    def due(self, step: int) -> frozenset[str]:
        """See `Plan`; the first fault comes after *steps* steps."""
        number, rest = divmod(step, self._steps)
        if rest or not number:
            return _NONE
        return frozenset([INJECTABLE[(self._first + number - 1) % len(INJECTABLE)]])


def plan_of(text: str, *, hz: float, seed: int) -> Plan:
    """The plan behind ``invalid=0.01,late=0.005`` or ``every=1s``.

    Args:
        text: what ``--inject`` takes.
        hz: steps per second of the loop.
        seed: of what is left to chance.

    Raises:
        InvalidFaults: it is neither; names a fault that cannot be put in, or one twice; or gives
            a probability outside 0 to 1, or a time shorter than a step or longer than any loop.
    """
    found = _TIME.fullmatch(text.strip())
    if found is not None:
        value, unit = found.groups()
        exact = float(value) * (hz / 1e3 if unit == "ms" else hz)
        if exact >= _MOST_STEPS:
            raise InvalidFaults(
                f"every={value[:20]}… is longer than any loop runs: give a shorter time, {_EXAMPLE}"
            )
        steps = round(exact)
        if steps < 1:
            raise InvalidFaults(
                f"{text!r} is shorter than a step at {hz:g} Hz: give a longer time, {_EXAMPLE}"
            )
        return InTurn(steps, seed)
    probabilities: dict[str, float] = {}
    for part in text.split(","):
        kind, _, share = part.strip().partition("=")
        if kind not in INJECTABLE:
            raise InvalidFaults(f"there is no fault {kind!r} to put in: give faults, {_EXAMPLE}")
        if kind in probabilities:
            raise InvalidFaults(f"{kind} is given twice: give each fault once, {_EXAMPLE}")
        try:
            probabilities[kind] = float(share)
        except ValueError:
            probabilities[kind] = math.nan
        if not 0 <= probabilities[kind] <= 1:
            raise InvalidFaults(
                f"the probability {share!r} of {kind} is not a number from 0 to 1: give faults, "
                f"{_EXAMPLE}"
            )
    return ByChance(probabilities, seed)
