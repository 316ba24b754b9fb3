"""``dspctl demo``: the whole way on CartPole, unpruned and pruned side by side.

It calls the functions the other commands call, one after the other, and nothing of its own.
"""

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dspctl.cli import bench, demo_report, show
from dspctl.cli.demo_report import ENVIRONMENT, PRUNED, UNPRUNED, Contender
from dspctl.cli.evaluate import play
from dspctl.cli.subjects import runnable_here
from dspctl.errors import MissingExtra, OutputExists

if TYPE_CHECKING:
    from dspctl.trainer import TrainConfig

_SPARSITY = 0.93
_BACKENDS = ("c", "native", "onnxruntime", "numpy")
_FOLDERS = {UNPRUNED: "unpruned", PRUNED: "pruned"}
# What tells a folder of the demo's from anybody else's; only the former is ever replaced.
_MARKER = ".dspctl-demo"


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
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Train, compact, export and benchmark CartPole, unpruned and pruned side by side.

    Takes a minute or two. Everything it makes stays in the output folder, pictures included.
    """
    from dspctl.benchmarks.request import Request
    from dspctl.runtime.files import write_json
    from dspctl.trainer import recipe

    _check_packages()
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
        output / "bench.json",
        # Its table compares calls, and the episodes are played already: the rest would only take
        # time.
        Request(backends=_BACKENDS, seconds=seconds, paced_seconds=0, episodes=0, executions=5),
        observations=contenders[PRUNED].run.observations(),
    )
    pictures = demo_report.draw_pictures(contenders, result, output)
    summary = demo_report.summary_json(contenders, output / "bench.json", pictures, seed)
    write_json(output / "summary.json", summary)
    if as_json:
        show.result_json(summary)
        return
    demo_report.draw_table(contenders, result)
    show.stdout().print(f"pictures and files: {output}/  (start with {output}/demo.png)")
    show.next_command(f"dspctl inspect {contenders[PRUNED].bundle}", "what would go to a vehicle")


def _check_packages() -> None:
    """Say now, not after minutes of training, that something to export or draw with is missing."""
    for package in ("onnx", "onnxruntime", "jinja2", "elftools", "matplotlib"):
        if find_spec(package) is None:
            raise MissingExtra(package, "all", "the demo")


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
    from dspctl.runtime import load, save_policy

    with show.training_bar(f"{label}: training") as on_progress:
        trainer.train(config, folder / "run", on_progress=on_progress)
    run = trainer.load_run(folder / "run")
    observations = run.observations()
    compaction = compact(run.policy(), observations=observations)
    save_policy(compaction.policy, folder / "policy.safetensors")
    bundle = runnable_here(compaction.policy, observations, folder / "bundle")
    with load(bundle) as runner:
        return Contender(run, compaction, bundle, play(runner, episodes))
