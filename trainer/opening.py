"""A run folder is opened for training: refused or prepared, and held against other processes."""

import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dspctl.errors import ConfigProblem, RunLocked
from dspctl.runtime.files import clear_temporaries
from dspctl.runtime.locks import locked
from dspctl.trainer.distillation import Teacher, open_teacher
from dspctl.trainer.environments import Task, describe
from dspctl.trainer.pruning import METHODS, method_named
from dspctl.trainer.runs.checkpoint import RunFolder, load_run
from dspctl.trainer.runs.provenance import describe_here
from dspctl.trainer.runs.resuming import adjusted
from dspctl.trainer.runs.room import check_room
from dspctl.trainer.settings.config import TrainConfig

_LOCK_S = 1.0
"""How long a run's lock is waited for: a process that was killed may need a moment to be gone."""


@dataclass(frozen=True)
class Opened:
    """A run folder that this process alone trains in.

    Attributes:
        folder: the folder, with its settings.
        resume: whether there was a run, which is gone on with.
        here: the record of this process, `describe_here`.
        replaced: settings that a resumed run has other values of, with those until now.
    """

    folder: RunFolder
    resume: bool
    here: dict[str, Any]
    replaced: dict[str, Any]


@contextmanager
def opened(
    config: TrainConfig, run: Path, *, resume: bool, changes: Mapping[str, Any], force: bool
) -> Iterator[Opened]:
    """Open *run* for as long as the body takes; arguments and errors are those of `train`."""
    if resume:
        load_run(run)  # what is none stays as it was, without a lock in it
    else:  # all of it before anything of an older run is replaced
        config = _checked(config, run, describe(config.environment))
        check_room(run, force=force)
    with locked(run, RunLocked, wait_s=_LOCK_S):
        here = describe_here()
        if resume:
            folder, replaced = _reopened(run, changes)
        else:
            folder, replaced = RunFolder.create(run, config, _about(here), force=force), {}
        yield Opened(folder, resume, here, replaced)


def _checked(config: TrainConfig, run: Path, task: Task) -> TrainConfig:
    """The settings of a new run, which agree with its teacher's.

    Raises:
        ConfigProblem: the method takes no teacher, or no start; or one of them lies in the folder
            *run*, which is emptied for the new run.
        TeacherMismatch: the teacher is of another environment.
    """
    _check_method(config)
    for name, given in (("teacher", config.teacher), ("start", config.start)):
        if given and Path(given).resolve().is_relative_to(run.resolve()):
            raise ConfigProblem(
                f"the {name} {given} is what {run} holds, and a new run replaces that: name "
                "another folder with -o"
            )
    if method_named(config.method).teacher and config.teacher:
        return _reconciled(config, open_teacher(Path(config.teacher), task))
    return config


def _check_method(config: TrainConfig) -> None:
    method = method_named(config.method)
    if config.teacher and not method.teacher:
        able = " or ".join(name for name, one in METHODS.items() if one.teacher)
        raise ConfigProblem(
            f"{config.method} learns from no teacher: leave out --teacher, or pass  --method {able}"
        )
    if config.start and not method.teacher:
        raise ConfigProblem(f"{config.method} has no start to choose: leave out --start")


def _reopened(run: Path, changes: Mapping[str, Any]) -> tuple[RunFolder, dict[str, Any]]:
    """A run to go on with, under its lock, and the settings that it had where they change."""
    folder = RunFolder.reopen(run, {})
    clear_temporaries(run)
    clear_temporaries(run / "candidates")
    replaced = {name: getattr(folder.config, name) for name in changes}
    if changes:
        folder.config = adjusted(folder, changes)
    _check_method(folder.config)
    return folder, replaced


def _reconciled(config: TrainConfig, teacher: Teacher) -> TrainConfig:
    """Observations are normalised as the teacher's are, or not at all."""
    return replace(config, normalize_observations=teacher.policy.normalizer is not None)


def _about(here: dict[str, Any]) -> dict[str, Any]:
    """What ``run.json`` says of the machine; the four outer names are those of earlier versions."""
    versions = here["versions"]
    return {
        **{name: versions[name] for name in ("dspctl", "python", "numpy")},
        "machine": platform.machine(),
        "provenance": here,
    }
