"""Which policy a stage that prunes delivers: the sparsest one that still meets the objective."""

import numpy as np

from dspctl.runtime import Policy, load_policy
from dspctl.trainer.checkpoint import RunFolder
from dspctl.trainer.config import TrainConfig
from dspctl.trainer.distillation.teacher import Teacher
from dspctl.trainer.environments import Task
from dspctl.trainer.selection import TRIAL_SEED, Trial, play_once

JUDGED_SEED = TRIAL_SEED + 100_000_000
"""Of the episodes on which stages are judged; no trial that chose a policy has played them."""
_JUDGED = 100
_AGAIN = 50
_SHORT = 16
_KEPT = 3


def required_return(teacher: Teacher, task: Task, config: TrainConfig) -> float:
    """The least mean return that meets the objective, on the episodes that judge.

    ``objective`` times what the teacher earns; where that is negative, as far below it.
    """
    mean = judged_return(teacher.policy, task, config)
    return mean - (1 - config.objective) * abs(mean)


def judged_return(policy: Policy, task: Task, config: TrainConfig) -> float:
    """Mean return of *policy* on the episodes that judge a stage."""
    return float(play_once(policy, task, config, _JUDGED, JUDGED_SEED).mean())


class Sparsest:
    """The trials of one stage, by the interface of `dspctl.trainer.selection.Selection`.

    A later policy is never less sparse, so the last few that met the objective are kept. Their
    short trials were partly luck, so they are tried again on more episodes, the sparsest first.

    Args:
        folder: the stage's; ``required`` in its ``run.json`` is the return to meet.
        config: its settings.
        task: its environment.
        iteration: iterations finished; later trials, of a process that was killed, are forgotten.
    """

    def __init__(
        self, folder: RunFolder, config: TrainConfig, task: Task, *, iteration: int
    ) -> None:
        self._folder, self._config, self._task = folder, config, task
        self._required: float = folder.info["required"]
        at = np.linspace(0, config.iterations, config.trials + 1)[1:]
        self._due = {max(1, round(each)) for each in at}
        self.trials = [
            Trial(**each)
            for each in folder.info.get("trials", ())
            if each["iteration"] <= iteration
        ]

    def due(self, iteration: int) -> bool:
        """Whether the policy is to be tried after *iteration* iterations."""
        return iteration in self._due

    def consider(self, iteration: int, policy: Policy) -> None:
        """Try a policy, and keep it if it meets the objective."""
        mean = float(play_once(policy, self._task, self._config, _SHORT).mean())
        self.trials.append(Trial(iteration, mean))
        if mean >= self._required:
            self._folder.write_candidate(iteration, policy)
        self._folder.keep_candidates(self._candidates())
        self._folder.write_info(trials=[vars(one) for one in self.trials])

    def _candidates(self) -> list[int]:
        met = [one.iteration for one in self.trials if one.mean >= self._required]
        return sorted(met, reverse=True)[:_KEPT]

    def best(self) -> Policy | None:
        """The sparsest policy that meets the objective; None where none does."""
        for iteration in self._candidates():
            policy = load_policy(self._folder.candidate(iteration))
            mean = float(play_once(policy, self._task, self._config, _AGAIN).mean())
            if mean >= self._required:
                self._folder.write_info(selected={"iteration": iteration, "mean": mean})
                return policy
        return None
