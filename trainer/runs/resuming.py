"""Going on with a run: what may be changed on the way, what is noted, and what is delivered when
training diverged."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from dspctl.errors import ConfigProblem, TrainingDiverged
from dspctl.trainer.environments import Task
from dspctl.trainer.pruning import method_named
from dspctl.trainer.runs.checkpoint import RunFolder
from dspctl.trainer.runs.provenance import differences
from dspctl.trainer.runs.records import MOST, as_line
from dspctl.trainer.runs.state import TrainState
from dspctl.trainer.settings.config import TrainConfig

log = logging.getLogger(__name__)

ADJUSTABLE = (
    "learning_rate",
    "entropy",
    "target_kl",
    "clip_range",
    "gradient_norm",
    "penalty",
    "checkpoint_seconds",
)
"""Settings that may change on the way: none of them decides what a checkpoint holds."""
_SLOWER = 0.3  # share of the learning rate that is proposed to a run that diverged


def adjusted(folder: RunFolder, changes: Mapping[str, Any]) -> TrainConfig:
    """A run's settings with *changes*, which `note` writes down.

    Raises:
        ConfigProblem: a setting cannot change on the way, or not to this value.
    """
    if fixed := [name for name in changes if name not in ADJUSTABLE]:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in ADJUSTABLE)
        raise ConfigProblem(
            f"a run goes on with its own {', '.join(fixed)}: only {flags} may change on the way, "
            f"so start a new one with  dspctl train --like {folder.path} -o NEW"
        )
    if method_named(folder.config.method).procedure != "loop":
        raise ConfigProblem(
            f"a run of {folder.config.method} is several, which have their settings already: start "
            f"a new one with  dspctl train --like {folder.path} -o NEW"
        )
    return replace(folder.config, **changes)


def note(
    folder: RunFolder,
    steps: int,
    here: Mapping[str, Any],
    before: Mapping[str, Any],
    *,
    anew: bool,
) -> None:
    """Record that the run was gone on with, in ``run.json``, and warn of what makes it another one.

    Args:
        folder: the run's.
        steps: environment steps at the checkpoint.
        here: the record of this process, `describe_here`.
        before: the settings that were changed, with their values until now.
        anew: whether the environments start anew.
    """
    if not steps and not before:
        return
    entry: dict[str, Any] = {"steps": steps, "environments": "anew" if anew else "restored"}
    if changed := differences(folder.info.get("provenance", {}), here):
        entry["differs"] = {name: [*map(as_line, pair)] for name, pair in changed.items()}
    if before:
        entry["settings"] = {
            name: [value, getattr(folder.config, name)] for name, value in before.items()
        }
    entries = [*folder.info.get("resumptions", ()), entry]
    folder.write_info(resumptions=entries[-MOST:])  # as many as are read
    if anew:
        log.warning(
            "the environments of %s cannot be restored and start anew at step %d, so it is not the "
            "run that it would have been without a break",
            folder.path,
            steps,
        )


def deliver_last_good(
    folder: RunFolder, task: Task, error: TrainingDiverged, at: int
) -> TrainingDiverged:
    """Write the policy of the last checkpoint and the status; returns the error to raise instead.

    Where that checkpoint is of the start, there is no policy to deliver.

    Args:
        folder: the run's.
        task: its environment.
        error: what was found.
        at: environment steps before the iteration in which it was found.
    """
    found = {"steps": at, "reason": as_line(str(error))}
    state = return_to_checkpoint(folder, task, "diverged", diverged=found)
    rate = folder.config.learning_rate
    kept = f"of step {state.steps}, and the policy it had," if state.iteration else "of the start"
    return TrainingDiverged(
        f"training diverged after step {at}: {error}; the checkpoint {kept} is good, so go on from "
        f"there with  dspctl train --resume {folder.path} --learning-rate {_SLOWER * rate:.1g}"
    )


def return_to_checkpoint(folder: RunFolder, task: Task, status: str, **entries: Any) -> TrainState:
    """Make the run what it was at its last checkpoint: the policy, where training had begun by
    then, and ``run.json`` with *status* and *entries*; returns that checkpoint."""
    state = folder.load_state(task)
    if state.iteration:
        _write_policy(folder, task, state)
    folder.write_info(
        status=status,
        steps=state.steps,
        seconds=state.seconds,
        units=list(state.actor.network.hidden),
        critic_units=list(state.critic.network.hidden),
        **entries,
    )
    return state


def _write_policy(folder: RunFolder, task: Task, state: TrainState) -> None:
    carry = state.carry
    normalizer = state.normalizer(folder.config) if carry is None else carry.normalizer
    recorded = () if carry is None else carry.recorded
    none = np.empty((0, task.observation.size), np.float32)
    observations = np.concatenate([none, *recorded])
    folder.write_policy(state.policy(folder.config, task, normalizer), observations)
