"""The table of ``docs/recipes.md``: what each recipe reaches, from stored results.

``python -m dspctl.benchmarks.study.recipes [RESULTS]`` prints it.
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from dspctl.benchmarks.study.record import StudyResults, load_results
from dspctl.benchmarks.study.spec import BASE
from dspctl.errors import DspctlError

STORED = Path(__file__).resolve().parents[1] / "results" / "recipes.json"


@dataclass(frozen=True)
class Row:
    """What the table needs of one cell.

    Attributes:
        environment: gymnasium id.
        method: pruning method.
        seed: training seed.
        mean: mean return over the evaluation's episodes.
        units: hidden units of the compact policy.
        weight_sparsity: share of weights gone, counted on the compact policy (Eq 21).
        seconds: training time.
    """

    environment: str
    method: str
    seed: int
    mean: float
    units: tuple[int, ...]
    weight_sparsity: float
    seconds: float


def rows_from_results(results: StudyResults) -> list[Row]:
    """The cells of a study without its variants."""
    return [
        Row(
            environment=cell.environment,
            method=cell.method,
            seed=cell.seed,
            mean=cell.mean_return,
            units=cell.units,
            weight_sparsity=1 - cell.weights / cell.original_weights,
            seconds=cell.seconds,
        )
        for cell in results.cells
        if cell.variant == BASE
    ]


def markdown_table(rows: Iterable[Row]) -> str:
    """One row per environment and method: mean over seeds, each seed's mean, units, weights."""
    lines = [
        "| Environment | Method | Mean over seeds | Each seed | Units left | Weights gone | "
        "Training, one thread |",
        "|---|---|---|---|---|---|---|",
    ]
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in sorted(rows, key=lambda row: (row.environment, row.method, row.seed)):
        groups.setdefault((row.environment, row.method), []).append(row)
    for (environment, method), group in groups.items():
        returns = [row.mean for row in group]
        layouts = ", ".join(dict.fromkeys("-".join(map(str, row.units)) for row in group))
        lines.append(
            f"| {environment} | {method} | {mean(returns):.1f} ({len(group)}) | "
            f"{', '.join(f'{value:.0f}' for value in returns)} | {layouts} | "
            f"{mean(row.weight_sparsity for row in group):.1%} | "
            f"{mean(row.seconds for row in group):.0f} s |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Print the table of a results file, or of the stored ones; returns the exit code."""
    try:
        rows = rows_from_results(load_results(Path(arguments[0]) if arguments else STORED))
    except DspctlError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    print(markdown_table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
