"""``dspctl eval``: what a policy earns in its environment."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dspctl.cli import show
from dspctl.cli.subjects import runnable

if TYPE_CHECKING:
    from dspctl.runtime import Runner
    from dspctl.trainer import Evaluation


def evaluate(
    subject: Annotated[
        Path, typer.Argument(metavar="RUN|POLICY|BUNDLE", help="What acts; a run is compacted.")
    ],
    episodes: Annotated[int, typer.Option(min=1, metavar="N", help="Episodes to play.")] = 100,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Seed of the first episode; the others follow one by one.",
            show_default="one that training never uses",
        ),
    ] = None,
    backend: Annotated[str, typer.Option(metavar="NAME", help="What runs the policy.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Play deterministic episodes in gymnasium and report the returns.

    Two policies evaluated with the same seed meet the same starts.
    """
    from dspctl.runtime import load

    with runnable(subject) as path, load(path, backend) as runner:
        result = play(runner, episodes, seed)
        if as_json:
            show.result_json(
                {"subject": str(subject), "backend": runner.backend} | result.to_json()
            )
        else:
            show.facts(str(subject), _summary(result, runner.backend))


def play(runner: "Runner", episodes: int, seed: int | None = None) -> "Evaluation":
    """Evaluate a runner in its policy's environment, with a progress bar."""
    from dspctl import trainer

    environment = runner.policy.environment
    with show.task_bar(f"{environment} evaluation") as advance:
        return trainer.evaluate(
            runner,
            environment,
            episodes=episodes,
            seed=trainer.EVALUATION_SEED if seed is None else seed,
            on_progress=lambda done, total: advance(done, total, "episodes"),
        )


def _summary(result: "Evaluation", backend: str) -> dict[str, str]:
    lengths = result.lengths
    return {
        "environment": result.environment,
        "backend": backend,
        "return": show.returns(result),
        "deviation": f"{show.number(result.std)} over {result.episodes} episodes",
        "range": f"{show.number(min(result.returns))} to {show.number(max(result.returns))}",
        "length": f"{sum(lengths) / len(lengths):.1f} steps on average",
        **({"invalid": f"{result.invalid} observations"} if result.invalid else {}),
    }
