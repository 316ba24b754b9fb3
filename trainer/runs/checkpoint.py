"""A run on disk: the only module that knows the files and keys of a run folder.

========================  ===========================================================
``config.json``           the resolved `TrainConfig`, whole
``run.json``              status, where and with what it ran, seconds, where time went
``metrics.jsonl``         one JSON object per iteration
``tensorboard/``          the same figures as event files
``checkpoint.safetensors``  the `TrainState`, replaced atomically
``checkpoint.before.safetensors``  the one before, used where the newest is damaged
``policy.safetensors``    the masked policy, written when training ends or stops
``teacher.safetensors``   the policy that it learns from, where the method has one
``teacher/``              that policy's own run, where it was trained first
``stages/``               the runs that make one of ``pops``
``candidates/``           the best policies that were tried on the way
``observations.safetensors``  raw observations of the last rollouts, for the proofs
``.lock``                 held by the process that trains here
========================  ===========================================================
"""

import logging
import os
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save as bytes_from_tensors

from dspctl.errors import RunIncomplete, RunNotFound, RunVersion
from dspctl.runtime import Policy, load_policy, save_policy
from dspctl.runtime.files import open_log, write_bytes, write_json
from dspctl.trainer.environments import Task
from dspctl.trainer.runs import checkpoint_file
from dspctl.trainer.runs.reading import (
    check_info,
    metric_rows,
    read_json,
    read_tensors,
    records_end,
)
from dspctl.trainer.runs.records import as_line
from dspctl.trainer.runs.room import make_room
from dspctl.trainer.runs.state import TrainState
from dspctl.trainer.runs.state_parts import pack, unpack
from dspctl.trainer.settings.config import TrainConfig

log = logging.getLogger(__name__)

SCHEMA = 1


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
                cut = "diverged" if self.info["status"] == "diverged" else "was cut off"
                reason = f"its training {cut}: go on with  dspctl train --resume {self.path}"
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
        RunNotFound: there is no folder, or no run in it.
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
    if not any(os.path.lexists(path / name) for name in ("config.json", "run.json")):
        raise RunNotFound(
            f"{path} holds something else than a run: name the folder of a run, as "
            "dspctl train -o FOLDER makes it"
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
        make_room(path, force=force)
        folder = cls(path, config, {"schema": SCHEMA, "status": "running", **info})
        # The settings go last: what has none never began, and is begun again.
        folder.write_info()
        folder.write_config(config)
        return folder

    @classmethod
    def reopen(cls, path: Path, info: dict[str, Any]) -> "RunFolder":
        """Go on with a run; raises as `load_run`."""
        run = load_run(path)
        return cls(path, run.config, {**run.info, **info, "status": "running"})

    def write_config(self, config: TrainConfig) -> None:
        """Replace the run's settings."""
        self.config = config
        write_json(self.path / "config.json", {"schema": SCHEMA, "config": config.to_json()})

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
        self.write_info(teacher={"source": as_line(source), "sha256": sha256})
        save_policy(policy, self.path / "teacher.safetensors", force=True)

    def candidate(self, iteration: int) -> Path:
        """The policy after *iteration* iterations, while it is among the best that were tried."""
        return self.path / "candidates" / f"{iteration:06d}.safetensors"

    def write_candidate(self, iteration: int, policy: Policy) -> None:
        """Keep a policy that may be delivered."""
        save_policy(policy, self.candidate(iteration), force=True)

    def keep_candidates(self, iterations: Collection[int]) -> None:
        """Remove all candidates but those of *iterations*; what cannot be goes another time."""
        kept = {self.candidate(iteration) for iteration in iterations}
        for path in self.path.glob("candidates/*.safetensors"):
            if path not in kept:
                with suppress(OSError):
                    path.unlink()

    # --- the training state -------------------------------------------------------------

    @property
    def has_state(self) -> bool:
        """Whether there is a checkpoint."""
        return checkpoint_file.exists(self.path)

    def save_state(self, state: TrainState) -> None:
        """Write a checkpoint; the last two stay. Raises as `checkpoint_file.write`."""
        checkpoint_file.write(self.path, pack(state))

    def load_state(self, task: Task, *, set_aside: bool = False) -> TrainState:
        """The state at the newest checkpoint that is whole; a warning says which were not.

        Args:
            task: the run's environment.
            set_aside: rename damaged checkpoints, for whoever goes on with the run.

        Raises:
            RunIncomplete: there is no checkpoint.
            CheckpointDamaged: none is whole.
        """

        def restore(parts: checkpoint_file.Parts) -> TrainState:
            return unpack(parts, self.config, task)

        found = checkpoint_file.read_newest(self.path, restore)
        state: TrainState = found.state
        for damage in found.damaged:
            kept = ""
            if set_aside:
                kept = f" and was set aside as {checkpoint_file.set_aside(damage).name}"
            log.warning(
                "%s is damaged (%s)%s: the checkpoint before it, of step %d, is used",
                damage.path,
                damage.reason,
                kept,
                state.steps,
            )
        return state

    def cut_metrics(self, iteration: int) -> None:
        """Drop the records of iterations after the checkpoint; they will be made again.

        Cut where it stands, since a log is added to in place as well, and may be of any size.

        Raises:
            RunIncomplete: as `Run.metrics`, but for the size.
            WriteFailed: it cannot be written.
        """
        path = self.path / "metrics.jsonl"
        end = records_end(path, iteration)
        if end is None or end == path.stat().st_size:
            return
        with open_log(path, "a") as file:
            file.truncate(end)
