"""What a search found: every network that was trained, in one JSON file that grows."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dspctl.benchmarks.record.decode import decode_record
from dspctl.benchmarks.record.plausible import LARGEST_RETURN
from dspctl.benchmarks.shrink.check import Kept, share_kept
from dspctl.benchmarks.shrink.ladder import Candidate
from dspctl.errors import ResultProblem
from dspctl.runtime.files import write_json
from dspctl.runtime.strict_json import value_from_json
from dspctl.runtime.untrusted import read_bytes

_LARGEST_BYTES = 1 << 24
_MOST_LAYERS = 16
_MOST_EPISODES = 10_000
SCHEMA = 1
FILE = "shrink.json"


@dataclass(frozen=True)
class Network:
    """Size of a network and what it earned.

    Attributes:
        units: hidden units per layer, after compaction.
        inputs: features of the observation that it reads.
        weights: entries of its weight matrices (DSP Eq 21).
        flops: of one forward pass (DSP Eq 23).
        returns: one per trial episode, on the seeds that all networks share.
    """

    units: tuple[int, ...]
    inputs: int
    weights: int
    flops: int
    returns: tuple[float, ...]

    @property
    def size(self) -> int:
        """Hidden units in all."""
        return sum(self.units)

    @property
    def mean(self) -> float:
        """Mean return."""
        return sum(self.returns) / len(self.returns)


@dataclass(frozen=True)
class Point:
    """A candidate that was trained.

    Attributes:
        candidate: what was asked for.
        network: what came out.
        seconds: its training.
        complete: False where training ended with the first trial that passed the search's test, and
            can go on.
        latency_ns: median call of its C code, where that was measured.
        flash_bytes: of its C code, where that was compiled.
    """

    candidate: Candidate
    network: Network
    seconds: float
    complete: bool = True
    latency_ns: float | None = None
    flash_bytes: int | None = None


@dataclass(frozen=True)
class Confirmation:
    """The chosen network on episodes that played no part in choosing it.

    Attributes:
        student: returns on the seeds of evaluation, in gymnasium.
        teacher: returns on the same.
    """

    student: tuple[float, ...]
    teacher: tuple[float, ...]

    def kept(self) -> Kept:
        """The share kept."""
        return share_kept(self.student, self.teacher)


@dataclass(frozen=True)
class Goal:
    """What to look for: the fewest units that keep a share, or the best return within limits.

    Attributes:
        keep: share of the teacher's return to keep; unused where a limit is given.
        max_latency_ns: longest median call of the C code on this machine.
        max_flash_bytes: most code and constants of the C code.
        target: the export target that the flash is counted for.
    """

    keep: float = 0.97
    max_latency_ns: float | None = None
    max_flash_bytes: int | None = None
    target: str = "cpu"

    @property
    def limited(self) -> bool:
        """Whether a cost is the goal, not a share."""
        return self.max_latency_ns is not None or self.max_flash_bytes is not None


@dataclass(frozen=True)
class ShrinkResult:
    """A search, complete or not.

    Attributes:
        environment: gymnasium id.
        source: the teacher, as it was named.
        sha256: of the teacher's numbers.
        teacher: its size and returns.
        goal: what was looked for.
        points: every network that was trained, in the order in which they were finished.
        chosen: name of the candidate that is delivered; empty while there is none.
        confirmation: of the chosen one.
        seconds: time spent, over all resumptions.
        status: ``partial`` or ``complete``.
        exhausted: whether nothing was left to try; False where the time was over first, so that
            there may be a smaller network.
        schema: of this file.
    """

    environment: str
    source: str
    sha256: str
    teacher: Network
    goal: Goal
    points: tuple[Point, ...] = ()
    chosen: str = ""
    confirmation: Confirmation | None = None
    seconds: float = 0.0
    status: str = "partial"
    exhausted: bool = False
    schema: int = SCHEMA

    def point(self, name: str) -> Point | None:
        """The point of a candidate."""
        return next((one for one in self.points if one.candidate.name == name), None)

    def kept(self, point: Point) -> Kept:
        """The share of the teacher's return that a point keeps on the trial episodes."""
        return share_kept(point.network.returns, self.teacher.returns)

    def frontier(self) -> tuple[Point, ...]:
        """Points than which no other has both fewer weights and a return as high; ascending."""
        return pareto(self.points)


def pareto(points: Iterable[Point]) -> tuple[Point, ...]:
    """The non-dominated points by weights and mean return, the smallest first."""
    found: list[Point] = []
    for one in sorted(points, key=lambda one: (one.network.weights, -one.network.mean)):
        if not found or one.network.mean > found[-1].network.mean:
            found.append(one)
    return tuple(found)


def load_shrink(folder: Path) -> ShrinkResult:
    """The search in *folder*.

    Raises:
        ResultProblem: there is none, or its file is of another schema or malformed.
    """
    path = folder / FILE
    try:
        values = value_from_json(read_bytes(path, _LARGEST_BYTES, links=False), "it")
    except FileNotFoundError as error:
        raise ResultProblem(
            f"there is no search in {folder}: start one with  dspctl shrink RUN -o {folder}"
        ) from error
    except (OSError, ValueError) as error:
        raise ResultProblem(
            f"{path} is not a JSON file ({error}): search again in another folder"
        ) from error
    if not isinstance(values, dict) or values.get("schema") != SCHEMA:
        raise ResultProblem(
            f"{path} is not of search schema {SCHEMA}: search again in another folder"
        )
    try:
        result = decode_record(ShrinkResult, with_all_fields(values), "search")
        check_search(result)
        return result
    except (TypeError, ValueError) as error:
        raise ResultProblem(
            f"{path} is malformed ({error}): search again in another folder"
        ) from error


def check_search(result: ShrinkResult) -> None:
    """What no field's type says.

    Raises:
        ValueError: a network without returns, with too many, or of no size; a candidate of another
            name than one that the search gives, since these are folders; two of one name.
    """
    for network in (result.teacher, *(point.network for point in result.points)):
        _check_returns(network.returns)
        if min(*network.units, network.inputs, network.weights, 0) < 0:
            raise ValueError("a network has fewer than no units")
    if result.confirmation is not None:
        _check_returns(result.confirmation.student)
        _check_returns(result.confirmation.teacher)
    names = [point.candidate.name for point in result.points]
    if len(set(names)) < len(names) or (result.chosen and result.chosen not in names):
        raise ValueError("two candidates have one name, or the chosen one is not among them")
    for point in result.points:
        candidate = point.candidate
        if candidate.activation not in ("tanh", "relu"):  # part of the name of a folder
            raise ValueError("a candidate has an activation that no search tries")
        if len(candidate.hidden) > _MOST_LAYERS or min(*candidate.hidden, candidate.size, 0) < 0:
            raise ValueError("a candidate has layers that no search tries")


def _check_returns(returns: tuple[float, ...]) -> None:
    """Shares are drawn from these thousands of times."""
    if not 1 <= len(returns) <= _MOST_EPISODES:
        raise ValueError(f"a network has {len(returns)} returns, not 1 to {_MOST_EPISODES}")
    if max(map(abs, returns)) > LARGEST_RETURN:
        raise ValueError("a network has larger returns than there are")


def save_shrink(result: ShrinkResult, folder: Path) -> None:
    """Replace the search's file atomically; raises `WriteFailed`."""
    values = asdict(result)
    for point in values["points"]:
        if not point["candidate"]["without"]:
            del point["candidate"]["without"]
    write_json(folder / FILE, values)


def with_all_fields(values: dict[str, Any]) -> dict[str, Any]:
    """What only some points, and only newer files, have, for all of them."""
    values.setdefault("exhausted", False)
    points = values.get("points")
    for point in points if isinstance(points, list) else []:
        if isinstance(point, dict) and isinstance(point.get("candidate"), dict):
            point.setdefault("complete", True)
            point["candidate"].setdefault("without", [])
    return values


def with_point(result: ShrinkResult, point: Point) -> ShrinkResult:
    """The search with one more network, or with what became of one that was trained further."""
    others = (one for one in result.points if one.candidate.name != point.candidate.name)
    return replace(result, points=(*others, point))
