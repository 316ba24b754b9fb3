"""Whether what a checkpoint says of a loop under way fits the run, before anything uses it."""

from typing import Any

import numpy as np

from dspctl.runtime.strict_json import Fields
from dspctl.trainer.environments import Task
from dspctl.trainer.environments.state import check_attributes
from dspctl.trainer.runs.carry import Arrays
from dspctl.trainer.runs.reading import generator
from dspctl.trainer.settings.config import TrainConfig

_EPISODES = 100
_LARGEST = 1 << 53


def check_carry(arrays: Arrays, meta: Any, config: TrainConfig, task: Task) -> None:
    """Check what `Carry.pack` made, for a run of *config* on *task*.

    Raises:
        ValueError: a field or an array is missing, unknown, or of another type or shape.
    """
    fields, features = Fields(meta, "'carry'"), task.observation.size
    fields.number_or_none("value_loss")
    if "collapsed" in meta:
        _count(fields, "collapsed")
    episodes = _rows(arrays, "carry.returns", _EPISODES)
    _fits(arrays, "carry.returns", np.float64, (episodes,))
    _fits(arrays, "carry.lengths", np.int64, (episodes,))
    recorded = fields.take("recorded")
    if not isinstance(recorded, list) or not all(type(n) is int and n >= 0 for n in recorded):
        raise ValueError("'recorded' is not a list of counts")
    if recorded:
        _fits(arrays, "carry.recorded", np.float32, (sum(recorded), features))
    if "clip" in meta:
        fields.number_or_none("clip")
        _fits(arrays, "carry.mean", np.float32, (features,))
        _fits(arrays, "carry.scale", np.float32, (features,))
    if "memory_next" in meta:
        if _count(fields, "memory_next") >= config.memory:
            raise ValueError("'memory_next' is beyond the memory")
        rows = _rows(arrays, "memory.targets", config.memory)
        _fits(arrays, "memory.observations", np.float32, (rows, features))
        _fits(arrays, "memory.targets", np.float32, (rows, task.outputs))
    if "environments" in meta:
        _check_running(arrays, fields.take("environments"), config.environments, features)
    fields.finish()


def _check_running(arrays: Arrays, states: Any, environments: int, features: int) -> None:
    if not isinstance(states, list) or len(states) != environments:
        raise ValueError(f"'environments' is not a list of {environments}")
    for state in states:
        fields = Fields(state, "an environment")
        _count(fields, "elapsed")
        generator(fields.fields("rng"))
        fields.boolean("resets")
        check_attributes(fields.text("class"), fields.entries("attributes"))
        fields.finish()
    _fits(arrays, "running.observations", np.float32, (environments, features))
    _fits(arrays, "running.just_done", np.uint8, (environments,))
    _fits(arrays, "running.discounted", np.float64, (environments,))
    _fits(arrays, "running.returns", np.float64, (environments,))
    _fits(arrays, "running.lengths", np.int64, (environments,))


def _count(fields: Fields, name: str) -> int:
    value = fields.integer(name)
    if not 0 <= value < _LARGEST:
        raise ValueError(f"'{name}' is no count")
    return value


def _rows(arrays: Arrays, name: str, most: int) -> int:
    rows = len(arrays[name]) if name in arrays and arrays[name].ndim else most + 1
    if rows > most:
        raise ValueError(f"'{name}' is missing or has too many rows")
    return rows


def _fits(arrays: Arrays, name: str, kind: type[np.generic], shape: tuple[int, ...]) -> None:
    array = arrays.get(name)
    if array is None or array.dtype != kind or array.shape != shape:
        raise ValueError(f"'{name}' is not {kind.__name__} {list(shape)}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"'{name}' holds a NaN or infinity")
