"""Which of a run's policies is delivered: the best one by trials of their own, not the last one.

The last policy of a run is one draw from a noisy sequence; on MuJoCo its return may be half of the
one before it. So once the units stay, the policy is tried now and then on a few episodes; the
best few are tried again on many more, since the best of many short trials is partly luck, and the
winner is what the run delivers. The episodes of trials are neither those of training nor those of
`dspctl.trainer.evaluate`, so a reported return was never selected on.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dspctl.runtime import Policy, load_policy
from dspctl.trainer.checkpoint import RunFolder
from dspctl.trainer.config import TrainConfig
from dspctl.trainer.environments import Task
from dspctl.trainer.vector import make_vector

TRIAL_SEED = 1_500_000_000
"""Between the seeds of training, below 1e9, and those of evaluation, from 2e9."""
_EPISODES = 8
_FINALISTS = 3
_FINAL_EPISODES = 30


@dataclass(frozen=True)
class Trial:
    """One policy's score.

    Attributes:
        iteration: training iterations that it had.
        mean: mean return of its trial.
    """

    iteration: int
    mean: float


class Selection:
    """The trials of one run; the best policies so far lie in its folder.

    Args:
        folder: the run's.
        config: its settings.
        task: its environment.
        first: iteration from which units stay.
        iteration: iterations finished; later trials, of a process that was killed, are forgotten.
    """

    def __init__(
        self, folder: RunFolder, config: TrainConfig, task: Task, *, first: int, iteration: int
    ) -> None:
        self._folder, self._config, self._task = folder, config, task
        at = np.linspace(first, config.iterations, config.trials + 1)[1:]
        self._due = {round(each) for each in at} if config.trials else set()
        self.trials = [
            Trial(**each)
            for each in folder.info.get("trials", ())
            if each["iteration"] <= iteration
        ]

    def due(self, iteration: int) -> bool:
        """Whether the policy is to be tried after *iteration* iterations."""
        return iteration in self._due

    def consider(self, iteration: int, policy: Policy) -> None:
        """Try a policy, and keep it if it is among the best."""
        score = float(play_once(policy, self._task, self._config, _EPISODES).mean())
        self.trials.append(Trial(iteration, score))
        finalists = self._finalists()
        if any(one.iteration == iteration for one in finalists):
            self._folder.write_candidate(iteration, policy)
        self._folder.keep_candidates([one.iteration for one in finalists])
        self._folder.write_info(trials=[vars(one) for one in self.trials])

    def _finalists(self) -> list[Trial]:
        # Of equal scores the later one: it has learnt longer.
        ranked = sorted(self.trials, key=lambda one: (one.mean, one.iteration), reverse=True)
        return ranked[:_FINALISTS]

    def best(self) -> Policy | None:
        """The winner; None where nothing was tried."""
        finalists = self._finalists()
        if not finalists:
            return None
        policies = {
            one.iteration: load_policy(self._folder.candidate(one.iteration)) for one in finalists
        }
        again = {
            iteration: float(play_once(policy, self._task, self._config, _FINAL_EPISODES).mean())
            for iteration, policy in policies.items()
        }
        winner = max(again, key=lambda iteration: (again[iteration], iteration))
        self._folder.write_info(selected={"iteration": winner, "mean": again[winner]})
        return policies[winner]


def play_once(
    policy: Policy, task: Task, config: TrainConfig, episodes: int, seed: int = TRIAL_SEED
) -> NDArray[np.float64]:
    """Undiscounted returns of one deterministic episode in each of *episodes* environments.

    Returns:
        float64 [episodes].
    """
    vector = make_vector(
        task,
        count=episodes,
        seed=seed,
        backend=config.vector_backend,
        threads=config.threads,
    )
    try:
        returns = np.zeros(episodes)
        running = np.ones(episodes, bool)
        observations = vector.reset()
        while running.any():
            step = vector.step(policy.act(observations.astype(np.float32)))
            returns += np.where(running, step.rewards, 0)
            running &= ~(step.terminated | step.truncated)
            observations = step.observations
    finally:
        vector.close()
    return returns
