"""What the loop of one process hands to the next beside networks and statistics.

With it a run that went on is the run that was never stopped, bit for bit; without it, as in
checkpoints of earlier versions, a run goes on with environments that start anew.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.runtime import Normalizer

Arrays = dict[str, NDArray[Any]]
PARTS = ("carry.", "memory.", "running.")
"""How the names of its arrays begin."""


@dataclass(frozen=True, eq=False)
class Running:
    """Episodes that are under way; of no use where their environments start anew.

    Attributes:
        environments: states of the environments, `VectorEnvironment.state`.
        observations: float32 [num_envs, obs_dim], what the actor sees next.
        just_done: bool [num_envs], whose next step only resets.
        discounted: float64 [num_envs], discounted returns so far, for scaling rewards.
        returns: float64 [num_envs], undiscounted returns so far.
        lengths: int64 [num_envs], steps so far.
    """

    environments: list[dict[str, Any]]
    observations: NDArray[np.float32]
    just_done: NDArray[np.bool_]
    discounted: NDArray[np.float64]
    returns: NDArray[np.float64]
    lengths: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Remembered:
    """A teacher's memory: states, targets, and the row that is written next."""

    observations: NDArray[np.float32]
    targets: NDArray[np.float32]
    next: int


@dataclass(frozen=True, eq=False)
class Carry:
    """See the module.

    Attributes:
        running: None where the environments do not tell their state.
        returns: float64 [at most 100], of the last finished episodes.
        lengths: int64, the same.
        recorded: raw observations of the last rollouts, float32 [rows, obs_dim] each.
        normalizer: the one that the actor acted with last, or None.
        value_loss: of the critic's update that no record holds yet.
        memory: None where the teacher does not teach alone any more.
        collapsed: updates in a row with too little entropy, `Watch.collapsed`.
    """

    running: Running | None
    returns: NDArray[np.float64]
    lengths: NDArray[np.int64]
    recorded: tuple[NDArray[np.float32], ...]
    normalizer: Normalizer | None
    value_loss: float | None
    memory: Remembered | None
    collapsed: int = 0

    def pack(self) -> tuple[Arrays, dict[str, Any]]:
        """As arrays and JSON values."""
        arrays: Arrays = {"carry.returns": self.returns, "carry.lengths": self.lengths}
        meta: dict[str, Any] = {
            "value_loss": self.value_loss,
            "collapsed": self.collapsed,
            "recorded": [len(rows) for rows in self.recorded],
        }
        if self.recorded:
            arrays["carry.recorded"] = np.concatenate(self.recorded)
        if self.normalizer is not None:
            arrays["carry.mean"] = self.normalizer.mean
            arrays["carry.scale"] = self.normalizer.scale
            meta["clip"] = self.normalizer.clip
        if self.memory is not None:
            arrays["memory.observations"] = self.memory.observations
            arrays["memory.targets"] = self.memory.targets
            meta["memory_next"] = self.memory.next
        if (running := self.running) is not None:
            meta["environments"] = running.environments
            arrays |= {
                "running.observations": running.observations,
                "running.just_done": running.just_done.astype(np.uint8),
                "running.discounted": running.discounted,
                "running.returns": running.returns,
                "running.lengths": running.lengths,
            }
        return arrays, meta

    @classmethod
    def unpack(cls, arrays: Arrays, meta: dict[str, Any]) -> "Carry":
        """Inverse of `pack`; KeyError or ValueError for what is none."""
        ends = np.cumsum(meta["recorded"], dtype=np.int64)[:-1]
        recorded = np.split(arrays["carry.recorded"], ends) if meta["recorded"] else []
        normalizer = memory = running = None
        if "clip" in meta:
            normalizer = Normalizer(arrays["carry.mean"], arrays["carry.scale"], meta["clip"])
        if "memory_next" in meta:
            memory = Remembered(
                arrays["memory.observations"], arrays["memory.targets"], meta["memory_next"]
            )
        if "environments" in meta:
            running = Running(
                environments=meta["environments"],
                observations=arrays["running.observations"],
                just_done=arrays["running.just_done"].astype(bool),
                discounted=arrays["running.discounted"],
                returns=arrays["running.returns"],
                lengths=arrays["running.lengths"],
            )
        return cls(
            running=running,
            returns=arrays["carry.returns"],
            lengths=arrays["carry.lengths"],
            recorded=tuple(recorded),
            normalizer=normalizer,
            value_loss=meta["value_loss"],
            memory=memory,
            collapsed=meta.get("collapsed", 0),  # which earlier versions did not write
        )
