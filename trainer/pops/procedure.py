"""The rounds of PoPS, and what the run that holds them leaves behind.

Nothing but folders is remembered between stages: a run that goes on finds the finished ones and
takes the same decisions again.
"""

import json
import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dspctl.errors import ConfigProblem
from dspctl.runtime import Policy
from dspctl.runtime.files import write_bytes
from dspctl.trainer.distillation.teacher import Teacher
from dspctl.trainer.environments import Task
from dspctl.trainer.pops.shrink import shrunk, weight_count
from dspctl.trainer.pops.sparsest import judged_return, required_return
from dspctl.trainer.pops.stage import (
    ROUNDS,
    OnProgress,
    ShouldStop,
    Stage,
    Train,
    run_stage,
    stage_iterations,
)
from dspctl.trainer.ppo.network import Layout
from dspctl.trainer.progress import Progress
from dspctl.trainer.runs.checkpoint import Run, RunFolder
from dspctl.trainer.selection import Stopped
from dspctl.trainer.sparsity import sparsities

log = logging.getLogger(__name__)

SETTLED = 0.95
"""A network that is not smaller than this share of the one before ends the rounds."""


@dataclass(frozen=True)
class Outcome:
    """What the rounds came to.

    Attributes:
        finished: False when they were stopped.
        steps: environment steps of all stages.
        seconds: time of all stages.
        units: hidden units per layer of the policy that is delivered.
    """

    finished: bool
    steps: int
    seconds: float
    units: tuple[int, ...]


class _Procedure:
    """One run's rounds: the stages that are done, and the last student that met the objective."""

    def __init__(
        self,
        folder: RunFolder,
        task: Task,
        teacher: Teacher,
        train: Train,
        on_progress: OnProgress | None,
        should_stop: ShouldStop | None,
    ) -> None:
        self.folder, self.task, self.teacher, self.train = folder, task, teacher, train
        self.on_progress, self.should_stop = on_progress, should_stop
        self.done: list[Run] = []
        self.records: list[dict[str, Any]] = []
        self.delivered: Run | None = None

    def run(self) -> bool:
        """All rounds; False when they were stopped."""
        widths, start = self.folder.config.actor_widths, None
        for number in range(ROUNDS):
            pruned = self._stage(Stage("prune", 2 * number, widths, start))
            if pruned is None:
                return False
            if self.delivered is not pruned:
                break
            smaller = shrunk(pruned.policy())
            if self._size(smaller) > SETTLED * self._size(widths):
                break
            distilled = self._stage(Stage("distil", 2 * number + 1, smaller))
            if distilled is None:
                return False
            if self.delivered is not distilled:
                break
            widths, start = smaller, distilled.policy()
        return True

    def _stage(self, stage: Stage) -> Run | None:
        """Do a stage and judge its student; None if it was stopped."""
        run = run_stage(
            self.folder,
            self.task,
            self.teacher,
            stage,
            self.train,
            self._report(stage),
            self.should_stop,
        )
        if run is None:
            return None
        self.done.append(run)
        policy = run.policy()
        try:
            mean = judged_return(policy, self.task, run.config, self.should_stop)
        except Stopped:  # the stage is finished, and is judged when the run goes on
            return None
        met = mean >= self.folder.info["objective"]["required"]
        self.records.append(
            {
                "stage": stage.name,
                "units": [layer.width for layer in policy.hidden],
                "nonzero_weights": nonzero_weights(policy),
                "mean": mean,
                "met": met,
            }
        )
        self.folder.write_info(rounds=self.records)
        if met:
            self.delivered = run
        return run

    def _size(self, widths: tuple[int, ...]) -> int:
        return weight_count(self.task.observation.size, widths, self.task.outputs)

    def _report(self, stage: Stage) -> OnProgress | None:
        on_progress = self.on_progress
        if on_progress is None:
            return None
        per_stage = stage_iterations(self.folder.config)

        def report(progress: Progress) -> None:
            steps = progress.steps // progress.iteration
            on_progress(
                replace(
                    progress,
                    iteration=stage.number * per_stage + progress.iteration,
                    iterations=2 * ROUNDS * per_stage,
                    steps=stage.number * per_stage * steps + progress.steps,
                    total_steps=2 * ROUNDS * per_stage * steps,
                    phase="pruning" if stage.kind == "prune" else "distillation",
                )
            )

        return report


def compress(
    folder: RunFolder,
    task: Task,
    teacher: Teacher,
    train: Train,
    on_progress: OnProgress | None,
    should_stop: ShouldStop | None,
) -> Outcome:
    """Run the rounds in *folder* and deliver the last student that met the objective.

    Args:
        folder: the run's; each stage is a run in ``stages/``.
        task: its environment.
        teacher: what students learn from, and what their returns are compared with.
        train: trains a stage.
        on_progress: called after every iteration of a stage.
        should_stop: asked after every iteration; True leaves everything so that it can go on.

    Raises:
        ConfigProblem: too few steps for ten stages.
    """
    config = folder.config
    if not stage_iterations(config):
        least = 2 * ROUNDS * config.environments * config.rollout_steps
        raise ConfigProblem(
            f"pops has {2 * ROUNDS} stages, each of one iteration at least: raise --steps to "
            f"{least} or more, or lower --rollout-steps"
        )
    if "objective" not in folder.info:
        try:
            required = required_return(teacher, task, config, should_stop)
        except Stopped:
            folder.write_info(status="interrupted")
            return Outcome(False, 0, 0.0, config.actor_widths)
        folder.write_info(objective={"share": config.objective, "required": required})
    procedure = _Procedure(folder, task, teacher, train, on_progress, should_stop)
    finished = procedure.run()
    return _write(procedure, finished)


def nonzero_weights(policy: Policy) -> int:
    """Weights that are not 0."""
    return sum(int(np.count_nonzero(layer.weight)) for layer in policy.layers)


def _write(procedure: _Procedure, finished: bool) -> Outcome:
    """Policy, metrics and status of the whole run."""
    folder, runs = procedure.folder, procedure.done
    _gather_metrics(folder, procedure.task, runs)
    steps = sum(run.info["steps"] for run in runs)
    seconds = sum(run.info["seconds"] for run in runs)
    units: tuple[int, ...] = folder.config.actor_widths
    if finished:
        delivered = procedure.delivered
        if delivered is None:
            log.warning(
                "no student kept %.0f%% of its teacher's return, so the policy of %s is the "
                "teacher's own: give more --steps, or lower --objective",
                100 * folder.config.objective,
                folder.path,
            )
        policy = procedure.teacher.policy if delivered is None else delivered.policy()
        policy = policy.with_lineage(method="pops", seed=folder.config.seed, steps=steps)
        folder.write_policy(policy, (delivered or runs[0]).observations())
        units = tuple(int(layer.kept.sum()) for layer in policy.hidden)
    split: dict[str, float] = {}
    for run in runs:
        for part, value in run.info.get("time_split_s", {}).items():
            split[part] = split.get(part, 0.0) + value
    folder.write_info(
        status="finished" if finished else "interrupted",
        steps=steps,
        seconds=seconds,
        units=list(units),
        time_split_s=split,
        delivered=None if procedure.delivered is None else procedure.delivered.path.name,
    )
    return Outcome(finished, steps, seconds, units)


def _gather_metrics(folder: RunFolder, task: Task, runs: list[Run]) -> None:
    """The stages' records in a row, counted from the run's start against its own architecture."""
    config = folder.config
    ends = (task.observation.size, task.outputs)
    original = Layout((ends[0], *config.hidden, ends[1]), biases=config.biases)
    lines: list[str] = []
    before: dict[str, float] = {"iteration": 0, "steps": 0, "seconds": 0.0}
    for run in runs:
        rows = run.metrics()
        full = Layout((ends[0], *run.config.hidden, ends[1]), biases=config.biases)
        weights = weight_count(ends[0], run.config.hidden, ends[1])
        for row in rows:
            zeros = round(row["weight_sparsity"] * weights)
            row |= {name: row[name] + offset for name, offset in before.items()}
            row |= sparsities(full, original, zeros)
            lines.append(json.dumps(row) + "\n")
        if rows:
            before = {name: rows[-1][name] for name in before}
    write_bytes(folder.path / "metrics.jsonl", "".join(lines).encode())
