"""One call that trains: the run folder, a teacher where the method needs one, then the loop."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from dspctl.errors import CheckpointDamaged, TrainingDiverged
from dspctl.trainer.background import Background
from dspctl.trainer.distillation import Teacher, open_teacher
from dspctl.trainer.distillation.inheritance import take_over
from dspctl.trainer.environments import Task, describe
from dspctl.trainer.environments.vector import make_vector
from dspctl.trainer.loop import Loop
from dspctl.trainer.opening import Opened, opened
from dspctl.trainer.pops.procedure import compress
from dspctl.trainer.progress import Progress
from dspctl.trainer.pruning import method_named
from dspctl.trainer.runs.checkpoint import RunFolder, load_run
from dspctl.trainer.runs.metrics import MetricsWriter
from dspctl.trainer.runs.resuming import deliver_last_good, note
from dspctl.trainer.runs.state import LARGEST_TRAINING_SEED, TrainState
from dspctl.trainer.selection import OnTrial
from dspctl.trainer.settings.config import TrainConfig
from dspctl.trainer.settings.recipes import recipe

log = logging.getLogger(__name__)

OnProgress = Callable[[Progress], None]
ShouldStop = Callable[[], bool]


# What a teacher that is trained first has in common with its student.
_SHARED_WITH_TEACHER = (
    "seed",
    "threads",
    "vector_backend",
    "hidden",
    "activation",
    "biases",
    "gamma",
    "normalize_observations",
    "normalize_rewards",
)


@dataclass(frozen=True)
class TrainResult:
    """What `train` leaves behind.

    Attributes:
        run: the run folder.
        finished: False when it was stopped before the last step.
        steps: environment steps taken, without those of a teacher.
        seconds: time spent training, without that of a teacher.
        units: the actor's hidden units, per layer.
    """

    run: Path
    finished: bool
    steps: int
    seconds: float
    units: tuple[int, ...]


def train(
    config: TrainConfig,
    run: Path,
    *,
    resume: bool = False,
    changes: Mapping[str, Any] | None = None,
    force: bool = False,
    on_progress: OnProgress | None = None,
    should_stop: ShouldStop | None = None,
    on_trial: OnTrial | None = None,
) -> TrainResult:
    """Train a policy and write everything about it into the folder *run*.

    Args:
        config: every setting; `dspctl.trainer.recipe` gives good ones. Ignored when resuming: the
            run's own are used.
        run: the run folder, new or empty unless *resume* or *force* is set.
        resume: go on from the run's last checkpoint.
        changes: settings that a resumed run has other values of from there on; see `ADJUSTABLE`.
        force: replace a run that is there.
        on_progress: called after every iteration.
        should_stop: asked after every iteration; True writes a checkpoint and returns.
        on_trial: called with every trial of the policy (`dspctl.trainer.selection`), which begin
            with the end of imitation then; True writes a checkpoint and that policy, and returns.
            Not called by pops, which has rounds of them.

    Raises:
        OutputExists: the folder holds something; see `RunFolder.create`.
        RunNotFound, RunIncomplete, RunVersion: nothing that can be resumed.
        RunLocked: another process trains there.
        CheckpointDamaged: no checkpoint of the run is whole.
        ConfigProblem: a change that a run cannot go on with.
        TeacherMismatch: the teacher is of another environment.
        TrainingDiverged: see `Watch`; the policy of the last good checkpoint is the run's.
        WriteFailed: the disk is full or the folder cannot be written; the checkpoints are intact.
        UnknownEnvironment, UnsupportedSpace, EnvironmentProblem: see `describe`.
    """
    with opened(config, run, resume=resume, changes=changes or {}, force=force) as work:
        return _train(work, on_progress, should_stop, on_trial)


def _train(
    work: Opened,
    on_progress: OnProgress | None,
    should_stop: ShouldStop | None,
    on_trial: OnTrial | None,
) -> TrainResult:
    """`train` in an opened folder: from its last checkpoint, or from the start."""
    folder, run, config = work.folder, work.folder.path, work.folder.config
    task, method = describe(config.environment), method_named(config.method)
    teacher: Teacher | None = None
    if method.teacher:
        try:
            teacher = _teacher(folder, task, on_progress, should_stop)
            if teacher is None:
                return TrainResult(run, False, 0, 0.0, config.hidden)
            if method.procedure == "pops":
                outcome = compress(folder, task, teacher, train, on_progress, should_stop)
                return TrainResult(run, *astuple(outcome))
        except TrainingDiverged as error:  # of a run inside this one
            raise TrainingDiverged(f"{error}, then with  dspctl train --resume {run}") from error
    state = _state(folder, task, teacher)
    if work.replaced:  # there is something to go on from
        folder.write_config(config)
    if work.resume:
        folder.cut_metrics(state.iteration)
    vector = make_vector(
        task,
        count=config.environments,
        seed=_environment_seed(state),
        backend=config.vector_backend,
        threads=config.threads,
    )
    try:
        # BLAS threads of its own would fight with ours; these matrices are too small for them.
        with (
            threadpool_limits(1),
            MetricsWriter(run, resumed_at=state.steps if work.resume else None) as metrics,
            Background[float](config.threads) as background,
        ):
            loop = Loop(config, task, state, vector, folder, metrics, background, teacher, on_trial)
            if work.resume:
                note(folder, state.steps, work.here, work.replaced, anew=not loop.go_on)
            finished = loop.run(on_progress, should_stop)
    except TrainingDiverged as error:
        raise deliver_last_good(folder, task, error, state.steps) from error
    finally:
        vector.close()
    return TrainResult(run, finished, state.steps, state.seconds, state.actor.network.hidden)


def _environment_seed(state: TrainState) -> int:
    """The seed of the first environment; the others follow it one by one.

    Where simulators cannot be restored, they start anew from a seed of their own: one next to the
    first would give most of them an episode that was played before.
    """
    if not state.iteration:
        return state.environment_seed
    sequence = np.random.SeedSequence([state.environment_seed, state.iteration])
    return int(np.random.default_rng(sequence).integers(LARGEST_TRAINING_SEED))


def _state(folder: RunFolder, task: Task, teacher: Teacher | None) -> TrainState:
    """Of the last checkpoint; before the first one a fresh state, which becomes that."""
    if folder.has_state:
        return folder.load_state(task, set_aside=True)
    state = TrainState.initial(folder.config, task)
    if teacher is not None:
        take_over(state, teacher, folder.config, task)
    folder.save_state(state)
    return state


def _teacher(
    folder: RunFolder,
    task: Task,
    on_progress: OnProgress | None,
    should_stop: ShouldStop | None,
) -> Teacher | None:
    """The run's teacher, trained first where none was named; None if that was stopped.

    A copy of it stays in the run, so that a resumed one needs nothing from elsewhere.
    """
    copy = folder.path / "teacher.safetensors"
    if copy.is_file():
        return replace(open_teacher(copy, task), source=folder.info["teacher"]["source"])
    named = folder.config.teacher
    if not named:
        path = folder.path / "teacher"
        if not _trained(path, folder.config, on_progress, should_stop):
            return None
        named = str(path)
    teacher = open_teacher(Path(named), task)
    folder.write_teacher(teacher.policy, source=teacher.source, sha256=teacher.sha256)
    return teacher


def _trained(
    path: Path, config: TrainConfig, on_progress: OnProgress | None, should_stop: ShouldStop | None
) -> bool:
    """Train an unpruned policy at *path*, or go on; False when it was stopped."""
    # The settings are the last thing that a new run writes.
    resume = (path / "config.json").is_file()
    if resume and load_run(path).finished:
        return True
    settings = recipe(
        config.environment,
        method="ppo",
        **{name: getattr(config, name) for name in _SHARED_WITH_TEACHER},
    )

    def report(progress: Progress) -> None:
        if on_progress is not None:
            on_progress(replace(progress, phase="teacher"))

    try:
        done = train(settings, path, resume=resume, on_progress=report, should_stop=should_stop)
    except CheckpointDamaged as error:
        log.warning("%s; it is a teacher, which is trained again", str(error).split(":", 1)[0])
        done = train(settings, path, force=True, on_progress=report, should_stop=should_stop)
    return done.finished
