"""``dspctl train``: a run from an environment id, every setting a flag."""

import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dspctl.cli import repeat, show
from dspctl.cli.evaluate import play
from dspctl.cli.interrupt import EXIT_INTERRUPTED, stop_on_signal
from dspctl.cli.settings import settings_as_flags
from dspctl.errors import ConfigProblem, RunProblem

if TYPE_CHECKING:
    from dspctl.trainer import Evaluation, Run, TrainConfig, TrainResult


@settings_as_flags
def train(
    environment: Annotated[
        str | None,
        typer.Argument(metavar="ENV", help="Gymnasium environment id, such as CartPole-v1."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="RUN",
            help="Run folder.",
            show_default="runs/ENV-METHOD-seedSEED",
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Go on with a run, under its own settings."),
    ] = None,
    like: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN", help="Repeat a run, into RUN-again or -o; flags replace its settings."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the run folder.")] = False,
    no_eval: Annotated[
        bool, typer.Option("--no-eval", help="Do not evaluate the policy afterwards.")
    ] = False,
    episodes: Annotated[
        int, typer.Option(min=1, metavar="N", help="Episodes of that evaluation.")
    ] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    **settings: Any,
) -> None:
    """Train a policy with PPO, pruning it on the way.

    Settings that are not given come from the environment's recipe. Ctrl-C writes a checkpoint;
    **--resume RUN** goes on from there. **--like RUN** repeats a run from what it recorded.
    """
    from dspctl import trainer
    from dspctl.runtime import NumpyRunner

    original, found = None, {}
    if resume is not None:
        _refuse_settings(environment, output, like, force, settings)
        config, run = _unfinished(trainer.load_run(resume)), resume
    elif like is not None:
        original = trainer.load_run(like)
        config = repeat.settings_like(original, environment, settings)
        run = repeat.place_like(original, output)
        found = repeat.differences_here(original)
        repeat.warn(original, found)
    elif environment is None:
        raise typer.BadParameter("name an environment, such as CartPole-v1, or pass --resume RUN")
    else:
        config = trainer.recipe(environment, **settings)
        run = output or default_run(config)

    title = f"{config.environment} {config.method}"
    with stop_on_signal() as should_stop, show.training_bar(title) as on_progress:
        result = trainer.train(
            config,
            run,
            resume=resume is not None,
            changes=None if resume is None else _given(settings),
            force=force,
            on_progress=on_progress,
            should_stop=should_stop,
        )
    if not result.finished:
        show.note(
            f"stopped after {show.count(result.steps)} steps with a checkpoint: go on with  "
            f"dspctl train --resume {run}"
        )
        raise typer.Exit(EXIT_INTERRUPTED)

    opened = trainer.load_run(run)
    measured = play(NumpyRunner(opened.policy()), episodes) if not no_eval else None
    same = None if original is None else repeat.same_policy(original, run)
    if as_json:
        answer = _json(opened, result, measured)
        if original is not None:
            answer["like"] = {"run": str(like), "same_policy": same, "differences": found}
        show.result_json(answer)
    else:
        if original is not None:
            show.note(repeat.outcome(original, same))
        show.facts(str(run), _summary(opened, result, measured))
        show.next_command(f"dspctl compact {run} -o policy.safetensors", "a minimal dense network")


def default_run(config: "TrainConfig") -> Path:
    """Where a run goes when no folder is named."""
    name = re.sub(r"[^\w.-]+", "-", config.environment)  # my_package:Namespace/Task-v0
    return Path("runs", f"{name}-{config.method}-seed{config.seed}")


def _unfinished(run: "Run") -> "TrainConfig":
    """The settings of a run that has steps left."""
    if run.finished:
        raise RunProblem(
            f"{run.path} is finished, there is nothing to resume: look at it with  "
            f"dspctl inspect {run.path}  or train longer in a new run with --steps"
        )
    return run.config


def _given(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value is not None}


def _refuse_settings(
    environment: str | None,
    output: Path | None,
    like: Path | None,
    force: bool,
    settings: dict[str, Any],
) -> None:
    """Refuse what a run that goes on cannot take."""
    from dspctl.trainer.runs.resuming import ADJUSTABLE

    fixed = [name for name in _given(settings) if name not in ADJUSTABLE]
    given = [f"--{name.replace('_', '-')}" for name in fixed]
    others = (("--output", output), ("--like", like), ("--force", force))
    given += [name for name, value in others if value]
    if environment is not None:
        given.insert(0, environment)
    if given:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in ADJUSTABLE)
        raise ConfigProblem(
            f"--resume goes on with the run's own settings: leave out {', '.join(given)}, or "
            f"start a new run; only {flags} may change on the way"
        )


def _sparsity(config: "TrainConfig", units: tuple[int, ...]) -> float:
    return 1 - sum(units) / sum(config.hidden) if config.hidden else 0.0


def _weights_gone(run: "Run") -> float:
    """Share of the unpruned actor's weights that the policy does not have, or has as 0."""
    policy = run.policy()
    alive: Any = slice(None)
    left = 0
    for layer in policy.layers:
        left += int((layer.weight[layer.kept][:, alive] != 0).sum())
        alive = layer.kept
    sizes = (policy.observation.size, *run.config.hidden, policy.layers[-1].width)
    return 1 - left / sum(a * b for a, b in pairwise(sizes))


def _summary(run: "Run", result: "TrainResult", measured: "Evaluation | None") -> dict[str, str]:
    config = run.config
    entries = {}
    if measured is not None:
        entries["return"] = f"{show.returns(measured)}, {measured.episodes} episodes"
    entries["units"] = f"{show.units(result.units)} of {show.units(config.hidden)}"
    entries["sparsity"] = (
        f"{show.share(_sparsity(config, result.units))} of units, "
        f"{show.share(_weights_gone(run))} of weights"
    )
    entries["steps"] = show.count(result.steps)
    entries["time"] = show.duration(result.seconds)
    split = run.info.get("time_split_s", {})
    if split:
        entries["of which"] = ", ".join(f"{k} {show.duration(v)}" for k, v in split.items())
    return entries


def _json(run: "Run", result: "TrainResult", measured: "Evaluation | None") -> dict[str, Any]:
    return {
        "run": str(run.path),
        "environment": run.config.environment,
        "method": run.config.method,
        "seed": run.config.seed,
        "steps": result.steps,
        "seconds": result.seconds,
        "time_split_s": run.info.get("time_split_s", {}),
        "units": list(result.units),
        "sparsity": _sparsity(run.config, result.units),
        "weight_sparsity": _weights_gone(run),
        "evaluation": None if measured is None else measured.to_json(),
    }
