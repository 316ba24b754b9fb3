"""Several runners of one policy: where the first one fails, the next one acts in the same step.

All of them are made before the loop starts, so that falling back loads nothing. A runner that
failed is tried again at the next step, then after 2, 4 … steps, at most 1,024: one that takes a
long time to fail must not cost that time in every step. The last runner is tried in every step in
which no other one answered, since nothing but the safe action comes after it.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dspctl.errors import ConfigProblem, PolicyShape
from dspctl.runtime.backends.protocol import Runner
from dspctl.runtime.loop.words import words
from dspctl.runtime.policy import Policy
from dspctl.runtime.policy.guard import FLOAT32_MAX, NOT_FINITE, OUT_OF_RANGE

LONGEST_REST = 1024
"""Steps."""

_SLACK = 1e-3
"""Share of an action's range by which rounding may leave it; more is no rounding."""


class Answer(NamedTuple):
    """What acted, and the guard's status of what was observed."""

    backend: str
    status: int


class Chain:
    """Runners of one policy, the preferred one first.

    Args:
        runners: ready to act, all of the same policy.
        failed: called with the backend, what went wrong, and what comes next.

    Raises:
        ConfigProblem: no runner.
        PolicyShape: runners of different policies.
    """

    def __init__(self, runners: Sequence[Runner], failed: Callable[[str, str, str], None]) -> None:
        if not runners:
            raise ConfigProblem("a control loop needs at least one runner: load one")
        policy = runners[0].policy
        for other in runners[1:]:
            if _interface(other.policy) != _interface(policy):
                raise PolicyShape(
                    f"{other.backend} and {runners[0].backend} do not run the same policy: load "
                    "all runners of a loop from one bundle"
                )
        guard = policy.guard
        self._links = [_Link(runner) for runner in runners]
        self._failed = failed
        self._usable = _usable(policy)
        self._scratch = np.array(guard.safe_action)
        self._step = 0

    def act(self, observation: NDArray[np.float32], action: NDArray[Any]) -> Answer | None:
        """Write the action of the first runner that has a usable one; None where none has.

        Args:
            observation: float32 [obs_dim], any values.
            action: the last action, replaced where a runner answers; int64 [1] or float32
                [action_dim].
        """
        self._step += 1
        last = len(self._links) - 1
        for index, link in enumerate(self._links):
            if index < last and self._step < link.again:
                continue
            # A runner in mode "hold" leaves what is here; one that fails half-way spoils it.
            self._scratch[...] = action
            try:
                status = link.runner.act(observation, self._scratch)
                problem = self._problem(status)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:  # foreign runtimes have types of their own
                problem = words(error)
            if not problem:
                link.failures = 0
                action[...] = self._scratch
                return Answer(link.runner.backend, int(status))
            link.failures += 1
            link.again = self._step + min(1 << (link.failures - 1), LONGEST_REST)
            following = self._links[index + 1].runner.backend if index < last else ""
            self._failed(link.runner.backend, problem, following)
        return None

    def _problem(self, status: Any) -> str:
        """Why an answer cannot be used; empty where it can."""
        if not isinstance(status, int | np.integer):
            shape = getattr(status, "shape", None)
            found = type(status).__name__ if shape is None else f"an array of shape {list(shape)}"
            return f"answered {found} instead of a status"
        if not 0 <= status <= NOT_FINITE | OUT_OF_RANGE:
            return f"answered the status {status}, which means nothing"
        return self._usable(self._scratch)


class _Link:
    """One runner, its failures in a row, and the step at which it is tried again."""

    __slots__ = ("again", "failures", "runner")

    def __init__(self, runner: Runner) -> None:
        self.runner, self.failures, self.again = runner, 0, 0


def _interface(policy: Policy) -> tuple[Any, ...]:
    action, guard = policy.action, policy.guard
    return (
        policy.observation.size,
        policy.layers[-1].width,
        (action.kind, action.start, action.low.tobytes(), action.high.tobytes()),
        (guard.on_invalid, guard.safe_action.tobytes(), guard.low.tobytes(), guard.high.tobytes()),
    )


def _usable(policy: Policy) -> Callable[[NDArray[Any]], str]:
    """A function that says why the environment would not take an action; empty where it would."""
    if policy.action.discrete:
        first = policy.action.start
        last = first + policy.layers[-1].width - 1

        def choice(action: NDArray[Any]) -> str:
            (value,) = action.tolist()
            return "" if first <= value <= last else f"gave the action {value} of {first} to {last}"

        return choice
    low = np.maximum(policy.action.low, -FLOAT32_MAX).astype(np.float64)
    high = np.minimum(policy.action.high, FLOAT32_MAX).astype(np.float64)
    slack = np.minimum(_SLACK * (high - low), 1.0)
    ends = list(zip((low - slack).tolist(), (high + slack).tolist(), strict=True))

    def numbers(action: NDArray[Any]) -> str:
        for index, (value, (least, most)) in enumerate(zip(action.tolist(), ends, strict=True)):
            if not least <= value <= most:
                what = "which is no number" if math.isnan(value) else "which is out of its bounds"
                return f"gave {value:g} for element {index} of the action, {what}"
        return ""

    return numbers
