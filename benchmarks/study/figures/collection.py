"""Groups of runs, and finding them.

A group is the runs that differ in nothing but the seed. Tables and pictures ask the collection for
groups; what is not there is None, which they show as a dash with a note.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from dspctl.benchmarks.study.record import CellResult
from dspctl.errors import DspctlError

FloatArray = NDArray[np.float64]

BASE = "base"
REFERENCE = "ppo"
HEADLINE = 0.93
"""The sparsity that the DSP paper reports, and the one of every table that shows a single one."""

_ORDER = (
    *(REFERENCE, "dsp", "dsp-kd", "ssl", "sgs", "l1", "dropout", "pops"),
    *("dense-small", "kd-small", "linear"),
)


@dataclass(frozen=True)
class Group:
    """The runs that differ in nothing but the seed.

    Attributes:
        environment: gymnasium id.
        method: pruning method.
        variant: name of the ablation, ``base`` without one.
        sparsity: asked for, or None where nothing is pruned.
        penalty: lambda, or None where there is none.
        cells: one per seed, sorted by it.
    """

    environment: str
    method: str
    variant: str
    sparsity: float | None
    penalty: float | None
    cells: tuple[CellResult, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Training seeds, ascending."""
        return tuple(cell.seed for cell in self.cells)

    @cached_property
    def means(self) -> FloatArray:
        """Mean return over the evaluation's episodes, float [seeds]."""
        return np.array([np.mean(cell.returns) for cell in self.cells])

    @property
    def mean(self) -> float:
        """Mean of the seeds' mean returns."""
        return float(self.means.mean())

    @property
    def standard_deviation(self) -> float | None:
        """Sample standard deviation of the seeds' mean returns; None of a single seed."""
        return float(self.means.std(ddof=1)) if len(self.means) > 1 else None

    @property
    def weights_left(self) -> float:
        """Share of the weights that the compact policy stores, mean over seeds (Eq 21)."""
        return float(np.mean([cell.weights / cell.original_weights for cell in self.cells]))


@dataclass(frozen=True)
class Collection:
    """Every group of the given studies.

    Attributes:
        groups: by environment, method, variant, sparsity and lambda.
        random: environment → mean return of acting at random, for those that were measured.
        headline: the sparsity of tables that show one.
        environments: in alphabetical order.
        methods: in the order of the tables.
    """

    groups: tuple[Group, ...]
    random: Mapping[str, float]
    headline: float
    environments: tuple[str, ...]
    methods: tuple[str, ...]

    def find(
        self,
        environment: str,
        method: str,
        *,
        variant: str = BASE,
        sparsity: float | None = None,
    ) -> Group | None:
        """The group of a method, at the recipe's lambda where several were tried.

        Args:
            environment: gymnasium id.
            method: pruning method.
            variant: of the base or of an ablation.
            sparsity: asked for; None takes the headline's. A method that prunes nothing has one
                group, which is found for any.
        """
        wanted = self.headline if sparsity is None else sparsity
        found = [
            group
            for group in self.groups
            if (group.environment, group.method, group.variant) == (environment, method, variant)
            and (group.sparsity is None or same(group.sparsity, wanted))
        ]
        if len(found) <= 1:
            return found[0] if found else None
        usual = recipe_penalty(environment, method)
        return next((group for group in found if group.penalty == usual), None)

    def reference(self, environment: str) -> Group | None:
        """The unpruned PPO of an environment."""
        return self.find(environment, REFERENCE)

    def normalised(self, group: Group | None) -> FloatArray | None:
        """Returns of a group's runs, 0 for acting at random and 1 for the mean unpruned PPO.

        Returns:
            float [seeds]; None without a group, a reference or a random policy's return, and
            where the reference is no better than random.
        """
        if group is None:
            return None
        scale = self.scale(group.environment)
        return None if scale is None else (group.means - scale[0]) / (scale[1] - scale[0])

    def scale(self, environment: str) -> tuple[float, float] | None:
        """Returns that count as 0 and as 1 in an environment; None as in `normalised`."""
        reference, zero = self.reference(environment), self.random.get(environment)
        if reference is None or zero is None or reference.mean <= zero:
            return None
        return zero, reference.mean

    def variants(self, environment: str, method: str) -> tuple[str, ...]:
        """Names of a method's ablations in an environment, in alphabetical order."""
        return tuple(
            sorted(
                {
                    group.variant
                    for group in self.groups
                    if (group.environment, group.method) == (environment, method)
                    and group.variant != BASE
                }
            )
        )

    def sparsities(self, method: str) -> tuple[float, ...]:
        """Sparsities that a method was run at as it is, ascending, over all environments."""
        return tuple(
            sorted(
                {
                    group.sparsity
                    for group in self.groups
                    if group.method == method
                    and group.variant == BASE
                    and group.sparsity is not None
                }
            )
        )


@cache
def recipe_penalty(environment: str, method: str) -> float | None:
    """Lambda of a method's recipe; None where there is no such environment or method here."""
    from dspctl.trainer import recipe

    try:
        return recipe(environment, method=method).penalty
    except DspctlError:
        return None


def ordered(methods: Iterable[str]) -> tuple[str, ...]:
    """Methods as tables list them: known ones in a fixed order, then the others by name."""
    return tuple(sorted(set(methods), key=rank))


def same(one: float, other: float) -> bool:
    """Whether two sparsities are the same; 0.93 is, however it was computed."""
    return abs(one - other) < 1e-9


def rank(method: str) -> tuple[int, str]:
    """What puts methods into the order of tables."""
    return (_ORDER.index(method) if method in _ORDER else len(_ORDER), method)
