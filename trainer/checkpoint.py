"""A run on disk: the only module that knows the files and keys of a run folder.

========================  ===========================================================
``config.json``           the resolved `TrainConfig`, whole
``run.json``              status, versions, vector backend, seconds, where time went
``metrics.jsonl``         one JSON object per iteration
``tensorboard/``          the same figures as event files
``checkpoint.safetensors``  the `TrainState`, replaced atomically
``policy.safetensors``    the masked policy, written when training ends or stops
``teacher.safetensors``   the policy that it learns from, where the method has one
``teacher/``              that policy's own run, where it was trained first
``stages/``               the runs that make one of ``pops``
``candidates/``           the best policies that were tried on the way
``observations.safetensors``  raw observations of the last rollouts, for the proofs
========================  ===========================================================
"""

import json
import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save as bytes_from_tensors

from dspctl.errors import OutputExists, RunIncomplete, RunNotFound, RunVersion
from dspctl.runtime import Policy, load_policy, save_policy
from dspctl.runtime.files import write_bytes, write_json
from dspctl.trainer.config import TrainConfig
from dspctl.trainer.environments import Task
from dspctl.trainer.learner import Learner
from dspctl.trainer.network import Layout, Network
from dspctl.trainer.reading import (
    check_info,
    fitting,
    kept_units,
    metric_rows,
    read_json,
    read_tensors,
    refuse_unknown,
    state_from_text,
)
from dspctl.trainer.state import TrainState

SCHEMA = 1
_STATE_KEY = "dspctl.state"
_CHECKPOINT = "checkpoint.safetensors"


@dataclass(frozen=True)
class Run:
    """A run folder, opened for reading.

    Attributes:
        path: the folder.
        config: its settings.
        info: the contents of ``run.json``.
    """

    path: Path
    config: TrainConfig
    info: dict[str, Any]

    @property
    def finished(self) -> bool:
        """True when training reached its last step."""
        return bool(self.info["status"] == "finished")

    def policy(self) -> Policy:
        """The masked policy.

        Raises:
            RunIncomplete: training has not written one yet.
        """
        path = self.path / "policy.safetensors"
        if not path.is_file():
            if self.finished:
                reason = "its policy file is gone: train it again with --force"
            else:
                reason = f"its training was cut off: go on with  dspctl train --resume {self.path}"
            raise RunIncomplete(f"{self.path} has no policy, {reason}")
        return load_policy(path, links=False)

    def observations(self) -> NDArray[np.float32]:
        """Raw observations recorded in training, float32 [n, obs_dim]; empty if there are none."""
        path = self.path / "observations.safetensors"
        size = self.policy().observation.size
        if not os.path.lexists(path):
            return np.empty((0, size), np.float32)
        observations = read_tensors(path)[0].get("observations")
        if (
            observations is None
            or observations.dtype != np.float32
            or observations.shape[1:] != (size,)
        ):
            raise RunIncomplete(f"{path} is damaged: train again with --force")
        return observations

    def metrics(self) -> list[dict[str, Any]]:
        """One record per finished iteration; a torn last line is left out."""
        return metric_rows(self.path / "metrics.jsonl")


def load_run(path: Path) -> Run:
    """Open a run folder.

    Raises:
        RunNotFound: there is no folder, or it is empty.
        RunIncomplete: a file is missing or cut off.
        RunVersion: written by another version of the format.
    """
    try:
        empty = not path.is_dir() or not any(path.iterdir())
    except OSError as error:
        raise RunNotFound(
            f"{path} cannot be read ({error.strerror or error}): check its permissions"
        ) from error
    if empty:
        raise RunNotFound(
            f"there is no run at {path}: start one with  dspctl train ENVIRONMENT -o {path}"
        )
    config, info = read_json(path / "config.json"), read_json(path / "run.json")
    for name, content in (("config.json", config), ("run.json", info)):
        if content.get("schema") != SCHEMA:
            raise RunVersion(
                f"{path / name} has run schema {str(content.get('schema'))[:20]}, this dspctl "
                f"reads {SCHEMA}: use the dspctl that wrote it, or train again with --force"
            )
    if not isinstance(config.get("config"), dict) or "status" not in info or len(config) > 2:
        raise RunIncomplete(f"{path} is only half-written: train again with --force")
    check_info(info, path / "run.json")
    try:
        settings = TrainConfig.from_json(config["config"])
    except TypeError as error:
        raise RunIncomplete(
            f"{path / 'config.json'} lacks settings ({error}): train again with --force"
        ) from error
    return Run(path, settings, info)


class RunFolder:
    """A run folder, opened for writing by the training loop."""

    def __init__(self, path: Path, config: TrainConfig, info: dict[str, Any]) -> None:
        self.path = path
        self.config = config
        self.info = info

    @classmethod
    def create(
        cls, path: Path, config: TrainConfig, info: dict[str, Any], *, force: bool
    ) -> "RunFolder":
        """Start a run in an empty or new folder.

        Raises:
            OutputExists: the folder holds something and ``force`` is False, or holds something
                that is not a run.
        """
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            if not force:
                raise OutputExists(
                    f"{path} exists: go on with  dspctl train --resume {path}  or replace it "
                    "with --force"
                )
            if not (path / "config.json").is_file():
                raise OutputExists(f"{path} is not a run, so it is not replaced: choose another")
            shutil.rmtree(path)
        folder = cls(path, config, {"schema": SCHEMA, "status": "running", **info})
        write_json(path / "config.json", {"schema": SCHEMA, "config": config.to_json()})
        folder.write_info()
        return folder

    @classmethod
    def reopen(cls, path: Path, info: dict[str, Any]) -> "RunFolder":
        """Go on with a run; raises as `load_run`."""
        run = load_run(path)
        return cls(path, run.config, {**run.info, **info, "status": "running"})

    def write_info(self, **entries: Any) -> None:
        """Merge *entries* into ``run.json``."""
        self.info = {**self.info, **entries}
        write_json(self.path / "run.json", self.info)

    def write_policy(self, policy: Policy, observations: NDArray[np.float32]) -> None:
        """Write the masked policy and the recorded observations."""
        save_policy(policy, self.path / "policy.safetensors", force=True)
        write_bytes(
            self.path / "observations.safetensors",
            bytes_from_tensors({"observations": np.ascontiguousarray(observations)}),
        )

    def write_teacher(self, policy: Policy, *, source: str, sha256: str) -> None:
        """Keep a copy of the teacher, and note where it came from."""
        self.write_info(teacher={"source": source, "sha256": sha256})
        save_policy(policy, self.path / "teacher.safetensors", force=True)

    def candidate(self, iteration: int) -> Path:
        """The policy after *iteration* iterations, while it is among the best that were tried."""
        return self.path / "candidates" / f"{iteration:06d}.safetensors"

    def write_candidate(self, iteration: int, policy: Policy) -> None:
        """Keep a policy that may be delivered."""
        path = self.candidate(iteration)
        path.parent.mkdir(exist_ok=True)
        save_policy(policy, path, force=True)

    def keep_candidates(self, iterations: Collection[int]) -> None:
        """Remove all candidates but those of *iterations*."""
        kept = {self.candidate(iteration) for iteration in iterations}
        for path in self.path.glob("candidates/*.safetensors"):
            if path not in kept:
                path.unlink()

    # --- the training state -------------------------------------------------------------

    @property
    def has_state(self) -> bool:
        """Whether there is a checkpoint."""
        return (self.path / _CHECKPOINT).is_file()

    def save_state(self, state: TrainState) -> None:
        """Replace the checkpoint atomically."""
        tensors: dict[str, NDArray[Any]] = {
            "observations.mean": state.observations.mean,
            "observations.variance": state.observations.variance,
            "returns.mean": state.scaler.moments.mean,
            "returns.variance": state.scaler.moments.variance,
        }
        meta: dict[str, Any] = {
            "schema": SCHEMA,
            "iteration": state.iteration,
            "steps": state.steps,
            "seconds": state.seconds,
            "environment_seed": state.environment_seed,
            "observations.count": state.observations.count,
            "returns.count": state.scaler.moments.count,
            "rng": state.rng.bit_generator.state,
        }
        for name, learner in (("actor", state.actor), ("critic", state.critic)):
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
        contiguous = {key: np.ascontiguousarray(value) for key, value in tensors.items()}
        data = bytes_from_tensors(contiguous, metadata={_STATE_KEY: json.dumps(meta)})
        write_bytes(self.path / _CHECKPOINT, data)

    def load_state(self, task: Task) -> TrainState:
        """The state at the last checkpoint.

        Raises:
            RunIncomplete: there is no checkpoint, or it is cut off.
        """
        path = self.path / _CHECKPOINT
        if not path.is_file():
            raise RunIncomplete(
                f"{self.path} was cut off before its first checkpoint: train it again with --force"
            )
        tensors, metadata = read_tensors(path)
        try:
            meta = state_from_text(metadata[_STATE_KEY])
            state = TrainState.initial(self.config, task)
            state.iteration, state.steps = meta["iteration"], meta["steps"]
            state.seconds = meta["seconds"]
            state.environment_seed = meta["environment_seed"]
            state.rng.bit_generator.state = meta["rng"]
            scaled = state.scaler.moments
            for name, moments in (("observations", state.observations), ("returns", scaled)):
                moments.mean = fitting(tensors, f"{name}.mean", moments.mean)
                moments.variance = fitting(tensors, f"{name}.variance", moments.variance)
            state.observations.count = meta["observations.count"]
            scaled.count = meta["returns.count"]
            for name, learner in (("actor", state.actor), ("critic", state.critic)):
                _restore(learner, name, tensors, meta[name])
            refuse_unknown(tensors)
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise RunIncomplete(
                f"{path} is damaged ({type(error).__name__}: {error}): train again with --force"
            ) from error
        return state

    def cut_metrics(self, iteration: int) -> None:
        """Drop the records of iterations after the checkpoint; they will be made again."""
        path = self.path / "metrics.jsonl"
        rows = [row for row in metric_rows(path) if row["iteration"] <= iteration]
        write_bytes(path, "".join(json.dumps(row) + "\n" for row in rows).encode())


def _restore(
    learner: Learner, name: str, tensors: dict[str, NDArray[Any]], meta: dict[str, Any]
) -> None:
    archive = learner.pruner.archive
    network = learner.network
    alive = [
        kept_units(tensors, f"{name}.alive.{layer}", width)
        for layer, width in enumerate(archive.layout.sizes[1:-1])
    ]
    keep = [
        np.isin(np.arange(width), units)
        for width, units in zip(archive.layout.sizes[1:-1], alive, strict=True)
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
