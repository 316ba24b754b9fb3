"""Faults put into a loop from outside: wrappers around observe, runner and apply.

The loop knows nothing of them. What is put in is counted here, by itself, at the moment it is put
in, so that a log can be held against it. The same seed gives the same faults at the same steps.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dspctl.runtime.backends.protocol import Runner
from dspctl.runtime.loop.clock import Clock
from dspctl.runtime.loop.plans import Plan
from dspctl.runtime.loop.records import (
    APPLY,
    BACKEND,
    INVALID,
    LATE,
    OBSERVE,
    STALL,
    LoopSettings,
)
from dspctl.runtime.policy import Policy
from dspctl.runtime.policy.guard import FLOAT32_MAX

_KEPT = 100_000
"""Faults that are kept one by one; a loop may run for weeks."""

_DELAY = 1.5
"""An injected delay, as a multiple of what makes it a fault."""


class Injected(NamedTuple):
    """One fault that was put in."""

    step: int
    kind: str


class InjectedFault(Exception):
    """What an injected sensor, backend or actuator raises; never seen outside of a loop."""


class Injector:
    """Wraps the three parts of a loop; one injector per loop.

    Args:
        plan: which faults, and when.
        settings: of the loop, for how long a delay has to be.
        clock: of the loop.
        policy: what is being run, for what is invalid to it.

    Attributes:
        counts: kind → how many were put in.
        injected: the newest of them, in order.
    """

    def __init__(self, plan: Plan, settings: LoopSettings, clock: Clock, policy: Policy) -> None:
        self._plan, self._clock, self._policy = plan, clock, policy
        self._late_ns = round(_DELAY * settings.period_ns)
        self._stall_ns = round(_DELAY * settings.watchdog_ns)
        self._step = -1
        self._due: frozenset[str] = frozenset()
        self.counts = dict.fromkeys(plan.kinds, 0)
        self.injected: deque[Injected] = deque(maxlen=_KEPT)

    def observing(self, observe: Callable[[], Any]) -> Callable[[], Any]:
        """``observe`` that fails, or gives what is invalid; it also counts the steps."""

        def wrapped() -> Any:
            self._step += 1
            self._due = self._plan.due(self._step)
            if OBSERVE in self._due:
                return _unreadable(self._put(OBSERVE))
            observation = observe()
            if INVALID in self._due and len(self._policy.inputs):
                return self._invalid(np.array(observation, np.float64), self._put(INVALID))
            return observation

        return wrapped

    def running(self, runner: Runner) -> Runner:
        """A runner that fails, or takes so long that the watchdog notices."""
        return _Faulty(runner, self._before_acting)

    def applying(self, apply: Callable[[Any], object]) -> Callable[[Any], object]:
        """``apply`` that comes late, or fails."""

        def wrapped(action: Any) -> object:
            if LATE in self._due:
                self._put(LATE)
                self._wait(self._late_ns)
            if APPLY in self._due:
                self._put(APPLY)
                raise InjectedFault("the actuator does not answer")
            return apply(action)

        return wrapped

    def _before_acting(self) -> int | None:
        """The number of the failure that is due, or None."""
        if STALL in self._due:
            self._put(STALL)
            self._wait(self._stall_ns)
        return self._put(BACKEND) if BACKEND in self._due else None

    def _invalid(self, observation: NDArray[np.float64], number: int) -> NDArray[np.float64]:
        inputs, guard = self._policy.inputs, self._policy.guard
        feature = int(inputs[number % len(inputs)])
        values = [np.nan, np.inf, -np.inf]
        if guard.high[feature] < FLOAT32_MAX:
            values.append(float(np.nextafter(guard.high[feature], np.float32(np.inf))))
        observation[feature] = values[number % len(values)]
        return observation

    def _put(self, kind: str) -> int:
        """Count a fault; returns how many of its kind came before."""
        before = self.counts[kind]
        self.counts[kind] += 1
        self.injected.append(Injected(self._step, kind))
        return before

    def _wait(self, duration_ns: int) -> None:
        self._clock.sleep_until(self._clock.now_ns() + duration_ns)


class _Faulty:
    """A runner around another one; what it does not change it hands on."""

    def __init__(self, runner: Runner, before: Callable[[], int | None]) -> None:
        self._runner, self._before = runner, before
        self.backend, self.policy, self.why = runner.backend, runner.policy, runner.why

    def __call__(self, observation: NDArray[Any]) -> NDArray[Any]:
        return self._runner(observation)

    def act(self, observation: NDArray[Any], action: NDArray[Any]) -> Any:
        number = self._before()
        if number is None:
            return self._runner.act(observation, action)
        way = number % 3
        if way == 0:
            raise InjectedFault("the backend does not answer")
        if way == 1:
            return np.zeros((2, 2))  # neither a status nor of one observation
        discrete = self.policy.action.discrete
        action[...] = np.iinfo(np.int64).min if discrete else np.nan
        return 0

    def outputs(self, observation: NDArray[Any]) -> NDArray[Any]:
        return self._runner.outputs(observation)

    def close(self) -> None:
        self._runner.close()

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()


def _unreadable(number: int) -> Any:
    way = number % 3
    if way == 0:
        raise InjectedFault("the sensor does not answer")
    if way == 1:
        raise TimeoutError("no observation in time")
    return None if number % 2 else np.zeros((2, 2))
