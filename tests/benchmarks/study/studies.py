"""Studies that the tests share: small enough to run in seconds, or not at all."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from dspctl.benchmarks.study.plan import Cell
from dspctl.benchmarks.study.record import CellResult, Curve
from dspctl.benchmarks.study.spec import StudySpec, spec_from_values

SETTINGS: dict[str, Any] = {
    "steps": 4096,
    "environments": 8,
    "rollout_steps": 128,
    "hidden": [16, 16],
    "vector_backend": "gymnasium",
}
CELL = CellResult(
    key="CartPole-v1-dsp-s0.5-l0.0001-seed0-01234567",
    environment="CartPole-v1",
    method="dsp",
    variant="base",
    sparsity=0.5,
    penalty=1e-4,
    seed=0,
    settings={"steps": 4096, "hidden": [16, 16]},
    returns=(500.0, 9.0, 0.1),
    units=(9, 7),
    original_units=(16, 16),
    weights=113,
    nonzero_weights=110,
    original_weights=352,
    flops=210,
    original_flops=660,
    steps=4096,
    seconds=0.25,
    teacher="",
    curve=Curve((1024, 2048), (None, 21.5), ((16, 16), (9, 7)), (None, 0.125)),
    machine="0123456789ab",
)


def result_of(cell: Cell, **changes: Any) -> CellResult:
    """A record that a cell might have left."""
    values: dict[str, Any] = {
        "key": cell.key,
        "environment": cell.config.environment,
        "method": cell.config.method,
        "variant": cell.variant,
        "sparsity": cell.sparsity,
        "penalty": cell.penalty,
        "seed": cell.config.seed,
        "settings": cell.settings,
        "returns": tuple(float(100 + episode) for episode in range(cell.episodes)),
        "teacher": cell.teacher,
    }
    return replace(CELL, **{**values, **changes})


def small(**changes: Any) -> StudySpec:
    """A study of CartPole whose cells take a second or two."""
    values: dict[str, Any] = {
        "name": "small",
        "environments": ["CartPole-v1"],
        "methods": ["dsp"],
        "sparsities": [0.5],
        "seeds": [0, 1],
        "episodes": 5,
        "settings": SETTINGS,
    }
    return spec_from_values({**values, **changes}, "a test")


def written(path: Path, **changes: Any) -> Path:
    """The same as a file."""
    settings = {**SETTINGS, **changes.pop("settings", {})}
    lines = [f"{name} = {_toml(value)}" for name, value in changes.items()]
    table = [f"{name} = {_toml(value)}" for name, value in settings.items()]
    path.write_text("\n".join([*_HEAD, *lines, "[settings]", *table]) + "\n")
    return path


_HEAD = (
    'name = "small"',
    'environments = ["CartPole-v1"]',
    "sparsities = [0.5]",
    "episodes = 5",
)


def _toml(value: Any) -> str:
    return json.dumps(value)  # which TOML reads too, for lists, numbers and text
