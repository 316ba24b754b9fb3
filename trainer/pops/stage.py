"""One stage of PoPS: a run of its own, in a sub-folder of the run that it belongs to."""

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

from dspctl.errors import CheckpointDamaged
from dspctl.runtime import Policy
from dspctl.trainer.distillation.inheritance import parameters_of, take_over
from dspctl.trainer.distillation.teacher import Teacher
from dspctl.trainer.environments import Task
from dspctl.trainer.progress import Progress
from dspctl.trainer.runs import checkpoint_file
from dspctl.trainer.runs.checkpoint import Run, RunFolder, load_run
from dspctl.trainer.runs.state import TrainState
from dspctl.trainer.settings.config import TrainConfig

log = logging.getLogger(__name__)

Kind = Literal["prune", "distil"]
OnProgress = Callable[[Progress], None]
ShouldStop = Callable[[], bool]

ROUNDS = 5
_STAGES = 2 * ROUNDS
_TRIALS = 8
_PRUNED = 0.7  # share of a pruning stage after which its sparsity stays
_SEED_STEP = 100_000  # between the seeds of stages: none repeats the episodes of another


class Train(Protocol):
    """`dspctl.trainer.train`, as far as stages use it."""

    def __call__(
        self,
        config: TrainConfig,
        run: Path,
        *,
        resume: bool,
        on_progress: OnProgress | None,
        should_stop: ShouldStop | None,
    ) -> object:
        """Train, or go on."""
        ...


@dataclass(frozen=True)
class Stage:
    """What one stage is to do.

    Attributes:
        kind: remove weights, or teach a fresh network.
        number: stages before it, 0 for the first.
        widths: hidden units per layer of its student.
        start: the policy whose weights the student begins with; None for a fresh one, or for the
            teacher's own weights where the architecture is the teacher's.
    """

    kind: Kind
    number: int
    widths: tuple[int, ...]
    start: Policy | None = None

    @property
    def name(self) -> str:
        """Of its folder, such as ``1-prune``."""
        return f"{self.number // 2 + 1}-{self.kind}"


def stage_iterations(config: TrainConfig) -> int:
    """Iterations of each stage, so that all of them together stay within the run's steps."""
    return config.steps // (config.environments * config.rollout_steps) // _STAGES


def stage_config(config: TrainConfig, stage: Stage) -> TrainConfig:
    """The settings of *stage* in a run of *config*: the teacher alone teaches, to the end."""
    prunes = stage.kind == "prune"
    return replace(
        config,
        method="pops-prune" if prunes else "kd",
        seed=config.seed + _SEED_STEP * (stage.number + 1),
        steps=stage_iterations(config) * config.environments * config.rollout_steps,
        hidden=stage.widths,
        actor_hidden=None,
        critic_sparsity=0.0,
        teacher="",
        imitation_end=1.0,
        distillation_end=1.0,
        prune_start=0.0,
        prune_end=_PRUNED,
        learning_rate_schedule="hold-linear" if prunes else "linear",
        learning_rate_hold=_PRUNED,
        trials=config.trials or _TRIALS,
        start=config.start if stage.number == 0 else "",
    )


def run_stage(
    owner: RunFolder,
    task: Task,
    teacher: Teacher,
    stage: Stage,
    train: Train,
    on_progress: OnProgress | None,
    should_stop: ShouldStop | None,
) -> Run | None:
    """Do a stage, go on with it, or find it done; None if it was stopped."""
    path = owner.path / "stages" / stage.name
    config = stage_config(owner.config, stage)
    if not checkpoint_file.exists(path):
        _begin(path, config, owner, task, teacher, stage)
    if not load_run(path).finished:
        try:
            train(config, path, resume=True, on_progress=on_progress, should_stop=should_stop)
        except CheckpointDamaged as error:
            log.warning("%s; it is a stage, which begins again", str(error).split(":", 1)[0])
            _begin(path, config, owner, task, teacher, stage)
            train(config, path, resume=True, on_progress=on_progress, should_stop=should_stop)
    run = load_run(path)
    return run if run.finished else None


def _begin(
    path: Path, config: TrainConfig, owner: RunFolder, task: Task, teacher: Teacher, stage: Stage
) -> None:
    """Write the stage's folder up to its first checkpoint, which is written last."""
    shutil.rmtree(path, ignore_errors=True)
    names = ("dspctl", "python", "numpy", "machine", "provenance")
    about = {name: owner.info[name] for name in names if name in owner.info}
    required = owner.info["objective"]["required"]
    folder = RunFolder.create(path, config, {**about, "required": required}, force=False)
    folder.write_teacher(teacher.policy, source=teacher.source, sha256=teacher.sha256)
    state = TrainState.initial(config, task)
    take_over(state, teacher, config, task)
    network = state.actor.network
    if stage.start is not None:
        weights = parameters_of(stage.start, network.layout, config.activation)
        if weights is not None:
            network.parameters[: weights.size] = weights
    folder.save_state(state)
