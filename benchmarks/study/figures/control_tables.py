"""What pruning is worth: methods against their teachers and against their controls."""

from dspctl.benchmarks.study.figures.aggregate import common_environments
from dspctl.benchmarks.study.figures.collection import REFERENCE, Collection
from dspctl.benchmarks.study.figures.pairing import difference, paired
from dspctl.benchmarks.study.figures.wording import DASH, Notes, table

NO_CONTROLS = "No stored results have a method and its control yet."
_PAIRS = (
    ("dsp", "dense-small", "the same size from the first step"),
    ("dsp-kd", "kd-small", "the same size from the first step, the same teacher"),
    ("dsp-kd", REFERENCE, "the teacher"),
    ("kd-small", REFERENCE, "the teacher"),
    ("dsp-kd", "dsp", "no teacher"),
)
"""A method, what it is compared with, and what that is to it."""


def control_table(collection: Collection) -> str:
    """One row a comparison, a column an environment: differences of runs with the same seed."""
    environments = common_environments(collection)
    rows, notes = [], Notes()
    for method, other, what in _PAIRS:
        found = [
            paired(collection, collection.find(one, method), collection.find(one, other))
            for one in environments
        ]
        strata = [one for one in found if one is not None]
        if not strata:
            continue
        if len(strata) < len(found):
            notes.add("A dash: one of the two was not run there; no figure for all then.")
        rows.append(
            [
                f"`{method}` minus `{other}`",
                what,
                *(DASH if one is None else difference([one]) for one in found),
                difference(strata) if len(strata) == len(found) else DASH,
            ]
        )
    if not rows:
        return NO_CONTROLS
    return table(("", "The other is", *environments, "All"), rows, notes, left=(0, 1))
