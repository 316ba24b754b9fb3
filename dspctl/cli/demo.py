"""``dspctl demo``: the whole way on CartPole, unpruned and pruned side by side.

It calls the functions the other commands call, one after the other, and nothing of its own.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dspctl.cli import bench, show
from dspctl.cli.evaluate import play
from dspctl.errors import OutputExists

if TYPE_CHECKING:
    from dspctl.benchmarks import BenchResult
    from dspctl.compactor import Compaction
    from dspctl.trainer import Evaluation, Run, TrainConfig

ENVIRONMENT = "CartPole-v1"
UNPRUNED, PRUNED = "unpruned PPO", "DSP 93%"
_SPARSITY = 0.93
_FOLDERS = {UNPRUNED: "unpruned", PRUNED: "pruned"}
# What tells a folder of the demo's from anybody else's; only the former is ever replaced.
_MARKER = ".dspctl-demo"


@dataclass(frozen=True, eq=False)
class Contender:
    """One of the two policies, all the way through."""

    run: "Run"
    compaction: "Compaction"
    bundle: Path
    evaluation: "Evaluation"


def demo(
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FOLDER", help="Folder; one the demo wrote is replaced."
        ),
    ] = Path("demo"),
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of both training runs.")] = 0,
    steps: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Steps of each training run.", show_default="from the recipe"
        ),
    ] = None,
    episodes: Annotated[
        int, typer.Option(min=1, metavar="N", help="Episodes of each evaluation.")
    ] = 100,
    seconds: Annotated[
        float,
        typer.Option(min=0.1, metavar="S", help="Latency measurement per backend, in seconds."),
    ] = 10.0,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Train, compact, export and benchmark CartPole, unpruned and pruned side by side.

    Takes a few minutes. Everything it makes stays in the output folder, pictures included.
    """
    from dspctl.runtime.files import write_json
    from dspctl.trainer import recipe

    configs = {
        UNPRUNED: recipe(ENVIRONMENT, method="ppo", seed=seed, steps=steps),
        PRUNED: recipe(ENVIRONMENT, method="dsp", sparsity=_SPARSITY, seed=seed, steps=steps),
    }
    _start_folder(output)
    contenders = {
        label: _contender(label, config, output / _FOLDERS[label], episodes)
        for label, config in configs.items()
    }
    result = bench.run(
        {label: one.bundle for label, one in contenders.items()},
        backends=None,
        seconds=seconds,
        output=output / "bench.json",
    )
    pictures = _draw_pictures(contenders, result, output)
    summary = _summary(contenders, result, pictures, seed)
    write_json(output / "summary.json", summary)
    if json:
        show.result_json(summary)
        return
    _draw_table(contenders, result)
    show.stdout().print(f"pictures and files: {output}/  (start with {output}/demo.png)")
    show.next_command(f"dspctl inspect {contenders[PRUNED].bundle}", "what would go to a vehicle")


def _start_folder(output: Path) -> None:
    """Empty a folder the demo made before; refuse any other that holds something."""
    if output.exists() and not output.is_dir():
        raise OutputExists(f"{output} is a file: choose another folder with  -o")
    if output.is_dir() and any(output.iterdir()):
        if not (output / _MARKER).is_file():
            raise OutputExists(
                f"{output} holds files that the demo did not write, so it is not replaced: "
                "choose another folder with  -o"
            )
        for entry in output.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != _MARKER:
                entry.unlink()
    from dspctl.runtime.files import write_bytes

    write_bytes(output / _MARKER, b"Made by dspctl demo, which replaces this folder.\n")


def _contender(label: str, config: "TrainConfig", folder: Path, episodes: int) -> Contender:
    """Train, compact, export and evaluate one policy."""
    from dspctl import trainer
    from dspctl.compactor import compact
    from dspctl.exporter import export
    from dspctl.runtime import load, save_policy

    with show.training_bar(f"{label}: training") as on_progress:
        trainer.train(config, folder / "run", on_progress=on_progress)
    run = trainer.load_run(folder / "run")
    observations = run.observations()
    compaction = compact(run.policy(), observations=observations)
    save_policy(compaction.policy, folder / "policy.safetensors")
    bundle = export(compaction.policy, "cpu", folder / "bundle", observations=observations).path
    with load(bundle) as runner:
        return Contender(run, compaction, bundle, play(runner, episodes))


def _draw_pictures(
    contenders: dict[str, Contender], result: "BenchResult", output: Path
) -> list[Path]:
    from dspctl.benchmarks import plots

    sides, fastest = [], {}
    for label, one in contenders.items():
        fastest[label] = result.fastest(label)
        latency = fastest[label]
        sides.append(
            plots.Side(
                label,
                one.compaction.policy,
                one.evaluation.mean,
                None if latency is None else latency.p50_ns.estimate,
            )
        )
    metrics = {label: [one.run.metrics()] for label, one in contenders.items()}
    backend = next((one.backend for one in fastest.values() if one is not None), "")
    episodes = contenders[PRUNED].evaluation.episodes
    note = f"{episodes} episodes · {backend} on {bench.where(result)}"
    return [
        plots.plot_card(*sides, output / "demo.png", title=ENVIRONMENT, note=note),
        plots.plot_learning(metrics, output / "learning.png"),
        plots.plot_units(contenders[PRUNED].run.metrics(), output / "units.png"),
        plots.plot_weights(_weights(contenders), output / "weights.png"),
        plots.plot_latency(result.samples, output / "latency.png"),
    ]


def _weights(contenders: dict[str, Contender]) -> dict[str, Any]:
    pruned = contenders[PRUNED]
    return {
        UNPRUNED: contenders[UNPRUNED].compaction.policy,
        f"{PRUNED}, masked": pruned.run.policy(),
        f"{PRUNED}, compacted": pruned.compaction.policy,
    }


def _draw_table(contenders: dict[str, Contender], result: "BenchResult") -> None:
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
    for backend in result.backends:
        latencies = [result.latency_of(label, backend) for label in contenders]
        rows.append(
            (
                f"latency, {backend}",
                *("–" if x is None else show.latency(x.p50_ns.estimate) for x in latencies),
                _ratio(result, "latency_p50", backend),
            )
        )
    for backend in dict.fromkeys(memory.backend for memory in result.memory):
        found = [result.memory_of(label, backend) for label in contenders]
        peaks = [None if x is None else x.median("peak_rss_bytes") for x in found]
        rows.append(
            (f"peak memory, {backend}", *("–" if x is None else show.size(x) for x in peaks), "")
        )
    episodes = after.evaluation.episodes
    show.table(
        f"{ENVIRONMENT}, {episodes} episodes, {bench.where(result)}",
        ("", UNPRUNED, PRUNED, "ratio"),
        rows,
    )


def _ratio(result: "BenchResult", quantity: str, backend: str | None = None) -> str:
    found = result.ratio_of(quantity, PRUNED, backend)
    if found is None:
        return ""
    value = found.value
    if value.low == value.high:
        return show.times(value.estimate)
    return f"{show.times(value.estimate)} [{show.times(value.low)}, {show.times(value.high)}]"


def _summary(
    contenders: dict[str, Contender], result: "BenchResult", pictures: list[Path], seed: int
) -> dict[str, Any]:
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
        "bench": result.to_json(),
        "pictures": [picture.name for picture in pictures],
    }
