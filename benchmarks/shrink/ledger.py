"""What a search knows, has tried, and will try next; all of it is in the search's folder."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from dspctl.benchmarks.shrink._candidate import POLICY, RUN, Job, network_of
from dspctl.benchmarks.shrink.inputs import ranked_inputs
from dspctl.benchmarks.shrink.ladder import (
    Candidate,
    Passed,
    Tried,
    attempts,
    narrower,
    next_size,
    smallest_passed,
)
from dspctl.benchmarks.shrink.limits import largest_within
from dspctl.benchmarks.shrink.options import EPISODES, FIRST_SIZE, Options
from dspctl.benchmarks.shrink.record import (
    FILE,
    Goal,
    Point,
    ShrinkResult,
    load_shrink,
    save_shrink,
    with_point,
)
from dspctl.errors import OutputExists, RunProblem
from dspctl.runtime import load_policy
from dspctl.runtime.locks import LOCK
from dspctl.trainer import load_run, recipe
from dspctl.trainer.distillation import Teacher
from dspctl.trainer.environments import Task
from dspctl.trainer.selection import play_once


def check_room(folder: Path) -> None:
    """Refuse a folder that holds something else than a search.

    Raises:
        OutputExists: it does.
    """
    if (folder / FILE).is_file() or not folder.exists():
        return
    if not folder.is_dir():
        raise OutputExists(f"{folder} is a file: name a folder with -o")
    if any(each.name != LOCK for each in folder.iterdir()):
        raise OutputExists(f"{folder} holds something else: name another folder with -o")


class Ledger:
    """A search in its folder, begun or gone on with; nobody else may write there.

    Raises:
        OutputExists: the folder holds something else, or the search for another teacher.
        NothingKept: a cost is the goal, and no network stays within it.
    """

    def __init__(
        self, task: Task, teacher: Teacher, source: Path, folder: Path, goal: Goal, options: Options
    ) -> None:
        check_room(folder)
        self.task, self.teacher, self.folder, self.options = task, teacher, folder, options
        self.result = self._begun(source, goal)
        self.limit = largest_within(goal, self.teacher.policy) if goal.limited else None
        self.broken: dict[str, Candidate] = {}  # could not be trained; tried again by another call
        self._low: dict[str, float] = {}  # share that a candidate keeps at least: slow to find out
        self._ranked: dict[str, tuple[int, ...]] = {}  # features that a candidate's policy reads

    def _begun(self, source: Path, goal: Goal) -> ShrinkResult:
        """The search in the folder, or a new one."""
        known = self._known()
        if known is not None:
            if known.goal != goal:  # what was delivered for another goal does not answer this one
                (self.folder / POLICY).unlink(missing_ok=True)
            return replace(
                known,
                source=str(source.resolve()),  # the same policy, which may have moved
                goal=goal,
                status="partial",
                chosen="",
                confirmation=None,
                exhausted=False,
            )
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
        if not (self.folder / FILE).is_file():
            return None
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
        """Every candidate that has ended in the ladder's terms, but those that leave out inputs."""
        broken = [
            Tried(size=one.size, asked=one.size, name=one.name, passed=False)
            for one in self.broken.values()
            if not one.without
        ]
        ended = [
            Tried(
                size=point.network.size,
                asked=point.candidate.size,
                name=point.candidate.name,
                passed=self.passed(point),
            )
            for point in self.result.points
            if not point.candidate.without and self.ended(point)
        ]
        return [*ended, *broken]

    def candidates(self, size: int) -> list[Candidate]:
        """The attempts at a size."""
        best = smallest_passed(self.tried())
        larger = None
        if best is not None and best.size > size and (point := self.result.point(best.name)):
            larger = Passed(point.network.units, point.candidate.activation)
        kinds = {layer.activation for layer in self.teacher.policy.layers[:-1]}
        activation = next(iter(kinds), "tanh")
        return attempts(size, larger, activation)[: self.options.tries]

    def beyond(self) -> list[Candidate]:
        """What is tried once the gap between sizes is closed."""
        alone = self.alone()
        return alone if self.untried(alone) else self.narrower()

    def alone(self) -> list[Candidate]:
        """Linear policies without a teacher; none where a cost is the goal or one has passed."""
        best = smallest_passed(self.tried())
        if self.limit is not None or (best is not None and best.size == 0):
            return []
        return [one for one in self.candidates(0) if one.start == "rewards"]

    def narrower(self) -> list[Candidate]:
        """The attempts at the best network with one input less; none where a cost is the goal."""
        best = None if self.limit is not None else next(iter(self.choices()), None)
        if best is None:
            return []
        ranked = self._reads(best.candidate.name)
        # What fails with the teacher may pass without it.
        alone = best.candidate.start == "rewards"
        failed = [
            frozenset(point.candidate.without)
            for point in self.result.points
            if point.candidate.without
            and (point.candidate.start == "rewards") == alone
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
            policy, path = load_policy(self.policy_file(name)), self.policy_file(name)
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

    def untried(self, candidates: list[Candidate]) -> list[Candidate]:
        """Those that have not ended."""
        tried = {one.candidate.name for one in self.result.points if self.ended(one)}
        return [one for one in candidates if one.name not in {*tried, *self.broken}]

    def choices(self) -> list[Point]:
        """The points that may be delivered, the first choice first."""
        if self.limit is not None:
            return sorted(self.result.points, key=lambda one: -one.network.mean)
        passed = [point for point in self.result.points if self.passed(point)]
        return sorted(passed, key=lambda one: (one.network.size, one.network.weights))

    # --- what comes next --------------------------------------------------------------------

    def size(self) -> int | None:
        """The size to work at; None when there is nothing left to try."""
        if self.limit is None:
            first, largest = self.options.first or FIRST_SIZE, self.result.teacher.size
            return next_size(self.tried(), self.failed(), first, largest)
        return self.limit if self.untried(self.candidates(self.limit)) else None

    def job(self, candidate: Candidate) -> Job:
        """What the process is asked that trains a candidate."""
        start = ""
        if candidate.start == "pruned" and (best := smallest_passed(self.tried())) is not None:
            start = str(self.policy_file(best.name).resolve())
        if candidate.without:
            start = str(self.policy_file(self.choices()[0].candidate.name).resolve())
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

    def policy_file(self, name: str) -> Path:
        """The policy of a candidate."""
        return self.folder / "candidates" / name / POLICY

    def keep(self, point: Point, seconds: float) -> None:
        """Take a network that was trained into the file."""
        self._low.pop(point.candidate.name, None)
        self._ranked.pop(point.candidate.name, None)
        self.result = with_point(self.result, point)
        self.save(seconds)

    def save(self, seconds: float) -> None:
        """Write the file, with the time that the search has had."""
        self.result = replace(self.result, seconds=seconds)
        save_shrink(self.result, self.folder)
