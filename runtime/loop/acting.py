"""The action of one step: a runner's, else the last one, else the safe one."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.runtime.backends.protocol import Runner
from dspctl.runtime.loop.chain import Chain
from dspctl.runtime.loop.records import BACKEND, HELD, INVALID, NO_BACKEND, OBSERVE, SAFE
from dspctl.runtime.loop.words import words
from dspctl.runtime.policy.guard import NOT_FINITE, OUT_OF_RANGE

Stopping = (KeyboardInterrupt, SystemExit)
"""What ends a loop; everything else is a fault of a step."""

Fault = Callable[[str, str, str], None]
"""Called with the kind of a fault, what was found, and what was done."""

_FOUND = {
    NOT_FINITE: "not finite",
    OUT_OF_RANGE: "out of range",
    NOT_FINITE | OUT_OF_RANGE: "not finite, and out of range",
}


class Acting:
    """Observes and acts.

    Args:
        runners: of one policy, the preferred one first.
        observe: gives a raw observation, [obs_dim] numbers.
        max_hold: steps in a row for which the last action is held.
        fault: is told of every fault.

    Attributes:
        actions: where the action came from → steps.
    """

    def __init__(
        self, runners: Sequence[Runner], observe: Callable[[], Any], max_hold: int, fault: Fault
    ) -> None:
        self._observe, self._max_hold, self._fault = observe, max_hold, fault
        self._chain = Chain(runners, self._backend_failed)
        policy = runners[0].policy
        guard = policy.guard
        self._discrete = policy.action.discrete
        self._observation = np.zeros(policy.observation.size, np.float32)
        self._safe: NDArray[Any] = np.array(guard.safe_action)
        self._action: NDArray[Any] = self._safe.copy()
        self._holds = guard.on_invalid == "hold"
        self._repaired = "repaired" if guard.repairs else SAFE
        self.actions = {runner.backend: 0 for runner in runners} | {HELD: 0, SAFE: 0}
        self._held = 0

    def act(self) -> Any:
        """One step's action, whatever fails: a new one, the last one, or the safe one.

        Returns:
            What the environment takes: an int, or float32 [action_dim], a copy.
        """
        self._renew()
        return int(self._action[0]) if self._discrete else self._action.copy()

    def forget(self) -> None:
        """Go back to the safe action."""
        self._action[...] = self._safe

    def _renew(self) -> None:
        try:
            self._read(self._observe())
        except Stopping:
            raise
        except BaseException as error:
            self._fault(OBSERVE, words(error), self._hold())
            return
        answer = self._chain.act(self._observation, self._action)
        if answer is None:
            self._action[...] = self._safe
            self._count(SAFE)
            self._fault(NO_BACKEND, "every runner failed", SAFE)
        elif answer.status == 0:
            self._held = 0
            self._count(answer.backend)
        elif self._holds:
            self._fault(INVALID, _FOUND[answer.status], self._hold())
        else:
            self._held = 0
            self._count(answer.backend if self._repaired != SAFE else SAFE)
            self._fault(INVALID, _FOUND[answer.status], self._repaired)

    def _read(self, found: Any) -> None:
        """Copy what was observed: it may change while it is looked at."""
        value = np.asarray(found)
        if value.shape != self._observation.shape:
            raise ValueError(f"shape {list(value.shape)}, not {list(self._observation.shape)}")
        if value.dtype.kind not in "fiub":
            raise ValueError(f"{value.dtype} values, not numbers")
        self._observation[...] = value

    def _hold(self) -> str:
        """The last action for a few steps, then the safe one; tells which."""
        self._held += 1
        if self._held <= self._max_hold:
            self._count(HELD)
            return HELD
        self._action[...] = self._safe
        self._count(SAFE)
        return SAFE

    def _backend_failed(self, backend: str, problem: str, following: str) -> None:
        done = f"fell back to {following}" if following else SAFE
        self._fault(BACKEND, f"{backend}: {problem}", done)

    def _count(self, source: str) -> None:
        self.actions[source] += 1
