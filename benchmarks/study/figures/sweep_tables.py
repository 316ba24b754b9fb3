"""Return against sparsity, as a table."""

from dspctl.benchmarks.study.figures.collection import Collection, Group
from dspctl.benchmarks.study.figures.tables import kept
from dspctl.benchmarks.study.figures.wording import (
    DASH,
    Notes,
    percent,
    share,
    share_gone,
    table,
    with_deviation,
)

NO_SWEEP = "No stored results have a method at several sparsities yet."


def swept(collection: Collection) -> tuple[str, ...]:
    """Methods that some environment has at several sparsities."""
    return tuple(
        method
        for method in collection.methods
        if any(len(sweep(collection, one, method)) > 1 for one in collection.environments)
    )


def swept_environments(collection: Collection) -> tuple[str, ...]:
    """Environments where some method was run at several sparsities."""
    return tuple(
        environment
        for environment in collection.environments
        if any(len(sweep(collection, environment, method)) > 1 for method in swept(collection))
    )


def sweep(collection: Collection, environment: str, method: str) -> list[Group]:
    """A method's groups in an environment, at the recipe's lambda, by sparsity."""
    found = [
        collection.find(environment, method, sparsity=sparsity)
        for sparsity in collection.sparsities(method)
    ]
    return [group for group in found if group is not None]


def sweep_table(collection: Collection) -> str:
    """One row per environment and sparsity, two columns a method: return, and share kept."""
    methods = swept(collection)
    if not methods:
        return NO_SWEEP
    sparsities = sorted({one for method in methods for one in collection.sparsities(method)})
    head = ["Environment", "Sparsity"]
    for method in methods:
        head += [f"`{method}`, mean ± sd", "kept", "weights gone"]
    rows, notes = [], Notes()
    for environment in swept_environments(collection):
        reference = collection.reference(environment)
        for sparsity in sparsities:
            row, present = [environment, percent(sparsity)], False
            for method in methods:
                group = collection.find(environment, method, sparsity=sparsity)
                present |= group is not None
                row += (
                    [DASH] * 3
                    if group is None
                    else [
                        with_deviation(group),
                        share(kept(group, reference)),
                        share_gone(group.weights_left),
                    ]
                )
            if present:
                rows.append(row)
                if DASH in row[2::3]:
                    notes.add("A dash in place of a return: not run.")
        if reference is not None and reference.mean <= 0:
            notes.add(f"{environment}: the unpruned return is not positive, so no share is given.")
        if reference is None:
            notes.add(f"{environment}: the unpruned PPO was not run, so no share is given.")
    return table(head, rows, notes)
