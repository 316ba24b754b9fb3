"""What a study tells while it runs, and what it leaves."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dspctl.benchmarks.study.record import CellResult, StudyResults


@dataclass(frozen=True)
class Failure:
    """A cell that could not be finished.

    Attributes:
        key: the cell's.
        title: the cell in words.
        reason: a sentence.
    """

    key: str
    title: str
    reason: str


@dataclass(frozen=True)
class Running:
    """A cell at work.

    Attributes:
        title: the cell in words.
        steps: training steps so far; 0 before the first report.
        total: steps in all.
        phase: what it is doing.
    """

    title: str
    steps: int
    total: int
    phase: str


@dataclass(frozen=True)
class Overview:
    """How far a study is.

    Attributes:
        done: cells finished, those of earlier calls included.
        total: cells in all.
        failed: cells given up.
        steps_done: training steps that this call has made.
        steps_left: training steps of unfinished cells.
        running: the cells at work.
    """

    done: int
    total: int
    failed: int
    steps_done: int
    steps_left: int
    running: tuple[Running, ...]


@dataclass(frozen=True)
class Outcome:
    """What a call of `run_study` leaves.

    Attributes:
        folder: the study's.
        results: every finished cell.
        ran: keys of the cells that this call finished, in that order.
        failures: cells given up.
        stopped: True if it was asked to stop before the end.
        reused: keys of the cells that this call took over from other studies.
    """

    folder: Path
    results: StudyResults
    ran: tuple[str, ...]
    failures: tuple[Failure, ...]
    stopped: bool
    reused: tuple[str, ...] = ()


@dataclass(frozen=True)
class Watcher:
    """Who is told what happens.

    Attributes:
        on_overview: about every half second, and whenever a cell starts or ends.
        on_result: once for every cell that is finished now.
        on_failure: once for every cell that is given up.
        on_note: a sentence about something that needs no action.
    """

    on_overview: Callable[[Overview], None] = lambda overview: None
    on_result: Callable[[CellResult], None] = lambda result: None
    on_failure: Callable[[Failure], None] = lambda failure: None
    on_note: Callable[[str], None] = lambda sentence: None


@dataclass(frozen=True)
class Best:
    """What a search found for one method in one environment.

    Attributes:
        environment: gymnasium id.
        method: pruning method.
        penalty: lambda; None for a method without a regulariser.
        sparsity: share of units to remove.
        mean: mean return over the seeds.
        trials: combinations tried.
    """

    environment: str
    method: str
    penalty: float | None
    sparsity: float | None
    mean: float
    trials: int
