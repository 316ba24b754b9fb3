"""A `TrainState` as the arrays and JSON values of a checkpoint, and back."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.trainer.environments import Task
from dspctl.trainer.ppo.learner import Learner
from dspctl.trainer.ppo.network import Layout, Network
from dspctl.trainer.runs.carry import PARTS, Carry
from dspctl.trainer.runs.carry_checks import check_carry
from dspctl.trainer.runs.checkpoint_file import Parts
from dspctl.trainer.runs.reading import fitting, kept_units, refuse_unknown
from dspctl.trainer.runs.state import TrainState
from dspctl.trainer.settings.config import TrainConfig


def pack(state: TrainState) -> Parts:
    """All of *state*; equal states give equal parts."""
    tensors: dict[str, NDArray[Any]] = {
        "observations.mean": state.observations.mean,
        "observations.variance": state.observations.variance,
        "returns.mean": state.scaler.moments.mean,
        "returns.variance": state.scaler.moments.variance,
    }
    meta: dict[str, Any] = {
        "iteration": state.iteration,
        "steps": state.steps,
        "seconds": state.seconds,
        "environment_seed": state.environment_seed,
        "observations.count": state.observations.count,
        "returns.count": state.scaler.moments.count,
        "rng": state.rng.bit_generator.state,
    }
    for name, learner in _learners(state):
        archive = learner.pruner.archive
        archive.record(learner.network)
        tensors |= {
            f"{name}.archive": archive.parameters,
            f"{name}.first": learner.optimiser.first,
            f"{name}.second": learner.optimiser.second,
        }
        for layer, alive in enumerate(archive.alive):
            tensors[f"{name}.alive.{layer}"] = alive.astype(np.int64)
        if learner.pruner.weight_mask is not None:
            tensors[f"{name}.weight_mask"] = learner.pruner.weight_mask.astype(np.uint8)
        meta[name] = {
            "adam_steps": learner.optimiser.step_count,
            "threshold": learner.pruner.threshold,
            "rng": learner.rng.bit_generator.state,
        }
    if state.carry is not None:
        arrays, meta["carry"] = state.carry.pack()
        tensors |= arrays
    return Parts(tensors, meta)


def unpack(parts: Parts, config: TrainConfig, task: Task) -> TrainState:
    """Inverse of `pack`.

    Raises:
        KeyError, ValueError, TypeError, IndexError: the parts are not of a run of *config*.
    """
    tensors, meta = dict(parts.tensors), parts.meta
    state = TrainState.initial(config, task)
    state.iteration, state.steps = meta["iteration"], meta["steps"]
    state.seconds = meta["seconds"]
    state.environment_seed = meta["environment_seed"]
    state.rng.bit_generator.state = meta["rng"]
    for name, moments in (("observations", state.observations), ("returns", state.scaler.moments)):
        moments.mean = fitting(tensors, f"{name}.mean", moments.mean)
        moments.variance = fitting(tensors, f"{name}.variance", moments.variance)
        moments.count = meta[f"{name}.count"]
    for name, learner in _learners(state):
        _restore(learner, name, tensors, meta[name])
    if "carry" in meta:  # checkpoints of earlier versions have none
        check_carry(tensors, meta["carry"], config, task)
        state.carry = Carry.unpack(tensors, meta["carry"])
    refuse_unknown({name: one for name, one in tensors.items() if not name.startswith(PARTS)})
    return state


def _learners(state: TrainState) -> tuple[tuple[str, Learner], ...]:
    return ("actor", state.actor), ("critic", state.critic)


def _restore(
    learner: Learner, name: str, tensors: dict[str, NDArray[Any]], meta: dict[str, Any]
) -> None:
    archive = learner.pruner.archive
    network = learner.network
    widths = archive.layout.sizes[1:-1]
    keep = [
        np.isin(np.arange(width), kept_units(tensors, f"{name}.alive.{layer}", width))
        for layer, width in enumerate(widths)
    ]
    archive.parameters[:] = fitting(tensors, f"{name}.archive", archive.parameters)
    layout, survivors = Layout.select(archive.layout, keep)
    archive.remove(survivors, keep)
    learner.network = Network(layout, network.activation, archive.parameters[survivors])
    like = learner.network.parameters
    first, second = (fitting(tensors, f"{name}.{moment}", like) for moment in ("first", "second"))
    learner.optimiser.restore(first, second, meta["adam_steps"])
    learner.pruner.threshold = meta["threshold"]
    if f"{name}.weight_mask" in tensors:
        mask = fitting(tensors, f"{name}.weight_mask", like.astype(np.uint8))
        learner.pruner.hold(mask.astype(np.float32), learner.network, learner.optimiser)
    learner.rng.bit_generator.state = meta["rng"]
