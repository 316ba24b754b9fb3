"""What the demo shows of the two policies: a table, pictures, and the figures as JSON."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dspctl.cli import show
from dspctl.cli.bench_report import shared_median, where

if TYPE_CHECKING:
    from dspctl.benchmarks import BenchResult
    from dspctl.compactor import Compaction
    from dspctl.trainer import Evaluation, Run

ENVIRONMENT = "CartPole-v1"
UNPRUNED, PRUNED = "unpruned PPO", "DSP 93%"


@dataclass(frozen=True, eq=False)
class Contender:
    """One of the two policies, all the way through."""

    run: "Run"
    compaction: "Compaction"
    bundle: Path
    evaluation: "Evaluation"


def draw_pictures(
    contenders: dict[str, Contender],
    result: "BenchResult",
    output: Path,
) -> list[Path]:
    """Draw everything there is to see; returns the pictures, the best first.

    Args:
        contenders: the two policies.
        result: their benchmark.
        output: the folder for the pictures.
    """
    from dspctl.benchmarks import plots

    fastest = result.fastest(PRUNED)
    backend = "" if fastest is None else _called(fastest.backend)
    before, after = (
        plots.Side(
            label,
            one.compaction.policy,
            one.evaluation.mean,
            shared_median(result, label),
        )
        for label, one in contenders.items()
    )
    metrics = {label: [one.run.metrics()] for label, one in contenders.items()}
    episodes = contenders[PRUNED].evaluation.episodes
    note = f"{episodes} episodes · {backend} on {where(result)}"
    return [
        plots.plot_card(before, after, output / "demo.png", title=ENVIRONMENT, note=note),
        plots.plot_learning(metrics, output / "learning.png"),
        plots.plot_units(contenders[PRUNED].run.metrics(), output / "units.png"),
        plots.plot_weights(_weights(contenders), output / "weights.png"),
        plots.plot_latency(result.samples, output / "latency.png", medians=result.medians),
    ]


def _weights(contenders: dict[str, Contender]) -> dict[str, Any]:
    pruned = contenders[PRUNED]
    return {
        UNPRUNED: contenders[UNPRUNED].compaction.policy,
        f"{PRUNED}, masked": pruned.run.policy(),
        f"{PRUNED}, compacted": pruned.compaction.policy,
    }


def draw_table(contenders: dict[str, Contender], result: "BenchResult") -> None:
    """Print both policies side by side."""
    before, after = contenders[UNPRUNED], contenders[PRUNED]
    one, two = before.compaction.after, after.compaction.after
    rows = [
        ("hidden units", show.units(one.units), show.units(two.units), _ratio(result, "units")),
        ("weights", show.count(one.weights), show.count(two.weights), _ratio(result, "weights")),
        (
            "parameters",
            show.size(one.size_bytes),
            show.size(two.size_bytes),
            _ratio(result, "parameter_bytes"),
        ),
        ("return", *(show.number(c.evaluation.mean) for c in (before, after)), ""),
        (
            "  95% interval",
            *(show.interval(c.evaluation.ci_low, c.evaluation.ci_high) for c in (before, after)),
            "",
        ),
    ]
    rows.append(("training", *(show.duration(c.run.info["seconds"]) for c in (before, after)), ""))
    for backend in result.backends:
        latencies = [result.latency_of(label, backend) for label in contenders]
        rows.append(
            (
                f"latency, {_called(backend)}",
                *("–" if x is None else show.latency(x.p50_ns.estimate) for x in latencies),
                _ratio(result, "latency_p50", backend),
            )
        )
    for backend in dict.fromkeys(memory.backend for memory in result.memory):
        found = [result.memory_of(label, backend) for label in contenders]
        peaks = [None if x is None else x.median("peak_rss_bytes") for x in found]
        rows.append(
            (
                f"peak memory, {backend}",
                *("–" if x is None else show.size(x) for x in peaks),
                _ratio(result, "memory_peak", backend),
            )
        )
    # `compact` has raised if they were not: the row says on how much that rests.
    rows.append(("compact = masked", *(_proof(c) for c in (before, after)), ""))
    episodes = after.evaluation.episodes
    show.table(
        f"{ENVIRONMENT}, {episodes} episodes, {where(result)}",
        ("", UNPRUNED, PRUNED, "ratio"),
        rows,
    )


def _called(backend: str) -> str:
    """``c`` in words; the other names say what they are."""
    return "generated C" if backend == "c" else backend


def _proof(contender: Contender) -> str:
    proof = contender.compaction.proof
    return f"{show.count(proof.recorded + proof.edges)} obs., Δ {proof.max_error:.1g}"


def _ratio(result: "BenchResult", quantity: str, backend: str | None = None) -> str:
    found = result.ratio_of(quantity, PRUNED, backend)
    return "" if found is None else show.times(found.value.estimate)


def summary_json(
    contenders: dict[str, Contender],
    result: Path,
    pictures: list[Path],
    seed: int,
) -> dict[str, Any]:
    """The demo's figures as JSON values."""
    return {
        "environment": ENVIRONMENT,
        "seed": seed,
        "policies": {
            label: {
                "training": {
                    name: one.run.info.get(name) for name in ("steps", "seconds", "time_split_s")
                },
                "compaction": {
                    name: value
                    for name, value in one.compaction.to_json().items()
                    if name != "removals"
                },
                "evaluation": one.evaluation.to_json(),
            }
            for label, one in contenders.items()
        },
        "bench": json.loads(result.read_text()),
        "pictures": [picture.name for picture in pictures],
    }
