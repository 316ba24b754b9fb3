"""The blocks of a document that are made from results, and putting them into it.

A block stands between ``<!-- name -->`` and ``<!-- end name -->``, each on a line of its own; what
is around it is prose, which stays as it is.
"""

from collections.abc import Callable, Mapping, Sequence

from dspctl.benchmarks.study.figures.ablation_tables import NO_ABLATIONS, ablations
from dspctl.benchmarks.study.figures.aggregate import (
    NOT_NORMALISED,
    aggregate_table,
    scaled_environments,
)
from dspctl.benchmarks.study.figures.collection import Collection
from dspctl.benchmarks.study.figures.control_tables import control_table
from dspctl.benchmarks.study.figures.paper import paper_table
from dspctl.benchmarks.study.figures.smallest_tables import NO_SEARCHES, smallest_table
from dspctl.benchmarks.study.figures.sweep_plots import lambda_methods
from dspctl.benchmarks.study.figures.sweep_tables import NO_SWEEP, sweep_table
from dspctl.benchmarks.study.figures.tables import NOTHING, results
from dspctl.benchmarks.study.figures.wording import Notes, seeds, table
from dspctl.benchmarks.study.record import StudyResults
from dspctl.benchmarks.study.smallest.record import Smallest
from dspctl.errors import ConfigProblem

Missing = Callable[[Collection], str]

PICTURES: Mapping[str, tuple[str, Missing]] = {
    "profiles": (
        "Share of runs above each normalised return, with pointwise 95% intervals; methods and "
        "environments as in the table above",
        lambda found: NOTHING if not found.groups else _few(found),
    ),
    "improvement": (
        "Probability that a run of one method has a higher return than one of another, with 95% "
        "intervals",
        lambda found: NOTHING if not found.groups else "Only one method is stored so far.",
    ),
    "frontier": (
        "Normalised return against weights left, every method and sparsity; bars from the lowest "
        "to the highest seed, hollow markers at the weights that are not 0; what lies far below "
        "a random policy is written at the edge",
        lambda found: NOTHING if not found.groups else _few(found),
    ),
    "sweep": (
        "Mean return against sparsity, with 95% intervals; small dots are seeds; what lies far "
        "below a random policy is written at the edge",
        lambda found: NO_SWEEP,
    ),
    "ablations": (
        "What every variant adds to the normalised return of the method as it is: means over seeds "
        "with 95% intervals, small dots are seeds",
        lambda found: NO_ABLATIONS,
    ),
    "smallest": (
        "Share of the teacher's return that each network keeps, at the lower end of a 95% "
        "interval, against its hidden units; filled: passes, hollow: fails, ringed: delivered",
        lambda found: NO_SEARCHES,
    ),
    "learning": (
        "Return of training episodes, mean over seeds with 95% intervals",
        lambda found: NOTHING,
    ),
    "units": (
        "Units per hidden layer while training, mean over seeds, lowest to highest shaded",
        lambda found: "No stored results have runs from which units left yet.",
    ),
}
"""Pictures that there is one of: name → what it shows, and what to say where it is not there."""

NO_LAMBDAS = "No stored results have a method at several lambdas yet."


def blocks_of(
    studies: Mapping[str, StudyResults],
    collection: Collection,
    images: Sequence[str],
    folder: str,
    smallest: Smallest | None = None,
) -> dict[str, str]:
    """Every block by its name, in Markdown.

    Args:
        studies: name of the file → what it holds.
        collection: all of them together.
        images: names of the pictures that were drawn, without ending.
        folder: where these are, as seen from the document.
        smallest: searches for the smallest network, if any are stored.
    """
    found = {
        "provenance": provenance(studies),
        "results": results(collection),
        "aggregate": aggregate_table(collection),
        "control table": control_table(collection),
        "sweep table": sweep_table(collection),
        "ablation table": ablations(collection),
        "smallest table": smallest_table(smallest),
        "paper": paper_table(),
    }
    for name, (caption, missing) in PICTURES.items():
        picture = _picture(folder, name, caption)
        found[f"{name} picture"] = picture if name in images else missing(collection)
    grids = [
        _picture(folder, f"lambda-{method}", f"`{method}`: mean return over lambda and sparsity")
        for method in lambda_methods(collection)
    ]
    found["lambda pictures"] = "\n\n".join(grids) or NO_LAMBDAS
    return found


def provenance(studies: Mapping[str, StudyResults]) -> str:
    """Which files the document is made from, and what they hold."""
    if not studies:
        return NOTHING
    rows = []
    for name, study in studies.items():
        cells = study.cells
        rows.append(
            [
                f"`{name}`",
                study.name,
                str(len(cells)),
                ", ".join(sorted({cell.environment for cell in cells})),
                seeds(sorted({cell.seed for cell in cells})),
                ", ".join(str(count) for count in sorted({len(cell.returns) for cell in cells})),
                "; ".join(dict.fromkeys(_machine(one) for one in study.machines.values())),
            ]
        )
    head = ("File", "Study", "Cells", "Environments", "Seeds", "Episodes", "Machine")
    notes, keys = Notes(), [cell.key for study in studies.values() for cell in study.cells]
    if len(set(keys)) < len(keys):
        notes.add(
            f"Some cells are in several files: {len(set(keys))} in all, each counted once, as it "
            "is in the first."
        )
    return table(head, rows, notes, left=(0, 1, 3, 6))


def replace_blocks(text: str, blocks: Mapping[str, str]) -> str:
    """*text* with every block replaced.

    Raises:
        ConfigProblem: a block's marks are not there, or not once, or the wrong way round.
    """
    for name, content in blocks.items():
        start, stop = f"<!-- {name} -->\n", f"<!-- end {name} -->\n"
        once = text.count(start) == text.count(stop) == 1
        if not once or text.index(start) > text.index(stop):
            raise ConfigProblem(
                f"the document has no place for the block '{name}': put a line <!-- {name} --> and "
                f"a line <!-- end {name} --> after it, each once, where it shall stand"
            )
        before, rest = text.split(start)
        _, after = rest.split(stop)
        text = f"{before}{start}\n{content}\n\n{stop}{after}"
    return text


def _few(collection: Collection) -> str:
    if not scaled_environments(collection):
        return NOT_NORMALISED
    return "Fewer than two methods can be compared so far."


def _picture(folder: str, name: str, caption: str) -> str:
    return f"![{caption}]({folder}/{name}.png)\n\n{caption}."


def _machine(values: Mapping[str, object]) -> str:
    """Processor and versions of one machine, as far as its record names them."""
    libraries = values.get("libraries")
    versions = libraries if isinstance(libraries, Mapping) else {}
    named = ("dspctl", "numpy", "gymnasium", "envpool", "mujoco")
    cores = f"{values['cores']} cores" if "cores" in values else ""
    parts = [str(values.get("cpu", "")), cores, str(values.get("python", ""))]
    parts += [f"{name} {versions[name]}" for name in named if name in versions]
    return ", ".join(part for part in parts if part)
