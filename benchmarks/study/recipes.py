"""The table of ``docs/recipes.md``: what each recipe reaches, from stored results.

``python -m dspctl.benchmarks.study.recipes [RESULTS]`` prints it.
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from dspctl.benchmarks.record.decode import decode
from dspctl.benchmarks.study.record import StudyResults, load_results
from dspctl.benchmarks.study.spec import BASE
from dspctl.errors import DspctlError, ResultProblem
from dspctl.runtime.strict_json import Fields, fields_from_json
from dspctl.runtime.untrusted import read_bytes

STORED = Path(__file__).resolve().parents[1] / "results"
_EARLIER_SCHEMA = 1
_LARGEST_BYTES = 1 << 20


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


def stored_rows(folder: Path = STORED) -> list[Row]:
    """The rows of ``recipes.json``, or of ``returns.json``, an earlier record without episodes.

    Raises:
        ResultProblem: neither is there, or it cannot be read.
    """
    if (path := folder / "recipes.json").is_file():
        return rows_from_results(load_results(path))
    return _rows_from_returns(folder / "returns.json")


def _rows_from_returns(path: Path) -> list[Row]:
    """The rows of the earlier record, which has a cell's mean but not its episodes."""
    try:
        content = fields_from_json(read_bytes(path, _LARGEST_BYTES), "it")
        if (schema := content.integer("schema")) != _EARLIER_SCHEMA:
            raise ValueError(f"schema {schema}, not {_EARLIER_SCHEMA}")
        cells = content.take("cells")
        if not isinstance(cells, list):
            raise ValueError("its cells are no list")
        return [_row_from_json(Fields(cell, "a cell")) for cell in cells]
    except (OSError, ValueError) as error:
        raise ResultProblem(
            f"{path} holds no returns ({error}): make them with  make returns"
        ) from error


def _row_from_json(cell: Fields) -> Row:
    """What the table needs of a cell; the earlier record has more in it."""
    return Row(
        environment=cell.name("environment"),
        method=cell.name("method"),
        seed=cell.integer("seed"),
        mean=cell.number("mean"),
        units=decode(tuple[int, ...], cell.take("units"), "units"),
        weight_sparsity=cell.number("weight_sparsity"),
        seconds=cell.number("seconds"),
    )


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
        rows = rows_from_results(load_results(Path(arguments[0]))) if arguments else stored_rows()
    except DspctlError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    print(markdown_table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
