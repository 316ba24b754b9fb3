"""A study on disk: the only module that knows the files of a study folder.

==================  ================================================================
``study.json``      the study, resolved; the machine and versions that began it
``cells/KEY/run``   a cell's training run
``cells/KEY/cell.json``  its record, once it is finished
``cells/KEY/log.txt``    what its process printed to standard error
``results.json``    all finished cells, as `dspctl.benchmarks.study.record` has them
``results.sqlite``  the same as tables, for queries
``search.sqlite``   trials of ``--search``, as Optuna keeps them
``.lock``           held by the process that works here
==================  ================================================================

Results are made from the cells, so they can be lost and made again.
"""

import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import dspctl
from dspctl.benchmarks.record.machine import describe_machine
from dspctl.benchmarks.study.cell import RECORD, RUN, Finished, read_cell
from dspctl.benchmarks.study.record import StudyResults, save_results
from dspctl.benchmarks.study.spec import StudySpec, spec_from_values
from dspctl.benchmarks.study.tables import save_tables
from dspctl.errors import ConfigProblem, OtherStudy, OutputExists, ResultProblem, StudyLocked
from dspctl.runtime.files import (
    clear_temporaries,
    is_temporary,
    make_folder,
    new_folder,
    write_bytes,
    write_json,
)
from dspctl.runtime.locks import LOCK, locked
from dspctl.runtime.strict_json import fields_from_json
from dspctl.runtime.untrusted import read_bytes

SCHEMA = 1
_LEFT_BEHIND = "tensorboard"
"""The one part of a run that is large and that nothing reads again."""
LARGEST_BYTES, _LARGEST_FILE_BYTES = 1 << 20, 1 << 32
_LOCK_S = 5.0
"""How long a lock is waited for: cells of a driver that was killed need a moment to end."""
_REBUILD_SHARE = 0.05
"""Share of the time that may go into writing results again after each cell."""


@dataclass
class StudyFolder:
    """An opened study folder; this process alone works in it.

    Attributes:
        path: the folder.
        spec: the study.
        lock: descriptor of the lock, which processes that work for this one inherit.
        finished: records of the planned cells that are done.
    """

    path: Path
    spec: StudySpec
    lock: int
    finished: dict[str, Finished] = field(default_factory=dict)
    _rebuilt_at: float = 0.0
    _rebuild_s: float = 0.0

    def cell(self, key: str) -> Path:
        """A cell's folder."""
        return self.path / "cells" / key

    def run(self, key: str) -> Path:
        """A cell's training run."""
        return self.cell(key) / RUN

    @property
    def results(self) -> Path:
        """The results file."""
        return self.path / "results.json"

    def read(self, keys: Collection[str]) -> None:
        """Read the records of those of *keys* that are finished."""
        for key in keys:
            _refuse_links(self.path, "cells", key)
            if key not in self.finished and os.path.lexists(path := self.cell(key) / RECORD):
                self.finished[key] = _record_of(key, path)

    def add(self, key: str) -> Finished:
        """Take in a cell that has just been finished, and write results if that is due.

        Every cell has its own record, so results that wait lose nothing when the process is killed.
        """
        found = self.finished[key] = _record_of(key, self.cell(key) / RECORD)
        since = time.monotonic() - self._rebuilt_at
        if self._rebuild_s <= _REBUILD_SHARE * since:
            self.write_results()
        return found

    def receive(self, key: str, run_files: dict[str, bytes], record: bytes | None) -> None:
        """Write what another machine made of a cell: its run as a whole, then its record."""
        make_folder(self.cell(key))
        # As a whole, or a kill could leave the checkpoint of one moment with the policy of another.
        with new_folder(self.run(key), force=True) as run:
            for name, data in run_files.items():
                path = run / name
                if run.resolve() not in path.resolve().parents:
                    raise ConfigProblem(f"{name} lies outside a run: nothing of {key} was kept")
                write_bytes(path, data)
        if record is not None:
            write_bytes(self.cell(key) / RECORD, record)

    def take_over(self, key: str, finished: Finished, run: Path | None) -> None:
        """Keep a finished cell of another study: a copy of its run, if there is one, and a record.

        A record that is here already is the same one, and stays.
        """
        if run is not None:
            self.receive(key, dict(run_files(run)), None)
        if key not in self.finished:
            write_json(self.cell(key) / RECORD, finished.to_json())
            self.finished[key] = finished

    def write_results(self) -> StudyResults:
        """Make ``results.json`` and ``results.sqlite`` from the finished cells."""
        started = time.monotonic()
        found = self.finished.values()
        results = StudyResults(
            name=self.spec.name,
            spec=self.spec.to_json(),
            machines={one.result.machine: one.machine for one in found},
            cells=tuple(sorted((one.result for one in found), key=lambda cell: cell.key)),
        )
        save_results(results, self.results)
        save_tables(results, self.path / "results.sqlite")
        self._rebuilt_at = time.monotonic()
        self._rebuild_s = self._rebuilt_at - started
        return results


def run_files(run: Path) -> Iterator[tuple[str, bytes]]:
    """The files of a run that are needed to go on with it, to learn from it and to look at it.

    Raises:
        OSError: one cannot be read, or is a link.
        ValueError: one is too large to be of a run.
    """
    for path in sorted(run.rglob("*")):
        name = path.relative_to(run)
        if path.name != LOCK and not path.is_dir() and _LEFT_BEHIND not in name.parts:
            yield name.as_posix(), read_bytes(path, _LARGEST_FILE_BYTES, links=False)


@contextmanager
def open_folder(path: Path, spec: StudySpec) -> Iterator[StudyFolder]:
    """Lock the folder, begin the study there or go on with it, extended if *spec* asks for more.

    Raises:
        OutputExists: the folder holds something that is no study.
        OtherStudy: it holds another study, or more than *spec* asks for.
        StudyLocked: another process works there.
        WriteFailed: it cannot be written.
    """
    described = path / "study.json"
    # Looked at before anything is made: a mistyped folder stays as it was.
    _check_is_study(path)
    with locked(path, StudyLocked, wait_s=_LOCK_S) as lock:
        if os.path.lexists(described):
            earlier = _earlier(described)
            if differences := _differences(earlier, spec):
                raise OtherStudy(
                    f"{path} holds the study '{earlier.name}' with other {differences[0]}: choose "
                    "another folder with -o, or take back the change; entries may only be added"
                )
        _clear(path)
        write_json(
            described,
            {
                "schema": SCHEMA,
                "spec": spec.to_json(),
                "dspctl": dspctl.__version__,
                "machine": describe_machine().to_json(),
            },
        )
        yield StudyFolder(path, spec, lock)


def _record_of(key: str, path: Path) -> Finished:
    """A cell's record, which is of that cell.

    Raises:
        ResultProblem: it cannot be read, or is of another one.
    """
    found = read_cell(path)
    if found.result.key != key:
        raise ResultProblem(
            f"{path} is the record of another cell: remove it, and the same command makes it again"
        )
    return found


def _refuse_links(path: Path, *parts: str) -> None:
    """What is written into a study must lie in its folder.

    Raises:
        OtherStudy: a folder in it is a link.
    """
    for part in parts:
        path = path / part
        if path.is_symlink():
            raise OtherStudy(f"{path} is a link, which a study has none of: choose another folder")


def _clear(path: Path) -> None:
    """Remove what killed processes had not finished, of the study and of its cells; links stay."""
    cells = path / "cells"
    folders = [] if cells.is_symlink() or not cells.is_dir() else list(cells.iterdir())
    for folder in [path, *folders]:
        if folder == path or not folder.is_symlink():
            clear_temporaries(folder)


def _check_is_study(path: Path) -> None:
    if (path / "study.json").is_file() or not os.path.lexists(path):
        return
    # A kill while the study was described leaves the lock and half of a file.
    if not path.is_dir() or any(
        one.name != LOCK and not is_temporary(one) for one in path.iterdir()
    ):
        raise OutputExists(f"{path} holds something that is no study: choose another folder")


def _earlier(path: Path) -> StudySpec:
    try:
        fields = fields_from_json(read_bytes(path, LARGEST_BYTES, links=False), path.name)
        if (schema := fields.integer("schema")) != SCHEMA:
            raise ValueError(f"schema {schema}, not {SCHEMA}")
        spec = spec_from_values(fields.entries("spec"), str(path))
        fields.name("dspctl")
        fields.entries("machine")
        fields.finish()
    except (OSError, ValueError, ConfigProblem) as error:
        raise OtherStudy(
            f"{path} cannot be read by this dspctl ({error}): use the one that wrote it, or choose "
            "another folder with -o"
        ) from error
    return spec


def _differences(earlier: StudySpec, spec: StudySpec) -> list[str]:
    """What *earlier* has and *spec* has not, or has otherwise."""
    same = ("name", "episodes", "settings")
    different = [name for name in same if getattr(earlier, name) != getattr(spec, name)]
    if replace(earlier.search, trials=0) != replace(spec.search, trials=0):
        different.append("search")
    for name in ("environments", "methods", "sparsities", "penalties", "seeds", "variants"):
        # An empty list is a choice of its own: what the recipe has.
        before, after = ([*getattr(one, name)] for one in (earlier, spec))
        if name in ("sparsities", "penalties"):
            before, after = before or [None], after or [None]
        if any(entry not in after for entry in before):
            different.append(name)
    return different
