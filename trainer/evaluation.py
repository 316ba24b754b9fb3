"""How good a policy is: deterministic episodes in gymnasium, on seeds training never used."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.errors import ConfigProblem
from dspctl.runtime import Runner
from dspctl.runtime.statistics import mean_interval
from dspctl.trainer.environments import describe, make
from dspctl.trainer.environments.ends import check_end
from dspctl.trainer.environments.inside import clip_into

# Training draws its environment seeds below 1e9, so no evaluation episode was ever trained on.
EVALUATION_SEED = 2_000_000_000
_LANES = 25


@dataclass(frozen=True)
class Evaluation:
    """Returns of a deterministic policy.

    Attributes:
        environment: gymnasium id.
        episodes: number of episodes.
        seed: seed of the first episode; the others follow it one by one, so two policies
            evaluated with the same seed meet the same starts.
        mean: mean undiscounted return.
        std: sample standard deviation over episodes.
        ci_low: lower end of the mean's 95% bootstrap interval.
        ci_high: upper end.
        returns: every episode's return, in the order of the seeds.
        lengths: every episode's length in steps.
        invalid: observations that the policy's guard found invalid; 0 where no runner acted.
    """

    environment: str
    episodes: int
    seed: int
    mean: float
    std: float
    ci_low: float
    ci_high: float
    returns: tuple[float, ...]
    lengths: tuple[int, ...]
    invalid: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def evaluate(
    act: Runner | Callable[[NDArray[np.float32]], NDArray[Any]],
    environment: str,
    *,
    episodes: int = 100,
    seed: int = EVALUATION_SEED,
    on_progress: Callable[[int, int], None] | None = None,
    record: list[NDArray[np.float32]] | None = None,
) -> Evaluation:
    """Run *episodes* episodes to their end and summarise their returns.

    Args:
        act: from raw observations float32 [batch, obs_dim] to environment actions, such as
            ``policy.act``; or a `Runner`, which then does with an invalid observation what its
            policy's guard says, and in mode ``hold`` repeats the episode's last action.
        environment: gymnasium id.
        episodes: how many.
        seed: seed of the first episode.
        on_progress: called with (episodes finished, episodes).
        record: if given, every batch of observations that was acted on is appended to it.

    Raises:
        ConfigProblem: *episodes* is below 1.
        EnvironmentProblem: an episode did not end; or see `describe`.
        UnknownEnvironment, UnsupportedSpace: see `describe`.
    """
    if episodes < 1:
        raise ConfigProblem(f"episodes must be at least 1, not {episodes}")
    describe(environment)
    lanes = [make(environment, disable_env_checker=True) for _ in range(min(_LANES, episodes))]
    clip = clip_into(lanes[0])
    returns = np.zeros(episodes)
    lengths = np.zeros(episodes, np.int64)
    running = list(range(len(lanes)))  # the episode each lane plays
    current = np.stack(
        [np.asarray(lane.reset(seed=seed + k)[0], np.float32) for k, lane in enumerate(lanes)]
    )
    started, finished = len(lanes), 0
    loops = _Loops(act, len(lanes)) if isinstance(act, Runner) else None
    try:
        while running:
            if record is not None:
                record.append(current.copy())
            actions = clip(act(current) if loops is None else loops.act(current))
            still = []
            for row, episode in enumerate(running):
                lane = lanes[row]
                observation, reward, terminated, truncated, _ = lane.step(actions[row])
                returns[episode] += float(reward)
                lengths[episode] += 1
                if terminated or truncated:
                    finished += 1
                    if on_progress is not None:
                        on_progress(finished, episodes)
                    if started == episodes:
                        continue  # no episode is left for this lane
                    observation, _ = lane.reset(seed=seed + started)
                    if loops is not None:
                        loops.restart(row)
                    running[row] = started
                    started += 1
                else:
                    check_end(environment, int(lengths[episode]))
                current[row] = observation
                still.append(row)
            if len(still) < len(running):
                for row in set(range(len(running))) - set(still):
                    lanes[row].close()
                lanes = [lanes[row] for row in still]
                running = [running[row] for row in still]
                current = current[still]
                if loops is not None:
                    loops.keep(still)
    finally:
        for lane in lanes:
            lane.close()
    low, high = mean_interval(returns)
    return Evaluation(
        environment=environment,
        episodes=episodes,
        seed=seed,
        mean=float(returns.mean()),
        std=float(returns.std(ddof=1)) if episodes > 1 else 0.0,
        ci_low=low,
        ci_high=high,
        returns=tuple(returns.tolist()),
        lengths=tuple(int(length) for length in lengths),
        invalid=0 if loops is None else loops.invalid,
    )


class _Loops:
    """A runner in several control loops at once, each with its own last action.

    Args:
        runner: what acts.
        rows: how many loops.
    """

    def __init__(self, runner: Runner, rows: int) -> None:
        self._runner, guard = runner, runner.policy.guard
        self._safe = guard.safe_action[0] if runner.policy.action.discrete else guard.safe_action
        self._actions = np.repeat(np.asarray(self._safe)[None], rows, axis=0)
        self.invalid = 0

    def act(self, observations: NDArray[np.float32]) -> NDArray[Any]:
        self.invalid += int(np.count_nonzero(self._runner.act(observations, self._actions)))
        return self._actions.copy()

    def restart(self, row: int) -> None:
        self._actions[row] = self._safe

    def keep(self, rows: list[int]) -> None:
        self._actions = self._actions[rows]
