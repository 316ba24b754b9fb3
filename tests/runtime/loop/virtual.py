"""A loop in no time: a clock that moves when somebody sleeps, and parts that fail when told to."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.runtime import NumpyRunner, Policy
from dspctl.runtime.loop import KINDS, ControlLoop, Event, LoopSettings, Summary
from dspctl.runtime.loop.injection import Injector
from dspctl.runtime.loop.plans import plan_of
from tests.runtime.policies import make_policy

MS = 1_000_000
NONE = dict.fromkeys(KINDS, 0)


def faults(**counts: int) -> dict[str, int]:
    """A loop's counters: these, and 0 for every other kind."""
    return {**NONE, **counts}


class VirtualClock:
    """Stands still but for `sleep_until`; what repeats is called as the time passes."""

    def __init__(self) -> None:
        self.time_ns = 7_000_000_000  # not from 0
        self._repeating: list[tuple[Callable[[int], None], int]] = []

    def now_ns(self) -> int:
        return self.time_ns

    def sleep_until(self, time_ns: int) -> None:
        for call, every_ns in self._repeating:
            first = self.time_ns // every_ns * every_ns + every_ns
            for look_ns in range(first, time_ns + 1, every_ns):
                call(look_ns)
        self.time_ns = max(self.time_ns, time_ns)

    def take(self, milliseconds: float) -> None:
        """Time passes within a step."""
        self.sleep_until(self.time_ns + round(milliseconds * MS))

    @contextmanager
    def repeating(self, call: Callable[[int], None], every_ns: int) -> Iterator[None]:
        self._repeating.append((call, every_ns))
        try:
            yield
        finally:
            self._repeating.pop()


class Scripted:
    """A runner that answers what a list says, then what NumPy does; it knows its calls."""

    def __init__(self, policy: Policy, script: Sequence[Any] = (), backend: str = "first") -> None:
        self.policy, self.backend, self.why = policy, backend, ""
        self._script, self._real, self.calls = list(script), NumpyRunner(policy), 0

    def act(self, observation: NDArray[Any], action: NDArray[Any]) -> Any:
        self.calls += 1
        answer = self._script.pop(0) if self._script else None
        if isinstance(answer, BaseException):
            raise answer
        if callable(answer):
            return answer(action)
        return self._real.act(observation, action) if answer is None else answer

    def __call__(self, observation: NDArray[Any]) -> NDArray[Any]:
        return self._real(observation)

    def outputs(self, observation: NDArray[Any]) -> NDArray[Any]:
        return self._real.outputs(observation)

    def close(self) -> None:
        return

    def __enter__(self) -> "Scripted":
        return self

    def __exit__(self, *unused: object) -> None:
        return


class Rig:
    """A loop with a world of two lists: what is observed, and what was applied.

    Args:
        policy: what acts.
        observed: for each step an observation, an exception, or a function that gives one; valid
            ones follow.
    """

    def __init__(
        self,
        policy: Policy | None = None,
        observed: Sequence[Any] = (),
        runners: Sequence[Any] | None = None,
        applying: Callable[[Any], object] | None = None,
        **settings: Any,
    ) -> None:
        self.policy = policy or make_policy(rule="clip", on_invalid="flag")
        self.clock = VirtualClock()
        self.events: list[Event] = []
        self.log: Callable[[Event], None] | None = None
        self.applied: list[Any] = []
        self.stalls: list[tuple[int, float]] = []
        self.valid = np.linspace(-0.5, 0.5, self.policy.observation.size).astype(np.float32)
        self._observed, self._applying = list(observed), applying
        self.settings = LoopSettings(**{"hz": 200.0, **settings})
        self.runners = runners or [NumpyRunner(self.policy)]
        self.loop = self.looped(self.runners, self.observe, self.apply)

    def looped(
        self, runners: Sequence[Any], observe: Callable[[], Any], apply: Callable[[Any], object]
    ) -> ControlLoop:
        return ControlLoop(
            runners,
            observe,
            apply,
            settings=self.settings,
            record=self.record,
            on_stall=lambda step, seconds: self.stalls.append((step, seconds)),
            clock=self.clock,
        )

    def inject(self, faults: str, seed: int = 0) -> Injector:
        """Put faults around all three parts."""
        plan = plan_of(faults, hz=self.settings.hz, seed=seed)
        injector = Injector(plan, self.settings, self.clock, self.policy)
        first, *others = self.runners
        self.loop = self.looped(
            [injector.running(first), *others],
            injector.observing(self.observe),
            injector.applying(self.apply),
        )
        return injector

    def run(self, steps: int) -> Summary:
        return self.loop.run(steps=steps)

    def record(self, event: Event) -> None:
        self.events.append(event)
        if self.log is not None:
            self.log(event)

    def observe(self) -> Any:
        found = self._observed.pop(0) if self._observed else self.valid
        if isinstance(found, BaseException):
            raise found
        return found() if callable(found) else found

    def apply(self, action: Any) -> None:
        if self._applying is not None:
            self._applying(action)
        self.applied.append(action)

    def kinds(self) -> list[tuple[int, str]]:
        return [(event.step, event.kind) for event in self.events]

    def acts(self, observation: NDArray[np.float32]) -> Any:
        return NumpyRunner(self.policy)(observation)
