"""One cell from its first step to its record: train, compact, prove, evaluate.

A cell's folder holds ``run`` (the training run) and, once everything is done, ``cell.json``, which
is written last: a cell without it is not finished, whatever else is there.
"""

import hashlib
import itertools
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dspctl.benchmarks.record.machine import describe_machine
from dspctl.benchmarks.study.plan import Cell
from dspctl.benchmarks.study.record import CURVE_POINTS, CellResult, Curve, cell_from_json
from dspctl.errors import PolicyProblem, ResultProblem, RunIncomplete, RunNotFound, RunProblem
from dspctl.runtime.files import write_json
from dspctl.runtime.strict_json import fields_from_json
from dspctl.runtime.untrusted import read_bytes

if TYPE_CHECKING:
    from dspctl.runtime import Policy
    from dspctl.trainer import Run

RECORD, RUN = "cell.json", "run"
_LARGEST_BYTES = 1 << 24
OnSteps = Callable[[int, int, str], None]
"""Called with steps taken, steps in all, and the phase."""
_PASSING = ("measured_at", "load_average", "threads")
"""What two records of one machine differ in; how many threads there were is a cell's setting."""


@dataclass(frozen=True)
class Finished:
    """What a finished cell leaves in its ``cell.json``.

    Attributes:
        result: the cell's record.
        machine: the record of the machine that trained it.
    """

    result: CellResult
    machine: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"cell": self.result.to_json(), "machine": self.machine}


class _Stopped(Exception):
    """Asked to stop during the evaluation; the trained run stays."""


def run_cell(
    cell: Cell,
    folder: Path,
    teacher: Path | None,
    *,
    on_steps: OnSteps | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Finished | None:
    """Run a cell in *folder*, going on where an earlier process was cut off.

    Args:
        cell: what to run.
        folder: the cell's own.
        teacher: a run folder or policy file, for a cell that learns from one.
        on_steps: called after every training iteration and every evaluation episode.
        should_stop: asked as often; True leaves a checkpoint.

    Returns:
        The record, which lies in the folder then; None if it was stopped.

    Raises:
        NotEquivalent: the compact policy is not the masked one.
        DspctlError: the training, the environment or the disk failed.
    """
    from dspctl.compactor import compact
    from dspctl.trainer import evaluate

    stopped = should_stop or (lambda: False)
    run = _trained(cell, folder / RUN, teacher, on_steps, stopped)
    if run is None:
        return None
    compaction = compact(run.policy(), observations=run.observations())
    steps = int(run.info["steps"])

    def report(done: int, total: int) -> None:
        if stopped():
            raise _Stopped
        if on_steps is not None:
            on_steps(steps, steps, f"episode {done} of {total}")

    try:
        evaluation = evaluate(
            compaction.policy.act,
            cell.config.environment,
            episodes=cell.episodes,
            on_progress=report,
        )
    except _Stopped:
        return None
    machine = {
        name: value for name, value in describe_machine().to_json().items() if name not in _PASSING
    }
    text = json.dumps(machine, sort_keys=True)
    unpruned = layers_of_unpruned(cell, run.policy())
    result = CellResult(
        key=cell.key,
        environment=cell.config.environment,
        method=cell.config.method,
        variant=cell.variant,
        sparsity=cell.sparsity,
        penalty=cell.penalty,
        seed=cell.config.seed,
        settings=cell.settings,
        returns=evaluation.returns,
        units=compaction.after.units,
        original_units=cell.config.hidden,
        weights=compaction.after.weights,
        nonzero_weights=sum(
            int(np.count_nonzero(layer.weight)) for layer in compaction.policy.layers
        ),
        original_weights=sum(inputs * width for inputs, width in unpruned),
        flops=compaction.after.flops,
        original_flops=sum((2 * inputs - 1) * width for inputs, width in unpruned),
        steps=steps,
        seconds=float(run.info["seconds"]),
        teacher=cell.teacher,
        curve=curve_of(run.metrics()),
        machine=hashlib.sha256(text.encode()).hexdigest()[:12],
    )
    finished = Finished(result, machine)
    write_json(folder / RECORD, finished.to_json())
    return finished


def read_cell(
    path: Path, *, advice: str = "remove it, and the same command makes it again"
) -> Finished:
    """Read a ``cell.json``.

    Args:
        path: the file.
        advice: what the message says to do about one that cannot be read.

    Raises:
        ResultProblem: it is not one, or of another schema.
    """
    try:
        entries = fields_from_json(read_bytes(path, _LARGEST_BYTES, links=False), path.name)
        found = Finished(cell_from_json(entries.take("cell"), "'cell'"), entries.entries("machine"))
        entries.finish()
    except (OSError, ValueError) as error:
        raise ResultProblem(f"{path} is not the record of a cell ({error}): {advice}") from error
    return found


def finished_run(path: Path) -> bool:
    """Whether a whole training run lies there, one that others can learn from."""
    run = _resumable(path)
    return run is not None and run.finished


def layers_of_unpruned(cell: Cell, policy: "Policy") -> list[tuple[int, int]]:
    """Inputs and width of each layer that the cell's actor has without any pruning.

    Not what it starts with, which methods and settings may make smaller: all methods are counted
    against the same network.
    """
    widths = (policy.observation.size, *cell.config.hidden, policy.layers[-1].width)
    return list(itertools.pairwise(widths))


def curve_of(rows: Sequence[dict[str, Any]]) -> Curve:
    """The curve of a run from its metrics, thinned evenly; the first and last row stay."""
    if len(rows) > CURVE_POINTS:
        kept = np.linspace(0, len(rows) - 1, CURVE_POINTS).round().astype(int)
        rows = [rows[index] for index in kept]
    return Curve(
        steps=tuple(row["steps"] for row in rows),
        returns=tuple(row.get("episode_return") for row in rows),
        units=tuple(tuple(row["units"]) for row in rows),
        thresholds=tuple(row.get("threshold") for row in rows),
    )


def _trained(
    cell: Cell,
    path: Path,
    teacher: Path | None,
    on_steps: OnSteps | None,
    stopped: Callable[[], bool],
) -> "Run | None":
    """The finished run; None if it was stopped."""
    from dspctl.trainer import Progress, load_run, train

    config = cell.config if teacher is None else replace(cell.config, teacher=str(teacher))

    def report(progress: Progress) -> None:
        if on_steps is not None:
            on_steps(progress.steps, progress.total_steps, progress.phase)

    resume = _resumable(path)
    if resume is not None and resume.finished:
        return resume
    if resume is not None:
        try:
            done = train(
                config, path, resume=True, on_progress=report, should_stop=stopped
            ).finished
            return load_run(path) if done else None
        except (RunIncomplete, RunNotFound):
            pass  # a part of it was cut off: it starts again
    shutil.rmtree(path, ignore_errors=True)
    done = train(config, path, on_progress=report, should_stop=stopped).finished
    return load_run(path) if done else None


def _resumable(path: Path) -> "Run | None":
    """The run there, if it can be gone on with or is finished; damaged ones start again."""
    from dspctl.trainer import load_run
    from dspctl.trainer.environments import describe
    from dspctl.trainer.runs.checkpoint import RunFolder

    try:
        run = load_run(path)
        if run.finished:
            run.observations()
        elif not (path / "stages").is_dir():  # a run of stages has its checkpoints there
            RunFolder.reopen(path, {}).load_state(describe(run.config.environment))
    except (RunProblem, PolicyProblem):
        return None
    return run
