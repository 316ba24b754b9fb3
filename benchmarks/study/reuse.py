"""Finished cells of other studies, which are taken over instead of being trained again.

What defines a run is in the digest that its key ends in: cells of equal digests are the same run,
whatever the study and the variant are called. Sources are only read.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dspctl.benchmarks.study.cell import RECORD, RUN, Finished, finished_run, read_cell
from dspctl.benchmarks.study.folder import LARGEST_BYTES, SCHEMA, StudyFolder
from dspctl.benchmarks.study.plan import Cell
from dspctl.benchmarks.study.record import CellResult, load_results
from dspctl.errors import ConfigProblem, NoStudy, ResultProblem
from dspctl.runtime.strict_json import fields_from_json
from dspctl.runtime.untrusted import read_bytes

_ADVICE = "mend that study with its own command, or leave it out of --reuse"


@dataclass(frozen=True)
class Stored:
    """A finished cell of another study.

    Attributes:
        source: the folder or results file it is in, as it was named.
        finished: its record.
        run: where its run is or has been; None in a results file, which holds no runs.
    """

    source: Path
    finished: Finished
    run: Path | None

    @property
    def has_run(self) -> bool:
        """Whether others can learn from it."""
        return self.run is not None and finished_run(self.run)

    def named(self, cell: Cell) -> Finished:
        """Its record under the name that this study has for it."""
        result = replace(self.finished.result, key=cell.key, variant=cell.variant)
        return replace(self.finished, result=result)

    def take_over(self, cell: Cell, folder: StudyFolder) -> None:
        """Write it into this study's folder; its run is copied, not linked.

        Raises:
            ResultProblem: its run cannot be read.
            WriteFailed: the folder cannot be written.
        """
        try:
            folder.take_over(cell.key, self.named(cell), self.run if self.has_run else None)
        except (OSError, ValueError) as error:
            raise ResultProblem(f"{self.run} cannot be read ({error}): {_ADVICE}") from error


@dataclass(frozen=True)
class Source:
    """A study to take cells over from.

    Attributes:
        path: its folder or results file.
        cells: digest → finished cell.
    """

    path: Path
    cells: Mapping[str, Stored]


@dataclass(frozen=True)
class Division:
    """Where the cells of a study come from, but for those that it has.

    Attributes:
        taken: key → what is taken over for it.
        trained: what has to be trained, a teacher before those that learn from it.
        again: keys of those whose record is known; others need the run, which is not.
    """

    taken: Mapping[str, Stored]
    trained: tuple[Cell, ...]
    again: frozenset[str]


def read_sources(paths: Sequence[Path], own: Path) -> tuple[Source, ...]:
    """Read every finished cell of the studies at *paths*.

    Args:
        paths: study folders and results files.
        own: the folder of the study that takes over.

    Raises:
        NoStudy: there is nothing at a path, or no study.
        ResultProblem: a study is of another schema, or one of its records is damaged.
        ConfigProblem: a path is the study's own folder.
    """
    return tuple(_read(path, own) for path in paths)


def divide(cells: Sequence[Cell], folder: StudyFolder, sources: Sequence[Source]) -> Division:
    """Decide what is taken over and what is trained.

    A finished cell of the folder stays as it is. Of several sources that have a cell the first one
    with its run counts, else the first. A cell that one to be trained learns from needs a run.

    Args:
        cells: the plan, a teacher before those that learn from it.
        folder: the study's; its finished cells have been read.
        sources: where to take over from.

    Raises:
        ResultProblem: a record holds another run than its key says.
    """
    taken: dict[str, Stored] = {}
    trained: list[Cell] = []
    again, teachers = set[str](), set[str]()
    for cell in reversed(cells):
        needs_run, own = cell.key in teachers, folder.finished.get(cell.key)
        if own is not None and (not needs_run or finished_run(folder.run(cell.key))):
            continue
        known = [one.cells[cell.digest] for one in sources if cell.digest in one.cells]
        for one in known:
            _check_same(cell, one)
        if own is not None:  # a run may be added to a record, which stays what it is
            known = [one for one in known if one.named(cell) == own]
        with_run = next((one for one in known if one.has_run), None)
        if with_run is not None or (known and not needs_run):
            taken[cell.key] = with_run or known[0]
            continue
        trained.append(cell)
        if own is not None or known:
            again.add(cell.key)
        if cell.teacher:
            teachers.add(cell.teacher)
    return Division(taken, tuple(reversed(trained)), frozenset(again))


def _read(path: Path, own: Path) -> Source:
    if path.is_dir():
        if path.resolve() == own.resolve():
            raise ConfigProblem(
                f"{path} is this study's own folder, whose finished runs stay anyway: leave it out "
                "of --reuse"
            )
        cells = _of_folder(path)
    elif path.is_file():
        cells = _of_results(path)
    else:
        raise NoStudy(f"there is nothing at {path}: --reuse takes a study's folder or results.json")
    by_digest: dict[str, Stored] = {}
    for stored in cells:
        by_digest.setdefault(stored.finished.result.key.rsplit("-", 1)[-1], stored)
    return Source(path, by_digest)


def _of_results(path: Path) -> Iterator[Stored]:
    results = load_results(path)
    for cell in results.cells:
        if cell.machine not in results.machines:
            raise ResultProblem(
                f"{path} lacks the machine {cell.machine!r}, which trained {cell.key}: {_ADVICE}"
            )
        yield Stored(path, Finished(cell, results.machines[cell.machine]), None)


def _of_folder(path: Path) -> Iterator[Stored]:
    described = path / "study.json"
    if not described.is_file():
        raise NoStudy(f"{path} holds no study: --reuse takes a study's folder or results.json")
    try:
        schema = fields_from_json(
            read_bytes(described, LARGEST_BYTES, links=False), str(described)
        ).integer("schema")
        if schema != SCHEMA:
            raise ValueError(f"schema {schema}, not {SCHEMA}")
        folders = sorted((path / "cells").iterdir()) if (path / "cells").is_dir() else []
    except (OSError, ValueError) as error:
        raise ResultProblem(
            f"{path} cannot be read as a study by this dspctl ({error}): {_ADVICE}"
        ) from error
    for folder in folders:
        if not (folder / RECORD).is_file():
            continue
        finished = read_cell(folder / RECORD, advice=_ADVICE)
        if finished.result.key != folder.name:
            raise ResultProblem(
                f"{folder / RECORD} is the record of {finished.result.key}: {_ADVICE}"
            )
        yield Stored(path, finished, folder / RUN)


def _check_same(cell: Cell, stored: Stored) -> None:
    """Refuse a record that says something else than the digest in its key."""
    if (found := _defining(stored.finished.result)) != (planned := _planned(cell)):
        different = next(name for name in planned if found[name] != planned[name])
        raise ResultProblem(
            f"{stored.source}: {stored.finished.result.key} has {different} {found[different]}, "
            f"and by its key it must be {planned[different]}: {_ADVICE}"
        )


def _planned(cell: Cell) -> dict[str, object]:
    return {
        "environment": cell.config.environment,
        "method": cell.config.method,
        "seed": cell.config.seed,
        "sparsity": cell.sparsity,
        "penalty": cell.penalty,
        "teacher": cell.teacher,
        "episodes": cell.episodes,
    }


def _defining(result: CellResult) -> dict[str, object]:
    return {
        "environment": result.environment,
        "method": result.method,
        "seed": result.seed,
        "sparsity": result.sparsity,
        "penalty": result.penalty,
        "teacher": result.teacher,
        "episodes": len(result.returns),
    }
