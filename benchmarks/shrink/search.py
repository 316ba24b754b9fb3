"""The search: trains candidates side by side until the smallest that keeps enough is found."""

import os
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dspctl.benchmarks.comparison.sweep import with_random_weights
from dspctl.benchmarks.shrink._candidate import POLICY, RUN, Job, network_of
from dspctl.benchmarks.shrink.costs import CPU, measure_costs
from dspctl.benchmarks.shrink.inputs import ranked_inputs
from dspctl.benchmarks.shrink.ladder import (
    Candidate,
    Tried,
    attempts,
    divisions,
    narrower,
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
from dspctl.errors import NothingKept, OutputExists, RunProblem
from dspctl.runtime import Policy, load_policy, save_policy
from dspctl.trainer import evaluate, load_run, recipe
from dspctl.trainer.distillation import open_teacher, policy_of
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
        tries: most attempts at one size, and at leaving out one more input.
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
        self.task = describe(environment or policy_of(source).environment)
        self.teacher = open_teacher(source, self.task)
        self.result = self._begun(source, goal)
        self.limit = self.largest_within() if goal.limited else None
        self._low: dict[str, float] = {}  # share that a candidate keeps at least: slow to find out
        self._ranked: dict[str, tuple[int, ...]] = {}  # features that a candidate's policy reads

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
        """Whether a point keeps enough on the trial episodes; never where a cost is the goal."""
        if self.limit is not None:
            return False
        name = point.candidate.name
        if name not in self._low:
            self._low[name] = self.result.kept(point).low
        return self._low[name] >= self.result.goal.keep

    def ended(self, point: Point) -> bool:
        """Whether more training cannot change what a point says of its size."""
        return point.complete or self.passed(point)

    def tried(self) -> list[Tried]:
        """Every point that has ended in the ladder's terms, but those that leave out inputs."""
        return [
            Tried(
                size=point.network.size,
                asked=point.candidate.size,
                name=point.candidate.name,
                passed=self.passed(point),
            )
            for point in self.result.points
            if point.candidate.start != "narrowed" and self.ended(point)
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

    def narrower(self) -> list[Candidate]:
        """The attempts at the best network with one input less; none where a cost is the goal."""
        best = None if self.limit is not None else next(iter(self._choices()), None)
        if best is None:
            return []
        ranked = self._reads(best.candidate.name)
        failed = [
            frozenset(point.candidate.without)
            for point in self.result.points
            if point.candidate.start == "narrowed"
            and point.candidate.size >= best.network.size
            and self.ended(point)
            and not self.passed(point)
        ]
        unread = set(range(self.task.observation.size)) - set(ranked)
        found = narrower(best.candidate, best.network.units, ranked, unread, failed)
        return found[: self.options.tries]

    def _reads(self, name: str) -> tuple[int, ...]:
        """Features that a candidate's policy reads, the least important first."""
        if name not in self._ranked:
            policy, path = load_policy(self._policy_file(name)), self._policy_file(name)
            try:
                observations = load_run(path.with_name(RUN)).observations()
            except RunProblem:  # removed by hand to save space
                observations = np.empty((0, policy.observation.size), np.float32)
            self._ranked[name] = ranked_inputs(policy, observations)
        return self._ranked[name]

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
        """Train until nothing is left to try or the time is over; False when asked to stop."""
        before, began = self.result.seconds, time.monotonic()
        jobs = self.options.jobs or os.cpu_count() or 1
        with closing(Pool(self.folder / "candidates")) as pool:
            while True:
                for point in pool.finished():
                    self._keep(point, before + time.monotonic() - began)
                    self._report(pool, on_progress, point)
                if should_stop is not None and should_stop():
                    return False
                seconds = before + time.monotonic() - began
                self.result = replace(self.result, seconds=seconds)
                size = self._size()
                # Units come first: inputs are left out of the network that has the fewest.
                attempts = self.narrower() if size is None else self.candidates(size)
                over = size is None and self._untried(attempts) == []
                if over or seconds >= self.options.budget_s:
                    return True
                pool.stop(self._moot(pool, attempts, narrowing=size is None))
                while len(pool.running) < jobs:
                    candidate = self._next(pool, attempts)
                    if candidate is None:
                        break
                    pool.start(self._job(candidate))
                self._report(pool, on_progress, None)
                time.sleep(_POLL_S)

    def _size(self) -> int | None:
        """The size to work at; None when there is nothing left to try."""
        if self.limit is None:
            first = self.options.first or FIRST_SIZE
            largest = max(first, self.result.teacher.size)
            return next_size(self.tried(), self.failed(), first, largest)
        return self.limit if self._untried(self.candidates(self.limit)) else None

    def _keep(self, point: Point, seconds: float) -> None:
        self._low.pop(point.candidate.name, None)
        self._ranked.pop(point.candidate.name, None)
        self.result = replace(with_point(self.result, point), seconds=seconds)
        save_shrink(self.result, self.folder)

    def _untried(self, candidates: list[Candidate]) -> list[Candidate]:
        """Those that have not ended."""
        tried = {one.candidate.name for one in self.result.points if self.ended(one)}
        return [one for one in candidates if one.name not in tried]

    def _moot(self, pool: Pool, attempts: list[Candidate], *, narrowing: bool) -> set[str]:
        """Running candidates that can no longer be the answer."""
        if narrowing:  # from a network that is no longer the best, or for its units
            return {one.name for one in pool.running} - {one.name for one in attempts}
        best = smallest_passed(self.tried())
        return {one.name for one in pool.running if best is not None and one.size >= best.size}

    def _next(self, pool: Pool, attempts: list[Candidate]) -> Candidate | None:
        """The next attempt that neither runs nor has ended."""
        busy = {one.name for one in pool.running}
        return next((one for one in self._untried(attempts) if one.name not in busy), None)

    def _job(self, candidate: Candidate) -> Job:
        start = ""
        if candidate.start == "pruned" and (best := smallest_passed(self.tried())) is not None:
            start = str(self._policy_file(best.name).resolve())
        if candidate.start == "narrowed":
            start = str(self._policy_file(self._choices()[0].candidate.name).resolve())
        return Job(
            environment=self.task.environment,
            teacher=self.result.source,
            candidate=candidate,
            start=start,
            hidden=self.result.teacher.units,
            steps=self.options.steps,
            # Where a cost is the goal, every network is to earn as much as it can.
            keep=0.0 if self.limit is not None else self.result.goal.keep,
            returns=self.result.teacher.returns,
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

    # --- a cost as the goal -----------------------------------------------------------------

    def largest_within(self) -> int:
        """Most hidden units whose code stays within the goal's limits; cost grows with size.

        Raises:
            NothingKept: not even a network without hidden units does.
        """
        low, high = 0, self.result.teacher.size
        if not self._fits(low):
            raise NothingKept(
                f"even a linear policy is beyond {self._limits()} on {self.result.goal.target}: "
                "raise the limit"
            )
        while low < high:
            middle = -(-(low + high) // 2)
            low, high = (middle, high) if self._fits(middle) else (low, middle - 1)
        return low

    def _fits(self, size: int) -> bool:
        return self.within(with_random_weights(self.teacher.policy, divisions(size)[0]))

    def within(self, policy: Policy) -> bool:
        """Whether a policy's code stays within the goal's limits."""
        goal = self.result.goal
        costs = measure_costs({"network": policy}, goal.target)["network"]
        if goal.max_flash_bytes is not None and costs.flash_bytes > goal.max_flash_bytes:
            return False
        if goal.max_latency_ns is None:
            return True
        return costs.latency_ns is not None and costs.latency_ns <= goal.max_latency_ns

    # --- deciding ---------------------------------------------------------------------------

    def conclude(self) -> ShrinkResult:
        """Confirm the choice on other episodes, taking the next where one fails; deliver it."""
        teacher = evaluate(self.teacher.policy.act, self.task.environment, episodes=EPISODES)
        for point in self._choices():
            policy = load_policy(self._policy_file(point.candidate.name), links=False)
            if self.limit is not None and not self.within(policy):
                continue
            student = evaluate(policy.act, self.task.environment, episodes=EPISODES)
            found = Confirmation(student.returns, teacher.returns)
            if self.limit is not None or found.kept().share >= self.result.goal.keep:
                return self._deliver(point, policy, found)
        best = max(self.result.points, key=lambda one: one.network.mean, default=None)
        save_shrink(replace(self.result, status="complete"), self.folder)
        raise NothingKept(self._why_nothing(best))

    def _choices(self) -> list[Point]:
        """The points that may be delivered, the first choice first."""
        if self.limit is not None:
            return sorted(self.result.points, key=lambda one: -one.network.mean)
        passed = [point for point in self.result.points if self.passed(point)]
        return sorted(passed, key=lambda one: (one.network.size, one.network.weights))

    def _limits(self) -> str:
        goal = self.result.goal
        parts = []
        if goal.max_latency_ns is not None:
            parts.append(f"{goal.max_latency_ns:g} ns")
        if goal.max_flash_bytes is not None:
            parts.append(f"{goal.max_flash_bytes:,} B of flash")
        return " and ".join(parts)

    def _deliver(self, point: Point, policy: Policy, found: Confirmation) -> ShrinkResult:
        save_policy(policy, self.folder / POLICY, force=True)
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
        if self.limit is not None:
            return (
                f"no network that was trained stays within {self._limits()}: all of them are in "
                f"{self.folder}; raise the limit"
            )
        kept = self.result.kept(best)
        return (
            f"no network of {len(self.result.points)} was shown to keep {keep} of the teacher's "
            f"return: the best has {best.network.size} hidden units and keeps {kept.share:.1%} (at "
            f"least {kept.low:.1%}), {self._policy_file(best.candidate.name)}; lower --keep, or "
            "repeat the command with a longer --budget-minutes"
        )


def with_costs(folder: Path, target: str = CPU) -> ShrinkResult:
    """Measure what the frontier's networks and the chosen one cost, and write it into the file.

    Raises:
        ResultProblem: there is no search in *folder*.
        NativeBuildProblem, UnknownTarget, MissingExtra: there is no compiler for *target*.
    """
    result = load_shrink(folder)
    names = [point.candidate.name for point in result.frontier()]
    if result.chosen and result.chosen not in names:
        names.append(result.chosen)
    costs = measure_costs(
        {name: load_policy(folder / "candidates" / name / POLICY, links=False) for name in names},
        target,
    )
    points = tuple(
        replace(
            point,
            latency_ns=costs[point.candidate.name].latency_ns,
            flash_bytes=costs[point.candidate.name].flash_bytes,
        )
        if point.candidate.name in costs
        else point
        for point in result.points
    )
    result = replace(result, points=points)
    save_shrink(result, folder)
    return result
