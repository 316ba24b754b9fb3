"""The closed-loop gate: does the exported artefact earn what the policy earns?

Parity compares answers to single observations. In a loop, each answer decides what is observed
next, and a difference that is rare or small may still end an episode. So the artefact itself plays,
on the same starts as the policy, before anything is written.

How an episode is played is for the caller to say: the exporter knows no environments.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.errors import GateFailed
from dspctl.runtime.backends.runner import Runner
from dspctl.runtime.bundle.manifest import canonical_json
from dspctl.runtime.policy import Policy
from dspctl.runtime.policy.guard import NOT_FINITE, OUT_OF_RANGE
from dspctl.runtime.statistics import mean_interval

GATE = "gate.json"

Act = Callable[[NDArray[Any]], NDArray[Any]]
"""From raw observations, float32 [n, obs_dim], to environment actions [n] or [n, action_dim]."""

_MORE = 5
"""Episodes before an artefact is refused, in multiples of those that it is first given."""


@dataclass(frozen=True)
class Gate:
    """What the gate plays.

    Attributes:
        environment: its id.
        episodes: how many; five times as many before an artefact is refused.
        seed: of the first episode; the others follow it one by one.
        play: plays one episode with the given seed and tells its return.
    """

    environment: str
    episodes: int
    seed: int
    play: Callable[[Act, int], float]


@dataclass(frozen=True)
class GateResult:
    """What came of it.

    Attributes:
        environment: gymnasium id.
        episodes: played by each.
        seed: of the first one.
        artefact: what played: its path in the bundle.
        policy_mean: mean return of the policy in float64, the reference.
        policy_low: lower end of the 95% interval of that mean.
        policy_high: its upper end.
        artefact_mean: mean return of the artefact on the same seeds.
        difference_low: lower end of the 95% interval of what the artefact earns more than the
            policy, seed by seed.
        difference_high: its upper end; below 0, the artefact earns less.
        largest_difference: largest difference between the two returns of one seed.
        observations: seen by the artefact.
        not_finite: of these, how many had a feature that was NaN or infinite.
        out_of_range: of these, how many had a finite feature outside its range.
        policy_returns: one per seed.
        artefact_returns: one per seed.
    """

    environment: str
    episodes: int
    seed: int
    artefact: str
    policy_mean: float
    policy_low: float
    policy_high: float
    artefact_mean: float
    difference_low: float
    difference_high: float
    largest_difference: float
    observations: int
    not_finite: int
    out_of_range: int
    policy_returns: tuple[float, ...]
    artefact_returns: tuple[float, ...]

    @property
    def within(self) -> bool:
        """True when the artefact's mean is not below the policy's interval."""
        return self.artefact_mean >= self.policy_low

    @property
    def passed(self) -> bool:
        """False when the artefact's mean is below the policy's interval, and seed by seed it
        earns less than the policy by more than chance."""
        return self.within or self.difference_high >= 0

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values, and whether it passed."""
        return {**asdict(self), "passed": self.passed}


def run_gate(
    gate: Gate,
    policy: Policy,
    runner: Runner,
    artefact: str,
    on_progress: Callable[[int, int], None] | None = None,
) -> GateResult:
    """Play every episode twice, with the policy and with the artefact, from the same seed.

    The policy is computed in float64 and without its guard: it is what was trained. The artefact
    answers one observation at a time, as on a vehicle, guard included: an invalid observation
    gives the safe action (``flag``) or the episode's last action (``hold``).

    Where the smallest difference grows, as in a walking robot, the two play different episodes from
    the same seed, and the mean of a sound artefact lies below the policy's interval in one export
    of twelve. So such an artefact plays on, and pairs decide.

    Args:
        gate: what is played.
        policy: what was exported.
        runner: the exported artefact.
        artefact: its path in the bundle.
        on_progress: called with (episodes played, episodes).

    Raises:
        GateFailed: the artefact earns less than the policy, see `GateResult.passed`.
    """
    reference = _unguarded(policy)
    returns: tuple[list[float], list[float]] = ([], [])
    counts = np.zeros(3, np.int64)
    for upto in (gate.episodes, _MORE * gate.episodes):
        for index in range(len(returns[0]), upto):
            seed = gate.seed + index
            returns[0].append(float(gate.play(reference, seed)))
            returns[1].append(float(gate.play(_one_by_one(runner, counts), seed)))
            if on_progress is not None:
                on_progress(index + 1, upto)
        result = _result(gate, artefact, returns, counts)
        if result.within:
            break
    if not result.passed:
        raise GateFailed(_sentence(result))
    return result


def _result(
    gate: Gate, artefact: str, returns: tuple[list[float], list[float]], counts: NDArray[np.int64]
) -> GateResult:
    policy, exported = np.array(returns)
    low, high = mean_interval(policy)
    less, more = mean_interval(exported - policy)
    return GateResult(
        environment=gate.environment,
        episodes=len(policy),
        seed=gate.seed,
        artefact=artefact,
        policy_mean=float(policy.mean()),
        policy_low=low,
        policy_high=high,
        artefact_mean=float(exported.mean()),
        difference_low=less,
        difference_high=more,
        largest_difference=float(np.abs(exported - policy).max()),
        observations=int(counts[0]),
        not_finite=int(counts[1]),
        out_of_range=int(counts[2]),
        policy_returns=tuple(returns[0]),
        artefact_returns=tuple(returns[1]),
    )


def bytes_from_gate(result: GateResult) -> bytes:
    """The file in the bundle."""
    return canonical_json(result.to_json())


def _unguarded(policy: Policy) -> Act:
    converted = policy.astype(np.float64)

    def act(observations: NDArray[Any]) -> NDArray[Any]:
        return converted.act(np.asarray(observations, np.float64))

    return act


def _one_by_one(runner: Runner, counts: NDArray[np.int64]) -> Act:
    """The artefact's side of one episode; *counts* adds up observations and invalid ones."""
    guard, discrete = runner.policy.guard, runner.policy.action.discrete
    action = np.array(guard.safe_action, np.int64 if discrete else np.float32)

    def act(observations: NDArray[Any]) -> NDArray[Any]:
        answers = []
        for observation in np.asarray(observations, np.float32):
            status = int(runner.act(observation, action))
            counts[:] += (1, bool(status & NOT_FINITE), bool(status & OUT_OF_RANGE))
            answers.append(action.copy())
        found = np.stack(answers)
        return found[:, 0] if discrete else found

    return act


def _sentence(result: GateResult) -> str:
    invalid = result.not_finite + result.out_of_range
    hint = (
        f"; {invalid} of {result.observations} observations were invalid, so export with a wider "
        "--range or another --on-invalid"
        if invalid
        else "; please report this together with the policy file"
    )
    return (
        f"the exported {result.artefact} earns {result.artefact_mean:.6g} in {result.environment} "
        f"over {result.episodes} episodes, below the 95% interval [{result.policy_low:.6g}, "
        f"{result.policy_high:.6g}] of the policy's {result.policy_mean:.6g}, and on the same "
        f"seeds less by {-result.difference_high:.3g} to {-result.difference_low:.3g}: nothing was "
        f"written{hint}, or use --no-gate"
    )
