"""Which of a run's policies is delivered: the best one by trials of their own, not the last one.

The last policy of a run is one draw from a noisy sequence; on MuJoCo its return may be half of the
one before it. So once the units stay, the policy is tried now and then on a few episodes; the
best few are tried again on many more, since the best of many short trials is partly luck, and the
winner is what the run delivers. The episodes of trials are neither those of training nor those of
`dspctl.trainer.evaluate`, so a reported return was never selected on.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dspctl.runtime import Policy, load_policy
from dspctl.trainer.environments import Task
from dspctl.trainer.environments.ends import check_end
from dspctl.trainer.environments.vector import make_vector
from dspctl.trainer.runs.checkpoint import RunFolder
from dspctl.trainer.settings.config import TrainConfig

TRIAL_SEED = 1_500_000_000
"""Between the seeds of training, below 1e9, and those of evaluation, from 2e9."""
_FINALISTS = 3
_FINAL_EPISODES = 30
_ASKED_EVERY = 1_000  # steps of a trial: more than most have, and about a second of a simulator


class Stopped(Exception):
    """A trial was asked to stop in the middle. The loop catches it; the trial is played again."""


@dataclass(frozen=True)
class Trial:
    """One policy's score.

    Attributes:
        iteration: training iterations that it had.
        mean: mean return of its trial.
    """

    iteration: int
    mean: float


OnTrial = Callable[[Trial, Policy], bool]
"""Called with every trial and the policy that was tried; True ends the run with that policy."""


class Trials(ABC):
    """The trials of one run; policies that may still be delivered lie in its folder.

    A policy that was displaced stays there until both checkpoints know of the one that displaced
    it: a process that is killed goes on from one of them, and may need it again.

    Args:
        folder: the run's.
        config: its settings.
        task: its environment.
        first: iteration after which policies are tried.
        iteration: iterations finished; later trials, of a process that was killed, are forgotten.

    Attributes:
        should_stop: asked now and then in a trial; True ends it with `Stopped`.
    """

    episodes = 8
    """Of a trial on the way."""

    def __init__(
        self, folder: RunFolder, config: TrainConfig, task: Task, *, first: int, iteration: int
    ) -> None:
        self.folder, self.config, self.task = folder, config, task
        at = np.linspace(first, config.iterations, config.trials + 1)[1:]
        self._due = {max(1, round(each)) for each in at}
        self.trials = [
            Trial(**each)
            for each in folder.info.get("trials", ())
            if each["iteration"] <= iteration
        ]
        self._saved = iteration
        self.should_stop: Callable[[], bool] | None = None

    @abstractmethod
    def chosen(self, trials: Sequence[Trial]) -> list[int]:
        """Iterations of those of *trials* that may be delivered, the first choice first."""

    def candidates(self) -> list[int]:
        """Iterations of the policies that may be delivered, the first choice first."""
        return self.chosen(self.trials)

    @abstractmethod
    def best(self) -> Policy | None:
        """The policy to deliver; None where the last one is."""

    def due(self, iteration: int) -> bool:
        """Whether the policy is to be tried after *iteration* iterations."""
        return iteration in self._due

    def owed(self, iteration: int) -> bool:
        """Whether the trial after *iteration* iterations is due and was stopped in the middle."""
        return self.due(iteration) and all(one.iteration != iteration for one in self.trials)

    def consider(self, iteration: int, policy: Policy) -> Trial:
        """Try a policy, and keep it if it may be delivered."""
        trial = Trial(iteration, self.mean_return(policy, self.episodes))
        self.trials.append(trial)
        if iteration in self.candidates():
            self.folder.write_candidate(iteration, policy)
        self.folder.write_info(trials=[vars(one) for one in self.trials])
        return trial

    def forget(self, iteration: int) -> None:
        """Remove the policies that cannot be delivered any more, whichever checkpoint is used.

        Args:
            iteration: iterations finished at the checkpoint that has just been written.
        """
        kept = {
            one
            for saved in (self._saved, iteration)
            for one in self.chosen([each for each in self.trials if each.iteration <= saved])
        }
        self.folder.keep_candidates(kept)
        self._saved = iteration

    def mean_return(self, policy: Policy, episodes: int) -> float:
        """Of a policy in so many episodes, the same ones for all policies."""
        stop = self.should_stop
        return float(play_once(policy, self.task, self.config, episodes, should_stop=stop).mean())


class Selection(Trials):
    """Delivers the policy with the highest return."""

    def chosen(self, trials: Sequence[Trial]) -> list[int]:
        """The best few; of equal scores the later one, which has learnt longer."""
        ranked = sorted(trials, key=lambda one: (one.mean, one.iteration), reverse=True)
        return [one.iteration for one in ranked[:_FINALISTS]]

    def best(self) -> Policy | None:
        """The winner of longer trials of the best few; None where nothing was tried."""
        policies = {
            one: load_policy(self.folder.candidate(one), links=False) for one in self.candidates()
        }
        if not policies:
            return None
        again = {
            iteration: self.mean_return(policy, _FINAL_EPISODES)
            for iteration, policy in policies.items()
        }
        winner = max(again, key=lambda iteration: (again[iteration], iteration))
        self.folder.write_info(selected={"iteration": winner, "mean": again[winner]})
        return policies[winner]


def play_once(
    policy: Policy,
    task: Task,
    config: TrainConfig,
    episodes: int,
    seed: int = TRIAL_SEED,
    *,
    should_stop: Callable[[], bool] | None = None,
) -> NDArray[np.float64]:
    """Undiscounted returns of one deterministic episode in each of *episodes* environments.

    Returns:
        float64 [episodes].

    Raises:
        Stopped: *should_stop*, which long episodes ask now and then, said so.
        EnvironmentProblem: an episode did not end.
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
        observations, steps = vector.reset(), 0
        while running.any():
            if steps and steps % _ASKED_EVERY == 0:
                check_end(task.environment, steps)
                if should_stop is not None and should_stop():
                    raise Stopped
            step = vector.step(policy.act(observations.astype(np.float32)))
            returns += np.where(running, step.rewards, 0)
            running &= ~(step.terminated | step.truncated)
            observations = step.observations
            steps += 1
    finally:
        vector.close()
    return returns
