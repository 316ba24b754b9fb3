"""The loop: a step per period at absolute deadlines, and an answer to whatever fails in it.

Step *i* is due at ``start + i * period``, whatever the steps before it took; one that is due
already is made at once and late, none is skipped, as in ``dspctl bench --paced-seconds``. A step:
observe, act, apply. Every failure has a row in docs/control-loop.md; none ends the loop.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

import numpy as np

from dspctl.errors import ConfigProblem
from dspctl.runtime.backends.protocol import Runner
from dspctl.runtime.loop.acting import Acting, Stopping
from dspctl.runtime.loop.clock import Clock, RealClock
from dspctl.runtime.loop.records import (
    APPLY,
    BEHIND,
    KINDS,
    LATE,
    LOOP,
    STALL,
    Event,
    LoopSettings,
    Summary,
)
from dspctl.runtime.loop.watchdog import OnStall, Watchdog
from dspctl.runtime.loop.words import words


class ControlLoop:
    """Observes, acts and applies until it is told to stop; run it once.

    Args:
        runners: of one policy, the preferred one first, the others for when it fails; see
            `prepare`.
        observe: gives a raw observation, [obs_dim] numbers.
        apply: takes an action as the environment does: an int, or float32 [action_dim], which is
            a copy.
        settings: pace and patience.
        record: is handed every `Event`, such as `EventLog.put`; it must not wait. Stalls come from
            the watchdog's thread.
        on_stall: called in the watchdog's thread when a step does not end, to apply the safe
            action from outside.
        clock: what the loop tells the time by.

    Raises:
        ConfigProblem, PolicyShape: the runners cannot serve one loop.
    """

    def __init__(
        self,
        runners: Sequence[Runner],
        observe: Callable[[], Any],
        apply: Callable[[Any], object],
        *,
        settings: LoopSettings | None = None,
        record: Callable[[Event], None] | None = None,
        on_stall: OnStall | None = None,
        clock: Clock | None = None,
    ) -> None:
        settings = settings or LoopSettings()
        self._apply, self._settings = apply, settings
        self._record = record or _nothing
        self._clock: Clock = clock or RealClock()
        self._acting = Acting(runners, observe, settings.max_hold, self._fault)
        self._watchdog = Watchdog(settings.watchdog_ns, self._record, on_stall)
        self._faults = dict.fromkeys(KINDS, 0)
        self._step = self._late = 0
        self._origin_ns = self._latest_ns = self._lateness_ns = 0
        self._stopped = False
        self._until: Callable[[], bool] = _never

    @property
    def hook_failures(self) -> int:
        """How often ``on_stall`` raised."""
        return self._watchdog.hook_failures

    def stop(self) -> None:
        """End after the step that is going on; may be called by any thread or signal handler."""
        self._stopped = True

    def run(
        self,
        *,
        steps: int | None = None,
        until: Callable[[], bool] | None = None,
        within: AbstractContextManager[object] | None = None,
    ) -> Summary:
        """Make *steps* steps, or go on until `stop`, KeyboardInterrupt or SystemExit.

        Args:
            steps: how many; None for no end.
            until: asked when a step is due; the loop ends where it answers True.
            within: entered by this thread once the watchdog's is there, such as what raises its
                priority: a watchdog that shared it could not be heard.

        Raises:
            ConfigProblem: less than one step.
        """
        if steps is not None and steps < 1:
            raise ConfigProblem(f"a control loop makes 1 step or more, not {steps}")
        clock, watchdog, ended = self._clock, self._watchdog, "steps"
        self._until = until or _never
        # Observations are cast within: what float32 cannot hold is infinite, and no warning.
        with (
            np.errstate(over="ignore", invalid="ignore"),
            clock.repeating(watchdog.look, watchdog.every_ns),
            within or nullcontext(),
        ):
            try:
                self._origin_ns = clock.now_ns()
                watchdog.start(self._origin_ns)
                while (steps is None or self._step < steps) and self._paced_step():
                    self._step += 1
            except Stopping:
                ended = "interrupted"
            end_ns = clock.now_ns()
        if ended == "steps" and (steps is None or self._step < steps):
            ended = "stopped"
        return Summary(
            steps=self._step,
            seconds=(end_ns - self._origin_ns) / 1e9,
            ended=ended,
            faults={**self._faults, STALL: watchdog.stalls},
            actions=dict(self._acting.actions),
            latest_ns=self._latest_ns,
            lateness_ns=self._lateness_ns,
        )

    def _paced_step(self) -> bool:
        """One step and its deadline; False where the loop ends. Raises `Stopping` only."""
        if self._stopped:
            return False
        try:
            period_ns = self._settings.period_ns
            # From the start, not from the last step: a late step does not move the later ones.
            due_ns = self._origin_ns + int(self._step * period_ns)
            self._clock.sleep_until(due_ns)
            if self._stopped or self._asked():
                return False
            self._watchdog.begin(self._step, self._clock.now_ns())
            try:
                self._hand_over(self._acting.act())
            finally:
                end_ns = self._clock.now_ns()
                self._watchdog.end(end_ns)
            self._judge(end_ns - due_ns - int(period_ns))
        except Stopping:
            raise
        except BaseException as error:
            # Nothing above is expected to fail; a loop that must not stop does not rely on that.
            self._acting.forget()
            self._fault(LOOP, words(error), "the next step begins anew")
        return True

    def _asked(self) -> bool:
        """Whether ``until`` ends the loop; one that fails does not, and costs no step."""
        try:
            return self._until()
        except Stopping:
            raise
        except BaseException as error:
            self._fault(LOOP, f"until: {words(error)}", "the loop goes on")
            return False

    def _hand_over(self, action: Any) -> None:
        try:
            self._apply(action)
        except Stopping:
            raise
        except BaseException as error:
            self._fault(APPLY, words(error), "the next step applies its own action")

    def _judge(self, lateness_ns: int) -> None:
        if lateness_ns <= 0:
            self._late = 0
            return
        self._late += 1
        self._lateness_ns += lateness_ns
        self._latest_ns = max(self._latest_ns, lateness_ns)
        self._fault(LATE, f"{lateness_ns / 1e6:.3f} ms after its deadline", "the schedule stays")
        if self._late == self._settings.max_late:
            self._fault(BEHIND, f"{self._late} steps in a row were late", "the loop goes on")

    def _fault(self, kind: str, detail: str, done: str) -> None:
        self._faults[kind] += 1
        with suppress(Exception):  # a log that fails is no reason to stop
            now_ns = self._clock.now_ns()
            self._record(Event(self._step, now_ns - self._origin_ns, kind, detail, done))


def _nothing(event: Event) -> None:
    """Stand-in for a log."""


def _never() -> bool:
    """Stand-in for a condition that ends the loop."""
    return False
