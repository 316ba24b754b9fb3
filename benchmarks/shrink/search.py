"""The search: trains candidates side by side until the smallest that keeps enough is found."""

import logging
import os
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from dspctl.benchmarks.shrink.check import check_teacher
from dspctl.benchmarks.shrink.deliver import conclude
from dspctl.benchmarks.shrink.ladder import Candidate, smallest_passed
from dspctl.benchmarks.shrink.ledger import Ledger, check_room
from dspctl.benchmarks.shrink.limits import check_goal
from dspctl.benchmarks.shrink.options import Options
from dspctl.benchmarks.shrink.pool import Failure, Pool
from dspctl.benchmarks.shrink.record import Goal, Point, ShrinkResult
from dspctl.errors import SearchLocked, TrainingFailed
from dspctl.runtime.locks import locked
from dspctl.trainer.distillation import open_teacher, policy_of
from dspctl.trainer.environments import describe

log = logging.getLogger(__name__)
_POLL_S = 0.2
_SAVE_S = 10.0
"""Training time that a search forgets at most when it is killed."""
_MOST_BROKEN = 3
_LOCK_S = 1.0
"""How long the folder's lock is waited for: a search that was killed may need a moment to end."""


@dataclass(frozen=True)
class SearchProgress:
    """Where a search is.

    Attributes:
        seconds: of training so far.
        budget_s: the most there will be.
        running: names of the candidates in training.
        point: the one that has just finished, if any.
        smallest: hidden units of the smallest that passed; None before there is one.
    """

    seconds: float
    budget_s: float
    running: tuple[str, ...]
    point: Point | None
    smallest: int | None


OnProgress = Callable[[SearchProgress], None]
ShouldStop = Callable[[], bool]


def shrink(
    source: Path,
    folder: Path,
    goal: Goal,
    options: Options | None = None,
    *,
    environment: str | None = None,
    on_progress: OnProgress | None = None,
    should_stop: ShouldStop | None = None,
) -> ShrinkResult:
    """Look for the smallest network that keeps ``goal.keep`` of the return of *source*.

    Every network that was trained stays in ``folder/candidates``; ``shrink.json`` is written after
    each. The same call goes on with a search that was stopped, and what was trained for one share
    counts for another.

    Args:
        source: the teacher: a run folder or a policy file.
        folder: the search's folder: new, empty, or of the same teacher.
        goal: what to look for.
        options: how.
        environment: gymnasium id, where it is another than the one the policy names.
        on_progress: called now and then.
        should_stop: asked now and then; True stops and leaves a search that can go on.

    Raises:
        ConfigProblem: the goal is a latency on another machine than this one, or a share of
            nothing.
        OutputExists: *folder* holds something else.
        SearchLocked: another process searches there.
        NothingKept: no network that was tried keeps the share; the best one is in the folder.
        TeacherMismatch: *source* was trained for another environment.
        TrainingFailed: the processes of several candidates failed.
    """
    check_goal(goal)
    task = describe(environment or policy_of(source).environment)
    teacher = open_teacher(source, task)
    check_room(folder)  # before there is a lock in it
    with locked(folder, SearchLocked, wait_s=_LOCK_S):
        ledger = Ledger(task, teacher, source, folder, goal, options or Options())
        if not goal.limited:
            check_teacher(ledger.result.teacher.returns)
        finished = _train(ledger, on_progress, should_stop)
        return conclude(ledger) if finished else ledger.result


def _train(ledger: Ledger, on_progress: OnProgress | None, should_stop: ShouldStop | None) -> bool:
    """Train until nothing is left to try or the time is over; False when asked to stop."""
    options, before, began = ledger.options, ledger.result.seconds, time.monotonic()
    jobs = options.jobs or os.cpu_count() or 1
    with closing(Pool(ledger.folder / "candidates")) as pool:
        while True:
            seconds = before + time.monotonic() - began
            for ended in pool.finished():
                if isinstance(ended, Failure):
                    _set_aside(ledger, ended)
                    continue
                ledger.keep(ended, seconds)
                _report(ledger, pool, on_progress, ended, seconds)
            stopped = should_stop is not None and should_stop()
            if stopped or seconds - ledger.result.seconds > _SAVE_S:
                ledger.save(seconds)
            if stopped:
                return False
            size = ledger.size()
            # Units come first: inputs are left out of the network that has the fewest.
            attempts = ledger.beyond() if size is None else ledger.candidates(size)
            exhausted = size is None and ledger.untried(attempts) == []
            if exhausted or seconds >= options.budget_s:
                ledger.result = replace(ledger.result, seconds=seconds, exhausted=exhausted)
                return True
            pool.stop(_moot(ledger, pool, attempts, closed=size is None))
            while len(pool.running) < jobs:
                candidate = _next(ledger, pool, attempts)
                if candidate is None:
                    break
                pool.start(ledger.job(candidate))
            _report(ledger, pool, on_progress, None, seconds)
            time.sleep(_POLL_S)


def _set_aside(ledger: Ledger, failure: Failure) -> None:
    """Go on without a candidate that could not be trained; it counts as an attempt that failed.

    Raises:
        TrainingFailed: it is not the first few: whatever it is, it will be the same for the others.
    """
    name = failure.candidate.name
    ledger.broken[name] = failure.candidate
    if len(ledger.broken) >= _MOST_BROKEN:
        raise TrainingFailed(
            f"training {' and '.join(ledger.broken)} failed, the last one with: {failure.reason}; "
            "mend that, then repeat the command"
        )
    log.warning("%s could not be trained and counts as failed: %s", name, failure.reason)


def _moot(ledger: Ledger, pool: Pool, attempts: list[Candidate], *, closed: bool) -> set[str]:
    """Running candidates that can no longer be the answer."""
    if closed:  # from a network that is no longer the best, or for its units
        return {one.name for one in pool.running} - {one.name for one in attempts}
    best = smallest_passed(ledger.tried())
    return {one.name for one in pool.running if best is not None and one.size >= best.size}


def _next(ledger: Ledger, pool: Pool, attempts: list[Candidate]) -> Candidate | None:
    """The next attempt that neither runs nor has ended."""
    busy = {one.name for one in pool.running}
    return next((one for one in ledger.untried(attempts) if one.name not in busy), None)


def _report(
    ledger: Ledger,
    pool: Pool,
    on_progress: OnProgress | None,
    point: Point | None,
    seconds: float,
) -> None:
    if on_progress is None:
        return
    best = smallest_passed(ledger.tried())
    on_progress(
        SearchProgress(
            seconds,
            ledger.options.budget_s,
            tuple(one.name for one in pool.running),
            point,
            None if best is None else best.size,
        )
    )
