"""What a study found: one record per cell, and the file that holds them all.

The file is JSON with one cell a line, sorted by key, so that equal results are equal bytes and two
versions of a study differ in the lines of the cells that differ.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from dspctl.benchmarks.record.plausible import LARGEST_RETURN
from dspctl.errors import ResultProblem
from dspctl.runtime.files import write_bytes
from dspctl.runtime.strict_json import Fields, fields_from_json
from dspctl.runtime.untrusted import check_name, read_bytes

SCHEMA = 1
CURVE_POINTS = 200
"""Most points of a training curve that are kept."""
_KIND = "dspctl study"
_LARGEST_BYTES = 1 << 27
_MOST = 1 << 63  # what a database keeps
_MOST_VALUES = 1 << 23
"""A cell has about 2,000: 4,000 cells."""


@dataclass(frozen=True)
class Curve:
    """How training went: columns of equal length, `CURVE_POINTS` rows at most.

    Attributes:
        steps: environment steps taken.
        returns: mean return of the last 100 training episodes, None before the first has ended.
        units: the actor's hidden units, per layer.
        thresholds: the pruning threshold (Eq 16), None outside the pruning phase.
    """

    steps: tuple[int, ...]
    returns: tuple[float | None, ...]
    units: tuple[tuple[int, ...], ...]
    thresholds: tuple[float | None, ...]


@dataclass(frozen=True)
class CellResult:
    """One finished cell: a whole training run, its compact policy, and what that earns.

    Attributes:
        key: unique in the study, readable, and the name of the cell's folder.
        environment: gymnasium id.
        method: pruning method.
        variant: name of the ablation, ``base`` without one.
        sparsity: share of hidden units that was to leave; None where nothing is pruned.
        penalty: lambda of the regulariser; None where there is none.
        seed: training seed.
        settings: the `TrainConfig` fields that differ from the recipe of environment and method,
            without those that have a field of their own here.
        returns: one per evaluation episode; episode k has the same start in every cell.
        units: hidden units of the compact policy, per layer.
        original_units: those of the policy before pruning.
        weights: weights that the compact policy stores (Eq 21).
        nonzero_weights: those that are not 0.
        original_weights: weights before pruning.
        flops: of one forward pass of the compact policy (Eq 23).
        original_flops: those before pruning.
        steps: environment steps of the training, without those of a teacher.
        seconds: time of the training, without that of a teacher.
        teacher: key of the cell whose policy it learnt from, empty without one.
        curve: how the training went.
        machine: which machine trained it, a key of `StudyResults.machines`.
    """

    key: str
    environment: str
    method: str
    variant: str
    sparsity: float | None
    penalty: float | None
    seed: int
    settings: Mapping[str, Any]
    returns: tuple[float, ...]
    units: tuple[int, ...]
    original_units: tuple[int, ...]
    weights: int
    nonzero_weights: int
    original_weights: int
    flops: int
    original_flops: int
    steps: int
    seconds: float
    teacher: str
    curve: Curve
    machine: str

    @property
    def mean_return(self) -> float:
        """Mean return over the evaluation's episodes."""
        return sum(self.returns) / len(self.returns)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self), allow_nan=False))
        return values


@dataclass(frozen=True)
class StudyResults:
    """All finished cells of a study.

    Attributes:
        name: the study's.
        spec: the study file, resolved.
        machines: key → the machine's record.
        cells: sorted by key.
        schema: version of the format.
    """

    name: str
    spec: dict[str, Any]
    machines: dict[str, dict[str, Any]]
    cells: tuple[CellResult, ...]
    schema: int = SCHEMA


def save_results(results: StudyResults, path: Path) -> None:
    """Replace a results file atomically; equal results give equal bytes.

    Raises:
        WriteFailed: the file cannot be written; the old one is intact.
    """
    head = {
        "kind": _KIND,
        "schema": results.schema,
        "name": results.name,
        "spec": results.spec,
        "machines": results.machines,
    }
    lines = [
        json.dumps(cell.to_json(), sort_keys=True)
        for cell in sorted(results.cells, key=lambda cell: cell.key)
    ]
    opened = json.dumps(head, indent=2, sort_keys=True, allow_nan=False)[:-2]
    cells = ",\n    ".join(lines)
    body = f"[\n    {cells}\n  ]" if lines else "[]"
    write_bytes(path, f'{opened},\n  "cells": {body}\n}}\n'.encode())


def load_results(path: Path) -> StudyResults:
    """Read a results file.

    Raises:
        ResultProblem: there is none, or it is not one of this schema.
    """
    try:
        data = read_bytes(path, _LARGEST_BYTES)
    except (OSError, ValueError) as error:
        raise ResultProblem(
            f"{path} cannot be read ({getattr(error, 'strerror', None) or error}): a study's "
            "results are results.json in its folder"
        ) from error
    return results_from_bytes(data, str(path))


def results_from_bytes(data: bytes, path: str) -> StudyResults:
    """Parse a results file; *path* is what to call it in messages.

    Raises:
        ResultProblem: it is not one of this schema.
    """
    try:
        entries = fields_from_json(data, "it", most_values=_MOST_VALUES)
        if entries.text("kind") != _KIND or (schema := entries.integer("schema")) != SCHEMA:
            raise ValueError(f"it is not a {_KIND} of schema {SCHEMA}")
        machines = entries.entries("machines")
        for key, machine in machines.items():
            check_name(key, "a key of 'machines'")
            if not isinstance(machine, dict):
                raise ValueError("a machine is not a JSON object")
        results = StudyResults(
            name=entries.name("name"),
            spec=entries.entries("spec"),
            machines=machines,
            cells=tuple(cell_from_json(cell, "a cell") for cell in _list(entries.take("cells"))),
            schema=schema,
        )
        entries.finish()
        if len({cell.key for cell in results.cells}) < len(results.cells):
            raise ValueError("it has a cell twice")
    except ValueError as error:
        raise ResultProblem(
            f"{path} is not the results file of a study ({error}): name results.json of a "
            "study's folder, or let  dspctl study  write it again"
        ) from error
    return results


def cell_from_json(value: Any, where: str) -> CellResult:
    """Inverse of `CellResult.to_json`.

    Raises:
        ValueError: a field is missing, unknown, or of another type.
    """
    entries = Fields(value, where)
    curve = entries.fields("curve")
    cell = CellResult(
        key=entries.name("key"),
        environment=entries.name("environment"),
        method=entries.name("method"),
        variant=entries.name("variant"),
        sparsity=entries.number_or_none("sparsity"),
        penalty=entries.number_or_none("penalty"),
        seed=entries.integer("seed"),
        settings=entries.entries("settings"),
        returns=_tuple(entries.take("returns"), _number),
        units=_tuple(entries.take("units"), _integer),
        original_units=_tuple(entries.take("original_units"), _integer),
        weights=entries.integer("weights"),
        nonzero_weights=entries.integer("nonzero_weights"),
        original_weights=entries.integer("original_weights"),
        flops=entries.integer("flops"),
        original_flops=entries.integer("original_flops"),
        steps=entries.integer("steps"),
        seconds=entries.number("seconds"),
        teacher=entries.name("teacher"),
        machine=entries.name("machine"),
        curve=Curve(
            steps=_tuple(curve.take("steps"), _integer),
            returns=_tuple(curve.take("returns"), _number_or_none),
            units=_tuple(curve.take("units"), lambda row: _tuple(row, _integer)),
            thresholds=_tuple(curve.take("thresholds"), _number_or_none),
        ),
    )
    curve.finish()
    entries.finish()
    if not cell.returns or max(map(abs, cell.returns)) > LARGEST_RETURN:
        raise ValueError(f"{where} has no returns, or larger ones than there are")
    counts = (cell.seed, cell.weights, cell.nonzero_weights, cell.flops, cell.steps, *cell.units)
    before = (cell.original_weights, cell.original_flops, *cell.original_units)
    if min(counts) < 0 or min(before) < 1:
        raise ValueError(f"{where}: a count is negative, or there was nothing before pruning")
    if max(*counts, *before) >= _MOST:
        raise ValueError(f"{where}: a count has more than 63 bits")
    for setting in cell.settings:
        check_name(setting, f"{where}: a name in 'settings'")
    if len({len(getattr(cell.curve, column.name)) for column in fields(Curve)}) != 1:
        raise ValueError(f"{where}: the columns of its curve differ in length")
    return cell


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{str(value)[:40]!r} is not a list")
    return value


def _tuple(value: Any, entry: Callable[[Any], Any]) -> tuple[Any, ...]:
    return tuple(entry(one) for one in _list(value))


def _number(value: Any) -> float:
    return Fields({"": value}, "a list").number("")


def _number_or_none(value: Any) -> float | None:
    return Fields({"": value}, "a list").number_or_none("")


def _integer(value: Any) -> int:
    return Fields({"": value}, "a list").integer("")
