"""The paper's search over lambda and sparsity, by Optuna; a trial is the cells of all seeds.

Optuna keeps its trials in the study folder. Since cells are kept too, a trial that was cut off is
made again from those that are finished, and a combination is never trained twice.
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from dspctl.benchmarks.study.driver import MakeEngine, Run
from dspctl.benchmarks.study.folder import StudyFolder, open_folder
from dspctl.benchmarks.study.plan import Cell, has_sparsity, plan
from dspctl.benchmarks.study.progress import Best, Outcome, Watcher
from dspctl.benchmarks.study.reuse import read_sources
from dspctl.benchmarks.study.spec import StudySpec
from dspctl.errors import MissingExtra, StudyProblem

if TYPE_CHECKING:
    import optuna

Combination = tuple[float | None, float | None]
"""lambda and sparsity; None for what a method has not."""
_STORAGE = "search.sqlite"


def search_study(
    spec: StudySpec,
    path: Path,
    make_engine: MakeEngine,
    *,
    reuse: Sequence[Path] = (),
    watcher: Watcher | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> tuple[Outcome, tuple[Best, ...]]:
    """Search for every method that prunes, in every environment; the others run as they are.

    Args:
        spec: the study; combinations come from ``spec.search``.
        path: its folder.
        make_engine: makes what runs the cells.
        reuse: as `run_study`.
        watcher: who is told.
        should_stop: asked twice a second.

    Raises:
        MissingExtra: Optuna is not installed.
        StudyProblem: the study crosses what the search is to choose, or has variants.
        DspctlError: as `run_study`.
    """
    for name in ("sparsities", "penalties", "variants"):
        if getattr(spec, name):
            raise StudyProblem(
                f"a search has no {name}: leave them out of the file, or out of --search; what "
                "is searched is in its table [search]"
            )
    sources = read_sources(reuse, path)
    with open_folder(path, spec) as folder:
        searches = list(_searches(spec, folder))
        engine = make_engine(folder)
        try:
            stopping = should_stop or (lambda: False)
            run = Run(folder, engine, watcher or Watcher(), stopping, sources)
            run.finish([*_fixed(spec), *(cell for one in searches for cell in one.cells())])
            for one in searches:
                one.refresh()
            while not run.stopped and (left := [one for one in searches if one.left]):
                # As many trials at once as keep every slot at work.
                count = math.ceil(engine.slots / (len(spec.seeds) * len(left)))
                for one in left:
                    one.ask(count)
                run.finish([cell for one in left for cell in one.cells()])
                for one in left:
                    one.tell(stopped=run.stopped)
        finally:
            engine.close()
        return run.outcome(), tuple(best for one in searches if (best := one.best()))


class Search:
    """The trials of one method in one environment.

    Args:
        spec: the study, with this method and environment alone.
        folder: where the cells are.
        study: Optuna's.
        combinations: what there is to choose from.
    """

    def __init__(
        self,
        spec: StudySpec,
        folder: StudyFolder,
        study: "optuna.Study",
        combinations: Sequence[Combination],
    ) -> None:
        self.spec, self.folder, self._study = spec, folder, study
        self._combinations = tuple(combinations)
        self._asked: list[tuple[Any, Combination]] = []
        self._tried: dict[Combination, float | None] = {}
        self._take_up()

    @property
    def left(self) -> int:
        """Combinations still to be tried."""
        return min(self.spec.search.trials, len(self._combinations)) - len(self._tried)

    def ask(self, count: int) -> None:
        """Choose up to *count* new combinations."""
        chosen: set[Combination] = set()
        while len(chosen) < min(count, self.left):
            trial = self._study.ask()
            search = self.spec.search
            sparsity = trial.suggest_categorical("sparsity", search.sparsities)
            penalty = None
            if self._combinations[0][0] is not None:
                penalty = trial.suggest_categorical("penalty", search.penalties)
            combination = (penalty, sparsity)
            if combination in self._tried or combination in chosen:
                self._answer(trial, self._tried.get(combination))
                # What was chosen twice would be chosen again; the next one is new.
                untried = [c for c in self._combinations if c not in {*self._tried, *chosen}]
                self._enqueue(random.Random(trial.number).choice(untried))
                continue
            chosen.add(combination)
            self._asked.append((trial, combination))

    def cells(self) -> list[Cell]:
        """The cells of all combinations, tried or just chosen."""
        found = [*self._tried, *(combination for _, combination in self._asked)]
        return [cell for combination in found for cell in self._plan(combination)]

    def tell(self, *, stopped: bool) -> None:
        """Tell Optuna what the chosen combinations earned; those that were stopped stay open."""
        for trial, combination in self._asked:
            value = self._value(combination)
            if value is None and stopped:
                continue
            self._answer(trial, value)
            self._tried[combination] = value
        self._asked.clear()

    def refresh(self) -> None:
        """Take the means of all seeds, of which there may be more than when Optuna was told.

        Optuna keeps the earlier means; they guide what it proposes next, and decide nothing.
        """
        for combination in self._tried:
            value = self._value(combination)
            if value is not None:
                self._tried[combination] = value

    def best(self) -> Best | None:
        """The best combination so far; None before one is finished."""
        values = {key: value for key, value in self._tried.items() if value is not None}
        if not values:
            return None
        penalty, sparsity = max(values, key=lambda key: values[key])
        return Best(
            environment=self.spec.environments[0],
            method=self.spec.methods[0],
            penalty=penalty,
            sparsity=sparsity,
            mean=values[penalty, sparsity],
            trials=len(values),
        )

    def _take_up(self) -> None:
        """Go on after an earlier process: finished trials count, open ones are asked again."""
        from optuna.trial import TrialState

        for trial in self._study.get_trials(deepcopy=False):
            combination = (trial.params.get("penalty"), trial.params.get("sparsity"))
            if trial.state == TrialState.COMPLETE:
                self._tried[combination] = trial.value
            elif trial.state == TrialState.RUNNING:
                self._study.tell(trial.number, state=TrialState.FAIL)
                if combination in self._combinations:
                    self._enqueue(combination)

    def _enqueue(self, combination: Combination) -> None:
        names = ("penalty", "sparsity")
        values = zip(names, combination, strict=True)
        self._study.enqueue_trial({name: value for name, value in values if value is not None})

    def _answer(self, trial: Any, value: float | None) -> None:
        from optuna.trial import TrialState

        if value is None:
            self._study.tell(trial, state=TrialState.FAIL)
        else:
            self._study.tell(trial, value)

    def _plan(self, combination: Combination) -> tuple[Cell, ...]:
        penalty, sparsity = combination
        return plan(
            replace(
                self.spec,
                penalties=() if penalty is None else (penalty,),
                sparsities=() if sparsity is None else (sparsity,),
            )
        )

    def _value(self, combination: Combination) -> float | None:
        """Mean return over the seeds; None if a cell is missing."""
        keys = [
            cell.key
            for cell in self._plan(combination)
            if cell.config.method == self.spec.methods[0]
        ]
        if any(key not in self.folder.finished for key in keys):
            return None
        return mean(self.folder.finished[key].result.mean_return for key in keys)


def _searches(spec: StudySpec, folder: StudyFolder) -> Iterator[Search]:
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise MissingExtra("optuna", "optuna", "--search optuna") from error
    from dspctl.trainer.pruning import method_named

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder.path / _STORAGE}")
    for environment in spec.environments:
        for name in spec.methods:
            method = method_named(name)
            if not has_sparsity(method):
                continue
            penalties = spec.search.penalties if method.regularizer is not None else (None,)
            combinations = [(p, s) for p in penalties for s in spec.search.sparsities]
            study = optuna.create_study(
                study_name=f"{environment} {name}",
                storage=storage,
                direction="maximize",
                load_if_exists=True,
            )
            # A resumed search must not draw again what it drew at its start.
            study.sampler = optuna.samplers.TPESampler(seed=len(study.get_trials(deepcopy=False)))
            alone = replace(spec, environments=(environment,), methods=(name,))
            yield Search(alone, folder, study, combinations)


def _fixed(spec: StudySpec) -> tuple[Cell, ...]:
    """The cells of methods that have nothing to search."""
    from dspctl.trainer.pruning import method_named

    methods = tuple(name for name in spec.methods if not has_sparsity(method_named(name)))
    return plan(replace(spec, methods=methods)) if methods else ()
