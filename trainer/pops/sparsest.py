"""Which policy a stage that prunes delivers: the sparsest one that still meets the objective."""

from collections.abc import Callable, Sequence

from dspctl.runtime import Policy, load_policy
from dspctl.trainer.distillation.teacher import Teacher
from dspctl.trainer.environments import Task
from dspctl.trainer.runs.checkpoint import RunFolder
from dspctl.trainer.selection import TRIAL_SEED, Trial, Trials, play_once
from dspctl.trainer.settings.config import TrainConfig

JUDGED_SEED = TRIAL_SEED + 100_000_000
"""Of the episodes on which stages are judged; no trial that chose a policy has played them."""
_JUDGED = 100
_AGAIN = 50
_KEPT = 3


def required_return(
    teacher: Teacher,
    task: Task,
    config: TrainConfig,
    should_stop: Callable[[], bool] | None = None,
) -> float:
    """The least mean return that meets the objective, on the episodes that judge.

    ``objective`` times what the teacher earns; where that is negative, as far below it.
    """
    mean = judged_return(teacher.policy, task, config, should_stop)
    return mean - (1 - config.objective) * abs(mean)


def judged_return(
    policy: Policy,
    task: Task,
    config: TrainConfig,
    should_stop: Callable[[], bool] | None = None,
) -> float:
    """Mean return of *policy* on the episodes that judge a stage; raises as `play_once`."""
    played = play_once(policy, task, config, _JUDGED, JUDGED_SEED, should_stop=should_stop)
    return float(played.mean())


class Sparsest(Trials):
    """The last few policies that met the objective: a later one is never less sparse.

    Their short trials were partly luck, so they are tried again on more episodes, the sparsest
    first. The return to meet is ``required`` in the run's ``run.json``.
    """

    episodes = 16

    def __init__(
        self, folder: RunFolder, config: TrainConfig, task: Task, *, iteration: int
    ) -> None:
        super().__init__(folder, config, task, first=0, iteration=iteration)
        self._required: float = folder.info["required"]

    def chosen(self, trials: Sequence[Trial]) -> list[int]:
        """The last few that met the objective, the latest first."""
        met = [one.iteration for one in trials if one.mean >= self._required]
        return sorted(met, reverse=True)[:_KEPT]

    def best(self) -> Policy | None:
        """The sparsest policy that meets the objective; None where none does."""
        for iteration in self.candidates():
            policy = load_policy(self.folder.candidate(iteration), links=False)
            mean = self.mean_return(policy, _AGAIN)
            if mean >= self._required:
                self.folder.write_info(selected={"iteration": iteration, "mean": mean})
                return policy
        return None
