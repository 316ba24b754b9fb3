"""The table of ablations: every variant of a method against the method as it is."""

from dspctl.benchmarks.study.figures.collection import BASE, Collection, FloatArray
from dspctl.benchmarks.study.figures.pairing import difference, paired
from dspctl.benchmarks.study.figures.wording import (
    DASH,
    Notes,
    layouts,
    named_seeds,
    table,
    with_deviation,
)

NO_ABLATIONS = "No stored results have ablations yet."


def variants(collection: Collection, method: str) -> tuple[str, ...]:
    """Names of a method's ablations over all environments, in alphabetical order."""
    return tuple(
        sorted(
            {name for one in collection.environments for name in collection.variants(one, method)}
        )
    )


def worth(collection: Collection, environment: str, method: str, variant: str) -> FloatArray | None:
    """What a variant adds to the method as it is, as `paired` has it."""
    ours = collection.find(environment, method, variant=variant)
    return paired(collection, ours, collection.find(environment, method))


def ablations(collection: Collection) -> str:
    """Every variant against its base: returns, and the difference of runs with the same seed."""
    rows: list[list[str]] = []
    notes = Notes()
    for method in collection.methods:
        if names := variants(collection, method):
            for name in (BASE, *names):
                rows += _variant_rows(collection, method, name, notes)
    if not rows:
        return NO_ABLATIONS
    for environment in collection.environments:
        _note_missing_seeds(collection, environment, notes)
    head = ("Method", "Variant", "Environment", "Mean ± sd over seeds", "Units left")
    return table((*head, "Difference [95%]"), rows, notes, left=(0, 1, 2))


def _variant_rows(
    collection: Collection, method: str, variant: str, notes: Notes
) -> list[list[str]]:
    """One row an environment, and one over all of them where there are several."""
    rows, strata = [], []
    name = "as it is" if variant == BASE else variant
    for environment in collection.environments:
        if not collection.variants(environment, method):
            continue
        group = collection.find(environment, method, variant=variant)
        start = [f"`{method}`", name, environment]
        if group is None:
            notes.add("A row of dashes: not run there, or not at this sparsity.")
            rows.append([*start, *[DASH] * 3])
            continue
        found = None
        if variant != BASE:
            found = worth(collection, environment, method, variant)
            if found is None:
                notes.add(
                    "A dash for a difference: no run as it is with the same seed, or no scale."
                )
            else:
                strata.append(found)
        rows.append(
            [
                *start,
                with_deviation(group),
                layouts(group),
                DASH if found is None else difference([found]),
            ]
        )
    if len(strata) > 1:
        rows.append([f"`{method}`", name, f"all {len(strata)}", DASH, DASH, difference(strata)])
    return rows


def _note_missing_seeds(collection: Collection, environment: str, notes: Notes) -> None:
    """Say which variants lack seeds that the method as it is has."""
    every, short = 0, dict[tuple[int, ...], list[str]]()
    for method in collection.methods:
        base = collection.find(environment, method)
        for variant in collection.variants(environment, method):
            group = collection.find(environment, method, variant=variant)
            every += 1
            if base is not None and group is not None and set(base.seeds) > set(group.seeds):
                short.setdefault(group.seeds, []).append(f"`{method}` {variant}")
    for found, names in short.items():
        who = "all variants" if len(names) == every else ", ".join(names)
        notes.add(f"{environment}: {who} with {named_seeds(found)} only.")
