"""What a study has reached, as tables and as JSON."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

from dspctl.cli import show

if TYPE_CHECKING:
    from dspctl.benchmarks.study.progress import Best, Failure, Outcome
    from dspctl.benchmarks.study.record import CellResult


def failed(failure: "Failure") -> Text:
    """Which cell was given up, and why."""
    return Text.assemble((f"{failure.title}: ", "bold red"), failure.reason)


def name(result: "CellResult") -> str:
    """A cell in words, without its seed."""
    words = [result.environment, result.method]
    if result.sparsity is not None:
        words.append(show.share(result.sparsity))
    if result.variant != "base":
        words.append(f"({result.variant})")
    return " ".join(words)


def _groups(outcome: "Outcome") -> list[list["CellResult"]]:
    """Finished cells that differ only in their seed, in the order of their names."""
    groups: dict[tuple[Any, ...], list[CellResult]] = {}
    for cell in outcome.results.cells:
        key = (
            cell.environment,
            cell.variant != "base",
            cell.variant,
            cell.sparsity is not None,
            cell.method,
            cell.sparsity or 0.0,
            cell.penalty if cell.penalty is not None else -1.0,
        )
        groups.setdefault(key, []).append(cell)
    return [groups[key] for key in sorted(groups)]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _or_dash(value: float | None, words: Callable[[float], str]) -> str:
    return "–" if value is None else words(value)


def print_study(outcome: "Outcome", best: "Sequence[Best]") -> None:
    """Print mean returns, what a search found, what failed, and where everything is."""
    rows = []
    for group in _groups(outcome):
        one, means = group[0], [cell.mean_return for cell in group]
        rows.append(
            (
                one.environment,
                one.method if one.variant == "base" else f"{one.method} ({one.variant})",
                _or_dash(one.sparsity, show.share),
                _or_dash(one.penalty, "{:g}".format),
                str(len(group)),
                show.number(_mean(means)),
                show.number(min(means)),
            )
        )
    columns = ("environment", "method", "sparsity", "lambda", "seeds", "return", "worst seed")
    if rows:
        show.table(outcome.results.name, columns, rows, words=2)
    if best:
        found = [
            (
                one.environment,
                one.method,
                _or_dash(one.sparsity, show.share),
                _or_dash(one.penalty, "{:g}".format),
                show.number(one.mean),
                str(one.trials),
            )
            for one in best
        ]
        names = ("environment", "method", "sparsity", "lambda", "return", "combinations tried")
        show.table("the best of the search", names, found, words=2)
    for failure in outcome.failures:
        show.stderr().print(failed(failure))
    finished = f"{len(outcome.results.cells)} runs, {len(outcome.ran)} of them now"
    if outcome.reused:
        finished += f", {len(outcome.reused)} taken over"
    show.facts(
        str(outcome.folder),
        {
            "finished": finished,
            "failed": str(len(outcome.failures)),
            "results": str(outcome.folder / "results.json"),
            "tables": str(outcome.folder / "results.sqlite"),
        },
    )


def as_json(outcome: "Outcome") -> dict[str, Any]:
    """The same as plain JSON values."""
    return {
        "study": outcome.results.name,
        "folder": str(outcome.folder),
        "results": str(outcome.folder / "results.json"),
        "stopped": outcome.stopped,
        "ran": list(outcome.ran),
        "reused": list(outcome.reused),
        "failures": [vars(failure) for failure in outcome.failures],
        "groups": [
            {
                "environment": group[0].environment,
                "method": group[0].method,
                "variant": group[0].variant,
                "sparsity": group[0].sparsity,
                "penalty": group[0].penalty,
                "seeds": [cell.seed for cell in group],
                "returns": [cell.mean_return for cell in group],
                "mean": _mean([cell.mean_return for cell in group]),
            }
            for group in _groups(outcome)
        ],
    }
