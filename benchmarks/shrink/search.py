"""The search: trains candidates side by side until the smallest that keeps enough is found."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from dspctl.benchmarks.shrink._candidate import POLICY, Job, network_of
from dspctl.benchmarks.shrink.ladder import (
    Candidate,
    Tried,
    attempts,
    next_size,
    smallest_passed,
)
from dspctl.benchmarks.shrink.pool import Pool
from dspctl.benchmarks.shrink.record import (
    FILE,
    Confirmation,
    Goal,
    Point,
    ShrinkResult,
    load_shrink,
    save_shrink,
    with_point,
)
from dspctl.errors import NothingKept, OutputExists
from dspctl.runtime import Policy, load_policy
from dspctl.runtime.files import write_bytes
from dspctl.runtime.policy.file import bytes_from_policy
from dspctl.trainer import evaluate, recipe
from dspctl.trainer.distillation import open_teacher
from dspctl.trainer.environments import describe
from dspctl.trainer.selection import play_once

EPISODES = 100
FIRST_SIZE = 18
"""Where the search begins: 93% of two layers of 128 are gone, which a student usually survives."""
_POLL_S = 0.2


@dataclass(frozen=True)
class Options:
    """How to search.

    Attributes:
        budget_s: longest time for training candidates; the last ones are stopped.
        jobs: candidates trained side by side; 0 takes one per processor.
        tries: most attempts at one size.
        first: hidden units to begin with; 0 takes `FIRST_SIZE`.
        steps: environment steps of a candidate; 0 takes the recipe's.
    """

    budget_s: float = 1800.0
    jobs: int = 0
    tries: int = 4
    first: int = 0
    steps: int = 0


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


def shrink(
    source: Path,
    folder: Path,
    goal: Goal,
    options: Options | None = None,
    *,
    environment: str | None = None,
    on_progress: Callable[[SearchProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
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
        OutputExists: *folder* holds something else.
        NothingKept: no network that was tried keeps the share; the best one is in the folder.
        TeacherMismatch: *source* was trained for another environment.
        TrainingFailed: a candidate's process failed.
    """
    search = _Search(source, folder, goal, options or Options(), environment)
    finished = search.run(on_progress, should_stop)
    return search.conclude() if finished else search.result


class _Search:
    """A search in progress."""

    def __init__(
        self,
        source: Path,
        folder: Path,
        goal: Goal,
        options: Options,
        environment: str | None,
    ) -> None:
        self.folder, self.options = folder, options
        policy = _policy_of(source)
        self.task = describe(environment or policy.environment)
        self.teacher = open_teacher(source, self.task)
        self.result = self._begun(source, goal)

    def _begun(self, source: Path, goal: Goal) -> ShrinkResult:
        """The search in the folder, or a new one."""
        known = self._known()
        if known is not None:
            return replace(known, goal=goal, status="partial", chosen="", confirmation=None)
        returns = play_once(self.teacher.policy, self.task, recipe(self.task.environment), EPISODES)
        result = ShrinkResult(
            environment=self.task.environment,
            source=str(source.resolve()),
            sha256=self.teacher.sha256,
            teacher=network_of(self.teacher.policy, returns.tolist()),
            goal=goal,
        )
        save_shrink(result, self.folder)
        return result

    def _known(self) -> ShrinkResult | None:
        if not self.folder.exists() or not any(self.folder.iterdir()):
            return None
        if not (self.folder / FILE).is_file():
            raise OutputExists(f"{self.folder} holds something else: name another folder with -o")
        found = load_shrink(self.folder)
        if found.sha256 != self.teacher.sha256 or found.environment != self.task.environment:
            raise OutputExists(
                f"{self.folder} holds the search for another teacher, {found.source}: name another "
                "folder with -o"
            )
        return found

    # --- what was tried ---------------------------------------------------------------------

    def passed(self, point: Point) -> bool:
        """Whether a point keeps enough on the trial episodes."""
        return self.result.kept(point).low >= self.result.goal.keep

    def tried(self) -> list[Tried]:
        """Every point in the ladder's terms."""
        return [
            Tried(
                size=point.network.size,
                asked=point.candidate.size,
                name=point.candidate.name,
                passed=self.passed(point),
            )
            for point in self.result.points
        ]

    def candidates(self, size: int) -> list[Candidate]:
        """The attempts at a size."""
        best = smallest_passed(self.tried())
        layers = None
        if best is not None and best.size > size:
            point = self.result.point(best.name)
            layers = point.network.units if point is not None else None
        kinds = {layer.activation for layer in self.teacher.policy.layers[:-1]}
        activation = next(iter(kinds), "tanh")
        return attempts(size, layers, activation)[: self.options.tries]

    def failed(self) -> set[int]:
        """Sizes all of whose attempts failed."""
        tried = self.tried()
        passed = {one.asked for one in tried if one.passed}
        count: dict[int, int] = {}
        for one in tried:
            count[one.asked] = count.get(one.asked, 0) + 1
        return {
            size
            for size, times in count.items()
            if size not in passed and times >= min(self.options.tries, len(self.candidates(size)))
        }

    # --- searching --------------------------------------------------------------------------

    def run(
        self,
        on_progress: Callable[[SearchProgress], None] | None,
        should_stop: Callable[[], bool] | None,
    ) -> bool:
        """Train until the gap is closed or the time is over; False when asked to stop."""
        before, began = self.result.seconds, time.monotonic()
        jobs = self.options.jobs or os.cpu_count() or 1
        with Pool(self.folder / "candidates") as pool:
            while True:
                for point in pool.finished():
                    self._keep(point, before + time.monotonic() - began)
                    self._report(pool, on_progress, point)
                if should_stop is not None and should_stop():
                    return False
                seconds = before + time.monotonic() - began
                self.result = replace(self.result, seconds=seconds)
                size = next_size(
                    self.tried(),
                    self.failed(),
                    self.options.first or FIRST_SIZE,
                    self.result.teacher.size,
                )
                if size is None or seconds >= self.options.budget_s:
                    return True
                pool.stop(self._moot(pool, size))
                while len(pool.running) < jobs:
                    candidate = self._next(pool, size)
                    if candidate is None:
                        break
                    pool.start(self._job(candidate))
                self._report(pool, on_progress, None)
                time.sleep(_POLL_S)

    def _keep(self, point: Point, seconds: float) -> None:
        self.result = replace(with_point(self.result, point), seconds=seconds)
        save_shrink(self.result, self.folder)

    def _moot(self, pool: Pool, size: int) -> set[str]:
        """Running candidates that can no longer be the answer."""
        best = smallest_passed(self.tried())
        return {one.name for one in pool.running if best is not None and one.size >= best.size}

    def _next(self, pool: Pool, size: int) -> Candidate | None:
        """The next attempt at *size* that neither runs nor has ended."""
        busy = {one.name for one in pool.running} | {
            one.candidate.name for one in self.result.points
        }
        return next((one for one in self.candidates(size) if one.name not in busy), None)

    def _job(self, candidate: Candidate) -> Job:
        start = ""
        if candidate.start == "pruned" and (best := smallest_passed(self.tried())) is not None:
            start = str(self._policy_file(best.name).resolve())
        return Job(
            environment=self.task.environment,
            teacher=self.result.source,
            candidate=candidate,
            start=start,
            hidden=self.result.teacher.units,
            steps=self.options.steps,
            episodes=EPISODES,
        )

    def _policy_file(self, name: str) -> Path:
        return self.folder / "candidates" / name / POLICY

    def _report(
        self, pool: Pool, on_progress: Callable[[SearchProgress], None] | None, point: Point | None
    ) -> None:
        if on_progress is None:
            return
        best = smallest_passed(self.tried())
        on_progress(
            SearchProgress(
                self.result.seconds,
                self.options.budget_s,
                tuple(one.name for one in pool.running),
                point,
                None if best is None else best.size,
            )
        )

    # --- deciding ---------------------------------------------------------------------------

    def conclude(self) -> ShrinkResult:
        """Confirm the smallest on other episodes, going up where one fails; deliver it."""
        passed = sorted(
            (point for point in self.result.points if self.passed(point)),
            key=lambda one: (one.network.size, one.network.weights),
        )
        teacher = evaluate(self.teacher.policy.act, self.task.environment, episodes=EPISODES)
        for point in passed:
            policy = load_policy(self._policy_file(point.candidate.name))
            student = evaluate(policy.act, self.task.environment, episodes=EPISODES)
            found = Confirmation(student.returns, teacher.returns)
            if found.kept().share >= self.result.goal.keep:
                return self._deliver(point, policy, found)
        best = max(self.result.points, key=lambda one: one.network.mean, default=None)
        save_shrink(replace(self.result, status="complete"), self.folder)
        raise NothingKept(self._why_nothing(best))

    def _deliver(self, point: Point, policy: Policy, found: Confirmation) -> ShrinkResult:
        write_bytes(self.folder / POLICY, bytes_from_policy(policy))
        self.result = replace(
            self.result, chosen=point.candidate.name, confirmation=found, status="complete"
        )
        save_shrink(self.result, self.folder)
        return self.result

    def _why_nothing(self, best: Point | None) -> str:
        keep = f"{self.result.goal.keep:.0%}"
        if best is None:
            return (
                f"no network was trained in {self.options.budget_s / 60:.0f} minutes: give it more "
                "with --budget-minutes"
            )
        kept = self.result.kept(best)
        return (
            f"no network of {len(self.result.points)} was shown to keep {keep} of the teacher's "
            f"return: the best has {best.network.size} hidden units and keeps {kept.share:.1%} (at "
            f"least {kept.low:.1%}), {self._policy_file(best.candidate.name)}; lower --keep, or "
            "repeat the command with a longer --budget-minutes"
        )


def _policy_of(source: Path) -> Policy:
    from dspctl.trainer import load_run

    return load_run(source).policy() if source.is_dir() else load_policy(source)
