"""Searches for the smallest network, one a teacher, in one JSON file."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from dspctl.benchmarks.record.decode import decode_record
from dspctl.benchmarks.record.machine import Machine
from dspctl.benchmarks.shrink.record import Point, ShrinkResult, check_search, with_all_fields
from dspctl.errors import ResultProblem
from dspctl.runtime.files import write_json
from dspctl.runtime.strict_json import shown, value_from_json
from dspctl.runtime.untrusted import read_bytes

_LARGEST_BYTES = 1 << 24
SCHEMA = 1
KIND = "dspctl.smallest"
DEFAULT = Path("benchmarks/results/smallest.json")


@dataclass(frozen=True)
class Shrunk:
    """The search for the smallest network of one teacher.

    Attributes:
        seed: training seed of the teacher.
        search: the complete search; its ``source`` is the key of the teacher's run in its study.
        teacher_call_ns: median call of the teacher's C code.
        call_ns: the same of the chosen network, measured in turns with the teacher's; None where
            no network kept enough.
    """

    seed: int
    search: ShrinkResult
    teacher_call_ns: float
    call_ns: float | None

    @property
    def chosen(self) -> Point | None:
        """The network that is delivered; None where none kept enough."""
        return self.search.point(self.search.chosen)


@dataclass(frozen=True)
class Smallest:
    """What was found for several teachers.

    Attributes:
        machine: where the searches ran and calls were timed.
        searches: by environment and seed.
    """

    machine: Machine
    searches: tuple[Shrunk, ...]

    def of(self, environment: str) -> tuple[Shrunk, ...]:
        """The searches in one environment."""
        return tuple(one for one in self.searches if one.search.environment == environment)

    @property
    def environments(self) -> tuple[str, ...]:
        """In alphabetical order."""
        return tuple(sorted({one.search.environment for one in self.searches}))


def ordered(searches: Sequence[Shrunk]) -> tuple[Shrunk, ...]:
    """Searches by environment and seed."""
    return tuple(sorted(searches, key=lambda one: (one.search.environment, one.seed)))


def save_smallest(found: Smallest, path: Path) -> None:
    """Replace the file atomically; raises `WriteFailed`."""
    write_json(path, {"kind": KIND, "schema": SCHEMA, **asdict(found)})


def load_smallest(path: Path) -> Smallest | None:
    """What is stored at *path*; None if there is no file.

    Raises:
        ResultProblem: it is something else, or a search in it is not complete.
    """
    try:
        values = value_from_json(read_bytes(path, _LARGEST_BYTES), "it")
        if not isinstance(values, dict) or values.pop("kind", None) != KIND:
            raise ValueError(f"it is no {KIND}")
        if (schema := values.pop("schema", None)) != SCHEMA:
            raise ValueError(f"its schema is {shown(schema)}, not {SCHEMA}")
        searches = values.get("searches")
        for each in searches if isinstance(searches, list) else []:
            if isinstance(each, dict) and isinstance(each.get("search"), dict):
                with_all_fields(each["search"])
        found = decode_record(Smallest, values, "smallest")
        for one in found.searches:
            check_search(one.search)
            calls = [each for each in (one.teacher_call_ns, one.call_ns) if each is not None]
            if one.search.teacher.weights < 1 or min(calls) <= 0:
                raise ValueError(
                    f"the teacher of {one.search.source[:200]!r} has no weights, or no time"
                )
            found_one = one.search.chosen != ""
            confirmed = one.search.confirmation is not None
            if one.search.status != "complete" or {found_one, confirmed} != {
                one.call_ns is not None
            }:
                raise ValueError(f"the search for {one.search.source[:200]!r} is not whole")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ResultProblem(
            f"{path} does not hold searches for the smallest network ({error}): make it again with "
            " python -m dspctl.benchmarks.study.smallest"
        ) from error
    return found
