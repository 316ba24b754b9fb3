"""Where a run's figures go: JSON lines, one per iteration, and TensorBoard."""

import json
import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, time
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary

from dspctl.errors import WriteFailed
from dspctl.runtime.files import open_log
from dspctl.trainer.ppo.rollout import Rollout
from dspctl.trainer.runs.state import TrainState
from dspctl.trainer.sparsity import sparsities

_GROUPS = {
    "episode_return": "episode",
    "episode_length": "episode",
    "unit_sparsity": "sparsity",
    "weight_sparsity": "sparsity",
    "flops_sparsity": "sparsity",
    "scheduled_sparsity": "sparsity",
    "threshold": "pruning",
    "penalty": "pruning",
    "seconds": "speed",
    "steps_per_s": "speed",
    "environment_s": "speed",
    "inference_s": "speed",
    "update_s": "speed",
}


class MetricsWriter:
    """Appends a record per iteration to ``metrics.jsonl`` and to a TensorBoard event file.

    JSON lines are flushed at once. Events are written in bunches, since encoding them costs more
    than a small network's update, and by this thread: a writer thread of its own would leave
    training waiting for ever when it fails (a full disk, a folder that was removed).

    Args:
        folder: the run folder.
        resumed_at: steps taken when the run was resumed, or None for a new run; TensorBoard then
            hides what an earlier process wrote beyond it.

    Raises:
        WriteFailed: a file cannot be opened, or, from `write` and on leaving, written.
    """

    tensorboard_seconds = 5.0

    def __init__(self, folder: Path, resumed_at: int | None = None) -> None:
        self._folder = folder
        self._waiting: list[dict[str, Any]] = []
        self._written = monotonic()
        with self._named_errors():
            (folder / "tensorboard").mkdir(exist_ok=True)
            self._lines = open_log(folder / "metrics.jsonl", "a")
            try:
                self._events = EventsWriter(
                    str(folder / "tensorboard" / "events"), f".from{resumed_at or 0}"
                )
            except OSError:
                self._lines.close()
                raise
            if resumed_at is not None:
                start = SessionLog(status=SessionLog.START)
                self._events.write_event(Event(step=resumed_at, session_log=start))

    def write(self, row: dict[str, Any]) -> None:
        """Record one iteration; values are JSON numbers, lists of them, or None."""
        with self._named_errors():
            self._lines.write(json.dumps(row, allow_nan=False) + "\n")
            self._lines.flush()
            self._waiting.append({**row, "wall_time": time()})
            if monotonic() - self._written > self.tensorboard_seconds:
                self._write_events()

    def sync(self) -> None:
        """Make the records so far survive a power cut; a checkpoint counts on them."""
        with self._named_errors():
            os.fsync(self._lines.fileno())

    def _write_events(self) -> None:
        for row in self._waiting:
            values = [
                Summary.Value(tag=tag, simple_value=value) for tag, value in tagged_figures(row)
            ]
            self._events.write_event(
                Event(step=row["steps"], wall_time=row["wall_time"], summary=Summary(value=values))
            )
        self._events.flush()
        self._waiting.clear()
        self._written = monotonic()

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise WriteFailed(
                f"could not write metrics to {self._folder} ({error.strerror or error}): free "
                f"some space, then go on with  dspctl train --resume {self._folder}"
            ) from error

    def __enter__(self) -> "MetricsWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            # After an error this may fail for the same reason, and must not replace it.
            with self._named_errors() if error is None else suppress(OSError):
                self._write_events()
        finally:
            with suppress(OSError):
                self._lines.close()
            with suppress(OSError):
                self._events.close()
            with suppress(OSError):  # what failed to flush its file has not closed it
                self._events._py_recordio_writer.close()


def tagged_figures(row: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """The figures of one record under their TensorBoard tags; None and bookkeeping are left out."""
    for name, value in row.items():
        if isinstance(value, list):
            for layer, units in enumerate(value, start=1):
                yield f"units/{name}_{layer}", float(units)
        elif value is not None and name not in ("steps", "iteration", "wall_time"):
            yield f"{_GROUPS.get(name, 'loss')}/{name}", float(value)


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

    def running(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Returns and lengths so far of the episodes under way, [num_envs] each."""
        return self._return.copy(), self._length.copy()

    def finished(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Returns and lengths of the last finished episodes, [at most 100] each."""
        return np.array(self._returns, np.float64), np.array(self._lengths, np.int64)

    def go_on(self, returns: NDArray[np.float64], lengths: NDArray[np.int64]) -> None:
        """Go on with episodes under way, as `running` gave them."""
        self._return, self._length = returns.copy(), lengths.copy()

    def remember(self, returns: NDArray[np.float64], lengths: NDArray[np.int64]) -> None:
        """Take over finished episodes, as `finished` gave them."""
        self._returns.extend(returns.tolist())
        self._lengths.extend(lengths.tolist())

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

    ``scheduled_sparsity`` is p_t of the iteration that has just ended (DSP Eq 17); the
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
        **sparsities(state.actor.network.layout, pruner.original, pruner.weights_removed),
    }
