"""Where a run's figures go: JSON lines, one per iteration, and TensorBoard."""

import json
from collections import deque
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.trainer.rollout import Rollout
from dspctl.trainer.sparsity import sparsities
from dspctl.trainer.state import TrainState

_GROUPS = {
    "episode_return": "episode",
    "episode_length": "episode",
    "unit_sparsity": "sparsity",
    "weight_sparsity": "sparsity",
    "flops_sparsity": "sparsity",
    "scheduled_sparsity": "sparsity",
    "threshold": "pruning",
    "penalty": "pruning",
    "steps_per_s": "speed",
    "environment_s": "speed",
    "inference_s": "speed",
    "update_s": "speed",
}


class MetricsWriter:
    """Appends a record per iteration to ``metrics.jsonl`` and to TensorBoard event files.

    JSON lines are flushed at once. Event files are written in bunches: their encoding costs more
    than a small network's update.
    """

    tensorboard_seconds = 5.0

    def __init__(self, folder: Path, purge_step: int | None = None) -> None:
        from tensorboardX import SummaryWriter

        self._lines = (folder / "metrics.jsonl").open("a")
        self._events = SummaryWriter(
            str(folder / "tensorboard"), flush_secs=10, purge_step=purge_step
        )
        self._waiting: list[dict[str, Any]] = []
        self._written = monotonic()

    def write(self, row: dict[str, Any]) -> None:
        """Record one iteration; values are JSON numbers, lists of them, or None."""
        self._lines.write(json.dumps(row, allow_nan=False) + "\n")
        self._lines.flush()
        self._waiting.append(row)
        if monotonic() - self._written > self.tensorboard_seconds:
            self._write_events()

    def _write_events(self) -> None:
        for row in self._waiting:
            for name, value in row.items():
                if isinstance(value, list):
                    for layer, units in enumerate(value, start=1):
                        self._events.add_scalar(f"units/{name}_{layer}", units, row["steps"])
                elif value is not None and name not in ("steps", "iteration"):
                    group = _GROUPS.get(name, "loss")
                    self._events.add_scalar(f"{group}/{name}", value, row["steps"])
        self._waiting.clear()
        self._written = monotonic()

    def __enter__(self) -> "MetricsWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._write_events()
        self._lines.close()
        self._events.close()


class EpisodeStatistics:
    """Undiscounted returns and lengths of finished training episodes, the last 100 of them."""

    def __init__(self, environments: int) -> None:
        self._return = np.zeros(environments)
        self._length = np.zeros(environments, np.int64)
        self._returns: deque[float] = deque(maxlen=100)
        self._lengths: deque[int] = deque(maxlen=100)

    def update(self, rollout: Rollout) -> None:
        """Account for one rollout."""
        for reward, done, valid in zip(rollout.rewards, rollout.done, rollout.valid, strict=True):
            self._return += reward
            self._length += valid
            if done.any():
                self._finish(done)

    def _finish(self, done: NDArray[np.bool_]) -> None:
        self._returns.extend(self._return[done].tolist())
        self._lengths.extend(self._length[done].tolist())
        self._return[done] = 0.0
        self._length[done] = 0

    @property
    def mean_return(self) -> float | None:
        """Mean return of the last 100 episodes; None before one has finished."""
        return float(np.mean(self._returns)) if self._returns else None

    @property
    def mean_length(self) -> float | None:
        """Mean length in steps of the last 100 episodes; None before one has finished."""
        return float(np.mean(self._lengths)) if self._lengths else None


def progress_figures(state: TrainState, episodes: EpisodeStatistics) -> dict[str, Any]:
    """Where a run stands after an iteration: steps, returns, units and sparsities.

    ``scheduled_sparsity`` is p_t of the iteration that has just ended (METHOD Eq 17); the
    sparsities of units, weights and FLOPs are Eq 22, 21 and 23 on what is left of the actor.
    """
    pruner = state.actor.pruner
    pruning = pruner.phase(state.iteration - 1) == "pruning"
    return {
        "iteration": state.iteration,
        "steps": state.steps,
        "seconds": round(state.seconds, 4),
        "episode_return": episodes.mean_return,
        "episode_length": episodes.mean_length,
        "units": list(state.actor.network.hidden),
        "critic_units": list(state.critic.network.hidden),
        "threshold": pruner.threshold if pruning else None,
        "scheduled_sparsity": pruner.scheduled(state.iteration - 1),
        **sparsities(state.actor.network.layout, pruner.archive.layout),
    }
