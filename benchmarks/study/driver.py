"""A study from its file to its results: what is missing runs, teachers first."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from dspctl.benchmarks.study.engines import Engine, Event
from dspctl.benchmarks.study.folder import StudyFolder, open_folder
from dspctl.benchmarks.study.plan import Cell, plan
from dspctl.benchmarks.study.progress import Failure, Outcome, Overview, Running, Watcher
from dspctl.benchmarks.study.reuse import Source, divide, read_sources
from dspctl.benchmarks.study.spec import StudySpec

_WAIT_S = 0.5


MakeEngine = Callable[[StudyFolder], Engine]


def run_study(
    spec: StudySpec,
    path: Path,
    make_engine: MakeEngine,
    *,
    reuse: Sequence[Path] = (),
    watcher: Watcher | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Outcome:
    """Run the cells of *spec* that are not finished in the folder *path*.

    Args:
        spec: the study.
        path: its folder, new or of the same study; a study may have become larger since.
        make_engine: makes what runs the cells.
        reuse: folders and results files of studies whose finished cells are taken over.
        watcher: who is told.
        should_stop: asked twice a second; True asks running cells for checkpoints and returns.

    Raises:
        OtherStudy, OutputExists, StudyLocked, WriteFailed: see `open_folder`.
        StudyProblem: see `plan`.
        NoStudy, ResultProblem: see `read_sources`; nothing has been made then.
        ClusterUnreachable: of an engine on other machines.
    """
    cells = plan(spec)
    sources = read_sources(reuse, path)
    with open_folder(path, spec) as folder:
        engine = make_engine(folder)
        try:
            stopping = should_stop or (lambda: False)
            run = Run(folder, engine, watcher or Watcher(), stopping, sources)
            run.finish(cells)
        finally:
            engine.close()
        return run.outcome()


class Run:
    """One call's work on an opened folder; `finish` may be called for one plan after another."""

    def __init__(
        self,
        folder: StudyFolder,
        engine: Engine,
        watcher: Watcher,
        should_stop: Callable[[], bool],
        sources: Sequence[Source] = (),
    ) -> None:
        self.folder, self.engine, self.watcher = folder, engine, watcher
        self.stopped = False
        self._should_stop, self._sources = should_stop, sources
        self._failures: dict[str, Failure] = {}
        self._ran: list[str] = []
        self._reused: list[str] = []
        self._again: set[str] = set()  # finished cells without the run that others learn from
        self._cells: dict[str, Cell] = {}
        self._steps: dict[str, Event] = {}  # the last report of each cell this call has started
        self._first: dict[str, int] = {}  # and the steps it had before

    def outcome(self) -> Outcome:
        """Write the results and say what became of everything."""
        return Outcome(
            folder=self.folder.path,
            results=self.folder.write_results(),
            ran=tuple(self._ran),
            failures=tuple(self._failures.values()),
            stopped=self.stopped,
            reused=tuple(self._reused),
        )

    def finish(self, cells: Sequence[Cell]) -> None:
        """Run those of *cells* that are not finished, until all are done, given up or stopped."""
        self._cells |= {cell.key: cell for cell in cells}
        self.folder.read([cell.key for cell in cells])
        waiting = self._take_over(cells)
        running: set[str] = set()
        asked = False
        while waiting or running:
            if not asked and self._should_stop():
                asked = self.stopped = True
                waiting.clear()
                self.engine.stop()
            waiting = self._start(waiting, running)
            self._report(running)
            if not running:
                continue
            for event in self.engine.wait(_WAIT_S):
                self._take(event, running)
        self._report(running)

    def _take_over(self, cells: Sequence[Cell]) -> list[Cell]:
        """Take over what other studies have; returns the cells that are to be trained."""
        found = divide(cells, self.folder, self._sources)
        self._again |= found.again
        for cell in found.trained:
            if cell.key in found.again:
                self.watcher.on_note(
                    f"{cell.title}: its result is there, but not its run, which others learn from: "
                    "it is trained again"
                )
        counts: Counter[Path] = Counter()
        for cell in [cell for cell in cells if cell.key in found.taken]:
            if self._should_stop():
                self.stopped = True
                break
            stored = found.taken[cell.key]
            stored.take_over(cell, self.folder)
            self._reused.append(cell.key)
            counts[stored.source] += 1
            self._report(())
        for path, count in counts.items():
            self.watcher.on_note(f"{count} finished runs are taken over from {path}")
        if counts:
            self.folder.write_results()
        if self.stopped:
            return []
        return [cell for cell in found.trained if cell.key not in self._failures]

    def _start(self, waiting: Iterable[Cell], running: set[str]) -> list[Cell]:
        """Start what can be started; returns what still waits."""
        left = []
        for cell in waiting:
            if cell.teacher in self._failures:
                self._fail(cell, f"its teacher was given up: {self._failures[cell.teacher].reason}")
            elif len(running) >= self.engine.slots or (
                cell.teacher and not self._done(cell.teacher)
            ):
                left.append(cell)
            else:
                running.add(cell.key)
                self.engine.start(cell)
        return left

    def _take(self, event: Event, running: set[str]) -> None:
        cell = self._cells[event.key]
        if event.kind == "steps":
            self._first.setdefault(event.key, event.steps)
            self._steps[event.key] = event
            return
        if event.kind == "again":
            self.watcher.on_note(f"{cell.title}: {event.text}; it is started again")
            return
        running.discard(event.key)
        if event.kind == "failed":
            self._fail(cell, event.text)
        elif event.kind == "finished":
            found = self.folder.add(event.key)
            self._again.discard(event.key)
            self._ran.append(event.key)
            self.watcher.on_result(found.result)

    def _done(self, key: str) -> bool:
        """Whether a cell is finished, and needs not be trained again for others."""
        return key in self.folder.finished and key not in self._again

    def _fail(self, cell: Cell, reason: str) -> None:
        self._failures[cell.key] = Failure(cell.key, cell.title, reason)
        self.watcher.on_failure(self._failures[cell.key])

    def _report(self, running: Iterable[str]) -> None:
        done = [key for key in self._cells if self._done(key)]
        left = self._cells.keys() - set(done) - self._failures.keys()
        self.watcher.on_overview(
            Overview(
                done=len(done),
                total=len(self._cells),
                failed=len(self._failures),
                steps_done=sum(
                    event.steps - self._first[key] for key, event in self._steps.items()
                ),
                steps_left=sum(self._steps_left(self._cells[key], self._steps) for key in left),
                running=tuple(self._running(key) for key in sorted(running)),
            )
        )

    def _running(self, key: str) -> Running:
        cell, event = self._cells[key], self._steps.get(key)
        if event is None:
            return Running(cell.title, 0, cell.config.steps, "starting")
        return Running(cell.title, event.steps, event.total, event.text)

    def _steps_left(self, cell: Cell, steps: Mapping[str, Event]) -> int:
        event = steps.get(cell.key)
        return cell.config.steps if event is None else max(0, event.total - event.steps)
