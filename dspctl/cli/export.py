"""``dspctl export``: a bundle, the folder that goes to the vehicle."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dspctl.cli import export_report, show
from dspctl.cli.subjects import Kind, kind_of, source_of
from dspctl.errors import ConfigProblem, EnvironmentProblem, InvalidSafeAction, MissingExtra

if TYPE_CHECKING:
    from dspctl.exporter import Gate
    from dspctl.runtime import Policy

_TARGETS = (
    "What the bundle is for; may be repeated. **cpu** is this machine; **x86-64-v2**, "
    "**x86-64-v3**, **x86-64-v4** and **aarch64** are kinds of Linux machines; **jetson** is all "
    "of **jetson-xavier**, **jetson-orin** and **jetson-thor**; **cortex-m4** and **cortex-m7** "
    "are microcontrollers; **rtx** is a TensorRT-RTX plan; **onnx** is the graph alone."
)


def export(
    source: Annotated[
        Path, typer.Argument(metavar="RUN|POLICY", help="A run folder or a policy file.")
    ],
    target: Annotated[
        list[str], typer.Option("--target", "-t", metavar="TARGET", help=_TARGETS)
    ] = ["cpu"],  # noqa: B006 - typer copies it
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Bundle folder to write.")
    ] = Path("bundle"),
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Prefix of the C functions.",
            show_default="from the environment id",
        ),
    ] = None,
    version: Annotated[
        str, typer.Option(metavar="N", help="Version for the vehicle to compare: digits and dots.")
    ] = "1",
    on_invalid: Annotated[
        str,
        typer.Option(
            metavar="MODE",
            help="What a NaN, infinite or out-of-range observation does: **flag** gives the safe "
            "action, **hold** keeps the last one, **zero** and **clamp** repair it. Every mode "
            "reports it.",
        ),
    ] = "flag",
    valid_range: Annotated[
        str,
        typer.Option(
            "--range",
            metavar="RANGE",
            help="What is in range: **declared** takes the environment's bounds, widened to what "
            "was recorded; **finite** takes every number that the network can compute.",
        ),
    ] = "declared",
    safe_action: Annotated[
        str | None,
        typer.Option(
            metavar="A[,A]", help="The safe action.", show_default="0, or what is nearest to it"
        ),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Native code gives the same bits on every processor."),
    ] = False,
    flash_limit: Annotated[
        int | None,
        typer.Option(min=1, metavar="BYTES", help="Refuse a larger library for a microcontroller."),
    ] = None,
    hz: Annotated[
        float | None,
        typer.Option(
            metavar="HZ",
            help="Control steps per second, told in the bundle.",
            show_default="the environment's",
        ),
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Add an int8 graph, calibrated on the recording.")
    ] = False,
    gate: Annotated[
        str | None,
        typer.Option(
            metavar="ENV",
            help="Let the artefact play here first, and refuse it if it earns less.",
            show_default="the policy's environment, if installed",
        ),
    ] = None,
    no_gate: Annotated[bool, typer.Option("--no-gate", help="Let it not play.")] = False,
    episodes: Annotated[
        int, typer.Option(min=1, metavar="N", help="Episodes that the artefact plays.")
    ] = 20,
    force: Annotated[bool, typer.Option("--force", help="Replace the bundle.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Write a policy as a bundle, after proving that what is written computes the same.

    A run, or a policy that still holds masked units, is compacted on the way. Every artefact is
    compared with the reference where it can run, and the one for this machine plays episodes.
    """
    from dspctl import exporter
    from dspctl.compactor import compact
    from dspctl.exporter.targets import plan_of
    from dspctl.runtime.files import check_output

    check_output(output, force=force)
    plan_of(target)  # a name that is wrong costs no waiting
    policy, observations = source_of(source)
    if policy.masked or kind_of(source) is Kind.RUN:
        policy = compact(policy, observations=observations).policy
        show.note(f"{source} is compacted to {show.units(policy.counts.units)} hidden units")
    played = None if no_gate else gate_of(policy, gate, episodes)
    with show.task_bar(f"export to {output}") as advance:
        result = exporter.export(
            policy,
            target,
            output,
            name=name,
            version=version,
            observations=observations,
            strict=strict,
            on_invalid=on_invalid,  # type: ignore[arg-type]  # checked where it is used
            safe_action=None if safe_action is None else _numbers(safe_action),
            valid_range=valid_range,  # type: ignore[arg-type]
            rate_hz=_rate_hz(policy.environment) if hz is None else hz,
            flash_limit_bytes=flash_limit,
            int8=int8,
            gate=played,
            force=force,
            on_progress=lambda step: advance(step.done, step.total, step.part),
        )
    if as_json:
        show.result_json(result.to_json())
        return
    export_report.draw(result)
    show.next_command(f"dspctl verify {output}", "on this machine, and again on the vehicle")


def gate_of(policy: "Policy", environment: str | None, episodes: int) -> "Gate | None":
    """The closed-loop gate in *environment*, or in the policy's own if None.

    Returns:
        None, with a note, where the policy's own cannot be made here.

    Raises:
        MissingExtra, EnvironmentProblem: the one that was asked for cannot be made.
        ConfigProblem: it observes or acts otherwise than the policy.
    """
    from dspctl.exporter import Gate

    name = environment or policy.environment
    try:
        from dspctl import trainer
        from dspctl.trainer.environments import describe

        task = describe(name)
    except (MissingExtra, EnvironmentProblem) as error:
        if environment is not None:
            raise
        show.note(f"the artefact does not play before it is written: {error}")
        return None
    if (task.observation.size, task.discrete, task.outputs) != (
        policy.observation.size,
        policy.action.discrete,
        policy.layers[-1].width,
    ):
        raise ConfigProblem(
            f"{name} observes {task.observation.size} features and takes {task.outputs} "
            f"{'choices' if task.discrete else 'numbers'}, which this policy for "
            f"{policy.environment} does not: give another --gate, or --no-gate"
        )

    def play(act: Any, seed: int) -> float:
        return trainer.evaluate(act, name, episodes=1, seed=seed).mean

    return Gate(name, episodes, trainer.EVALUATION_SEED, play)


def _numbers(text: str) -> list[float]:
    try:
        return [float(word) for word in text.split(",")]
    except ValueError:
        raise InvalidSafeAction(
            f"the safe action {text!r} is not made of numbers: give one, or several with commas "
            "between them, such as 0.5,0"
        ) from None


def _rate_hz(environment: str) -> float | None:
    """The environment's own rate, where it is installed and says so."""
    try:
        from dspctl.trainer.environments import make

        env = make(environment)
    except (MissingExtra, EnvironmentProblem):
        return None
    try:
        rate = env.metadata.get("render_fps")
    finally:
        env.close()
    return float(rate) if isinstance(rate, int | float) and rate > 0 else None
