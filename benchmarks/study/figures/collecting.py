"""From the cells of one or several studies to a collection of groups."""

from collections.abc import Mapping, Sequence

from dspctl.benchmarks.study.figures.collection import (
    BASE,
    HEADLINE,
    Collection,
    Group,
    ordered,
    rank,
)
from dspctl.benchmarks.study.record import CellResult, StudyResults
from dspctl.errors import NotComparable

_AXES = frozenset({"sparsity", "penalty"})
"""Settings that have a field of their own in a cell."""


def collect(
    studies: Sequence[StudyResults],
    random: Mapping[str, float],
    *,
    headline: float = HEADLINE,
) -> Collection:
    """Group the cells of *studies*; a cell that several hold counts once, the first one.

    Raises:
        NotComparable: runs that would stand in one row were made with different settings.
    """
    cells = {cell.key: cell for study in reversed(studies) for cell in study.cells}
    grouped: dict[tuple[str, str, str, float | None, float | None], list[CellResult]] = {}
    for cell in cells.values():
        name = (cell.environment, cell.method, cell.variant, cell.sparsity, cell.penalty)
        grouped.setdefault(name, []).append(cell)
    groups = [
        Group(*name, cells=tuple(sorted(members, key=lambda cell: cell.seed)))
        for name, members in grouped.items()
    ]
    for group in groups:
        _check(group)
    return Collection(
        groups=tuple(sorted(groups, key=_place)),
        random=dict(random),
        headline=headline,
        environments=tuple(sorted({group.environment for group in groups})),
        methods=ordered({group.method for group in groups}),
    )


def _check(group: Group) -> None:
    what = f"{group.method} in {group.environment} at seed"
    for one, other in zip(group.cells, group.cells[1:], strict=False):
        if one.seed == other.seed:
            raise NotComparable(
                f"{what} {one.seed} was run twice with different settings ({one.key} and "
                f"{other.key}): leave one of the results out, or run one as a variant"
            )
        mine, theirs = (
            {name: value for name, value in cell.settings.items() if name not in _AXES}
            for cell in (one, other)
        )
        if mine != theirs:
            raise NotComparable(
                f"{what}s {one.seed} and {other.seed} was run with different settings ({mine} and "
                f"{theirs}): leave one of the results out, or run one as a variant"
            )


def _place(group: Group) -> tuple[object, ...]:
    variant = (group.variant != BASE, group.variant)
    return (
        group.environment,
        rank(group.method),
        variant,
        -1.0 if group.sparsity is None else group.sparsity,
        -1.0 if group.penalty is None else group.penalty,
    )
