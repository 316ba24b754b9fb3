"""``load(bundle)`` with no backend named: try all that run here and take the fastest."""

import logging
from dataclasses import dataclass
from time import perf_counter_ns

import numpy as np
from numpy.typing import NDArray

from dspctl.errors import BackendUnavailable, MissingExtra
from dspctl.runtime.backends.registry import OPENERS, golden_of, prove
from dspctl.runtime.backends.runner import Runner
from dspctl.runtime.bundle import Bundle
from dspctl.runtime.policy import Policy

log = logging.getLogger(__name__)

_CLEARLY = 0.9
"""A later backend is taken where it needs less than this share of the earlier one's time."""

_BLOCKS = 5
_BLOCK_NS = 500_000
"""Five blocks of half a millisecond each: enough to tell 0.3 us from 4, and no wait at start-up."""


@dataclass(frozen=True)
class Attempt:
    """What trying one backend gave.

    Attributes:
        backend: its name, as `load` takes it.
        latency_ns: of one call, roughly; None where it cannot be used.
        reason: why it cannot be used; empty where it can.
    """

    backend: str
    latency_ns: float | None
    reason: str = ""

    def __str__(self) -> str:
        if self.latency_ns is None:
            return f"{self.backend} cannot be used ({self.reason})"
        return f"{self.backend} takes {self.latency_ns / 1000:.2f} us"


def fastest_runner(bundle: Bundle) -> Runner:
    """The fastest backend that reproduces the golden vectors here.

    Raises:
        BackendUnavailable: none does; the message says why each one was refused.
    """
    golden = golden_of(bundle)
    attempts: list[Attempt] = []
    chosen: Runner | None = None
    shortest_ns = float("inf")
    for name, opener in OPENERS.items():
        try:
            runner = opener(bundle)
            prove(runner, golden)
        except (BackendUnavailable, MissingExtra) as error:
            attempts.append(Attempt(name, None, str(error)))
            continue
        took_ns = latency_ns(runner, bundle.policy)
        attempts.append(Attempt(name, took_ns))
        if took_ns < _CLEARLY * shortest_ns:
            if chosen is not None:
                chosen.close()
            chosen, shortest_ns = runner, took_ns
        else:
            runner.close()
    found = "; ".join(map(str, attempts))
    if chosen is None:
        raise BackendUnavailable(f"no backend runs {bundle.path}: {found}")
    chosen.why = f"the fastest that reproduces the golden vectors here: {found}"
    log.info("%s: %s, %s", bundle.path, chosen.backend, chosen.why)
    return chosen


def latency_ns(runner: Runner, policy: Policy) -> float:
    """About how long one call takes here: the best of a few short blocks.

    Good enough to choose a backend by; ``dspctl bench`` measures.
    """
    observation = policy.guard.fill  # valid, whatever the guard says
    calls, took = 1, 0
    while took < _BLOCK_NS and calls < 1 << 20:
        calls *= 2
        took = _time_ns(runner, observation, calls)
    best = min(_time_ns(runner, observation, calls) for _ in range(_BLOCKS))
    return best / calls


def _time_ns(runner: Runner, observation: NDArray[np.float32], calls: int) -> int:
    start = perf_counter_ns()
    for _ in range(calls):
        runner(observation)
    return perf_counter_ns() - start
