"""Which cells a study has, and which of them needs another one first."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from dspctl.benchmarks.study.spec import BASE, StudySpec, Variant
from dspctl.errors import StudyProblem, UnknownEnvironment

if TYPE_CHECKING:
    from dspctl.trainer import TrainConfig
    from dspctl.trainer.pruning.methods import Method

_MOST_CELLS = 100_000
UNPRUNED = "ppo"
"""The method whose cells are teachers."""
_NOT_DEFINING = ("checkpoint_seconds", "teacher")
"""Fields of a configuration that do not tell one cell from another."""
_RECORDED_APART = (*_NOT_DEFINING, "environment", "method", "seed", "sparsity", "penalty")


@dataclass(frozen=True)
class Cell:
    """One training run that a study asks for.

    Attributes:
        key: readable, and unique by what defines the run; the name of its folder.
        config: every setting; the teacher's path is known only where the cell runs.
        variant: name of the ablation.
        settings: what differs from the recipe, as `CellResult.settings`.
        sparsity: share of units to remove, None where nothing is pruned.
        penalty: lambda, None where there is no regulariser.
        teacher: key of the cell that has to be finished first, empty without one.
        episodes: episodes of the evaluation.
    """

    key: str
    config: "TrainConfig"
    variant: str
    settings: Mapping[str, Any]
    sparsity: float | None
    penalty: float | None
    teacher: str
    episodes: int

    @property
    def digest(self) -> str:
        """What defines the run, as the key ends: the same for two names of the same run."""
        return self.key.rsplit("-", 1)[1]

    @property
    def title(self) -> str:
        """The cell in words: ``CartPole-v1 dsp 93% lambda 0.0001 seed 0``; no two are alike."""
        words = [self.config.environment, self.config.method]
        if self.sparsity is not None:
            words.append(f"{100 * self.sparsity:g}%")
        if self.penalty is not None:
            words.append(f"lambda {self.penalty:g}")
        if self.variant != BASE:
            words.append(f"({self.variant})")
        return " ".join([*words, f"seed {self.config.seed}"])

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, for another process."""
        return {**vars(self), "config": self.config.to_json(), "settings": dict(self.settings)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Cell":
        """Inverse of `to_json`."""
        from dspctl.trainer import TrainConfig

        return cls(**{**values, "config": TrainConfig.from_json(values["config"])})


def plan(spec: StudySpec) -> tuple[Cell, ...]:
    """Every cell of *spec*, each once, a teacher before those that learn from it.

    A method to which sparsity means nothing has one cell for each environment and seed, not one
    for each sparsity; one without a regulariser, not one for each lambda. Who learns from a teacher
    learns from the unpruned cell of the same environment and seed, which is planned too.

    Raises:
        StudyProblem: an environment is unknown, or two variants are the same cell.
        ConfigProblem, EnvironmentProblem: a cell's settings cannot work.
    """
    # Looking an environment up makes one, which takes too long to be done for every cell.
    usual = cache(_usual)
    cells: dict[str, Cell] = {}
    meant: dict[str, Cell] = {}
    for environment in spec.environments:
        for seed in spec.seeds:
            for method in spec.methods:
                for cell in _of_method(spec, environment, method, seed, cells, usual):
                    if len(cells) >= _MOST_CELLS:
                        raise StudyProblem(
                            f"the study has more than {_MOST_CELLS} runs: take out some seeds, "
                            "sparsities or lambdas"
                        )
                    cells.setdefault(cell.digest, cell)
                    known = meant.setdefault(_meaning(cell), cell)
                    if known.variant != cell.variant:
                        raise StudyProblem(
                            f"variants: {cell.variant!r} changes nothing for {method} in "
                            f"{environment}: restrict it to other methods, or leave it out"
                        )
    return tuple(cells.values())


def _meaning(cell: Cell) -> str:
    """What decides on the run: not a sparsity or a lambda that its method has no use for."""
    config = cell.config
    if cell.sparsity is None:
        config = replace(config, sparsity=0.0)
    if cell.penalty is None:
        config = replace(config, penalty=0.0)
    values = config.to_json()
    defining = {name: value for name, value in values.items() if name not in _NOT_DEFINING}
    return json.dumps([defining, cell.teacher], sort_keys=True)


def has_sparsity(method: "Method") -> bool:
    """Whether the sparsity asked for makes a difference: by pruning, or by the widths at first."""
    if method.saliency is not None:
        return True
    return method.widths is not None and method.widths((8, 8), 0.5) != method.widths((8, 8), 0.75)


Usual = Callable[[str, str], "TrainConfig"]
"""Environment and method → the recipe."""


def _usual(environment: str, method: str) -> "TrainConfig":
    from dspctl.trainer import recipe

    try:
        return recipe(environment, method=method)
    except UnknownEnvironment as error:
        raise StudyProblem(f"environments: {error}") from error


def _of_method(
    spec: StudySpec,
    environment: str,
    method: str,
    seed: int,
    cells: dict[str, Cell],
    usual: Usual,
) -> Iterator[Cell]:
    from dspctl.trainer.pruning import method_named

    chosen = method_named(method)
    teacher = ""
    if chosen.teacher:
        first = _cell(spec, usual(environment, UNPRUNED), seed, Variant(BASE, {}), {})
        teacher = cells.setdefault(first.digest, first).key
    for variant in (Variant(BASE, {}), *spec.variants):
        if not variant.applies(environment, method):
            continue
        sparsities = spec.sparsities if has_sparsity(chosen) else ()
        penalties = spec.penalties if chosen.regularizer is not None else ()
        # What a variant sets is not crossed with the study's own list of it.
        for sparsity in ("sparsity" not in variant.settings and sparsities) or (None,):
            for penalty in ("penalty" not in variant.settings and penalties) or (None,):
                axes = {"sparsity": sparsity, "penalty": penalty}
                given = {name: value for name, value in axes.items() if value is not None}
                yield _cell(spec, usual(environment, method), seed, variant, given, teacher)


def _cell(
    spec: StudySpec,
    usual: "TrainConfig",
    seed: int,
    variant: Variant,
    axes: Mapping[str, float],
    teacher: str = "",
) -> Cell:
    from dspctl.trainer.pruning import method_named

    environment, method = usual.environment, usual.method
    settings = {"threads": 1, **(spec.settings or {}), **variant.settings, **axes}
    config = replace(usual, seed=seed, **settings)
    recipe = usual.to_json()
    values = config.to_json()
    chosen = method_named(method)
    sparsity = config.sparsity if has_sparsity(chosen) else None
    penalty = config.penalty if chosen.regularizer is not None else None
    defining = {name: value for name, value in values.items() if name not in _NOT_DEFINING}
    identity = {"config": defining, "teacher": teacher, "episodes": spec.episodes}
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode()).hexdigest()[:8]
    words = [environment, method, *([] if variant.name == BASE else [variant.name])]
    words += [] if sparsity is None else [f"s{sparsity:g}"]
    words += [] if penalty is None else [f"l{penalty:g}"]
    slug = re.sub(r"[^\w.]+", "-", "-".join([*words, f"seed{seed}"]))
    return Cell(
        key=f"{slug}-{digest}",
        config=config,
        variant=variant.name,
        settings={
            name: value
            for name, value in values.items()
            if name not in _RECORDED_APART and value != recipe[name] and name != "threads"
        },
        sparsity=sparsity,
        penalty=penalty,
        teacher=teacher,
        episodes=spec.episodes,
    )
