"""``dspctl run``: a policy in a control loop that must not stop."""

import gc
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from dspctl import __version__
from dspctl.cli import run_report, show
from dspctl.cli.interrupt import EXIT_INTERRUPTED, stop_on_signal
from dspctl.cli.subjects import runnable
from dspctl.errors import ConfigProblem

if TYPE_CHECKING:
    from dspctl.runtime import LoopSettings


_MOST_STEPS = 2**63


def run(
    subject: Annotated[
        Path, typer.Argument(metavar="RUN|POLICY|BUNDLE", help="What acts; a run is compacted.")
    ],
    env: Annotated[
        str | None,
        typer.Option(metavar="ENV", help="The environment.", show_default="the policy's own"),
    ] = None,
    hz: Annotated[float, typer.Option(metavar="HZ", help="Steps per second, 1 to 10000.")] = 200.0,
    seconds: Annotated[
        float | None,
        typer.Option(metavar="S", help="How long.", show_default="until Ctrl-C or SIGTERM"),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="How many steps, instead.")
    ] = None,
    backend: Annotated[
        str,
        typer.Option(metavar="NAME", help="What runs the policy; NumPy acts where it fails."),
    ] = "auto",
    max_hold: Annotated[
        int,
        typer.Option(min=0, metavar="K", help="Steps that the last action is held, in a row."),
    ] = 5,
    max_late: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Late steps in a row that are an event."),
    ] = 10,
    watchdog_ms: Annotated[
        float,
        typer.Option(
            metavar="MS",
            help="A step that takes longer has stalled.",
            show_default="10 periods, at least 100",
        ),
    ] = 0.0,
    log: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write faults there, as JSON Lines.")
    ] = None,
    inject: Annotated[
        str | None,
        typer.Option(
            metavar="FAULTS", help="Put faults in, such as every=1s, or invalid=0.01,late=0.02."
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, metavar="N", help="Of the episodes and the injected faults.")
    ] = 0,
    cpu: Annotated[
        int | None, typer.Option(metavar="N", help="Run the loop on this processor alone.")
    ] = None,
    fifo: Annotated[
        int | None,
        typer.Option(metavar="PRIORITY", help="Run the loop under SCHED_FIFO, 1 to 99."),
    ] = None,
    mlock: Annotated[bool, typer.Option("--mlock", help="Lock memory.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the log.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Run a policy in a control loop around its environment; nothing that fails ends it.

    Steps are due at absolute times, episodes follow each other. What is done about an invalid or
    missing observation, a late step, a backend or an actuator that fails and a step that hangs is
    in docs/control-loop.md; every fault is counted. --inject takes invalid, observe, late, backend,
    apply and stall, each with a probability per step, or every=TIME for one after the other.

    Exits 0 when the loop ran to its end, whatever failed meanwhile, and 130 when Ctrl-C or SIGTERM
    ended it before --seconds or --steps did.
    """
    from dspctl.runtime import LoopSettings

    if seconds is not None and steps is not None:
        raise ConfigProblem("--seconds and --steps both say how long: give one of them")
    settings = LoopSettings(hz, max_hold, max_late, watchdog_ms)
    if seconds is not None:
        if not 0 < seconds < float("inf"):
            raise ConfigProblem(f"a loop runs for a positive number of seconds, not {seconds}")
        if seconds * hz >= _MOST_STEPS:
            raise ConfigProblem(
                f"{seconds:g} seconds are longer than any loop runs: give fewer, or leave out "
                "--seconds for one that runs until Ctrl-C"
            )
        steps = max(1, round(seconds * hz))
    asked = _Asked(subject, env, backend, settings, steps, log, force, inject, seed)
    report = _run(asked, cpu, fifo, mlock)
    if as_json:
        show.result_json(report.to_json())
    else:
        run_report.draw(report)
    if report.summary.ended != "steps" and steps is not None:
        raise typer.Exit(EXIT_INTERRUPTED)


class _Asked(NamedTuple):
    """What was asked for."""

    subject: Path
    environment: str | None
    backend: str
    settings: "LoopSettings"
    steps: int | None
    log: Path | None
    force: bool
    inject: str | None
    seed: int


def _run(asked: _Asked, cpu: int | None, fifo: int | None, mlock: bool) -> run_report.Report:
    from dspctl.benchmarks.calls.scheduling import Wanted, scheduled
    from dspctl.runtime import ControlLoop, EventLog, prepare
    from dspctl.runtime.loop.clock import RealClock
    from dspctl.runtime.loop.injection import Injector
    from dspctl.runtime.loop.plans import plan_of

    settings, wanted = asked.settings, Wanted(cpu=cpu, fifo=fifo, mlock=mlock)
    plan = None if asked.inject is None else plan_of(asked.inject, hz=settings.hz, seed=asked.seed)
    with ExitStack() as stack:
        path = stack.enter_context(runnable(asked.subject))
        runners = list(prepare(path, asked.backend))
        stack.callback(runners[0].close)
        from dspctl import trainer

        policy = runners[0].policy
        environment = asked.environment or policy.environment
        episodes = stack.enter_context(
            trainer.Episodes(environment, policy, trainer.EVALUATION_SEED + asked.seed)
        )
        backends = tuple(runner.backend for runner in runners)
        start = _start(asked, environment, backends)
        log = None
        if asked.log is not None:
            log = stack.enter_context(EventLog(asked.log, start, force=asked.force))
        clock, observe = RealClock(), episodes.observe
        apply: Callable[[Any], object] = episodes.apply
        injector = None
        if plan is not None:
            injector = Injector(plan, settings, clock, policy)
            runners[0] = injector.running(runners[0])
            observe, apply = injector.observing(observe), injector.applying(apply)
        loop = ControlLoop(
            runners,
            observe,
            apply,
            settings=settings,
            record=None if log is None else log.put,
            clock=clock,
        )
        stopped = stack.enter_context(stop_on_signal())
        # What is here stays: the collector need not look through it at every full collection.
        gc.collect()
        gc.freeze()
        stack.callback(gc.unfreeze)
        granted = _Granted(scheduled(wanted))
        summary = loop.run(steps=asked.steps, until=stopped, within=granted)
        injected = None if injector is None else dict(injector.counts)
        also = {
            "episodes": episodes.finished,
            "mean_return": episodes.mean_return,
            **({} if injected is None else {"injected": injected}),
        }
        account = None if log is None else log.close(summary, also)
    return run_report.Report(
        start=start,
        summary=summary,
        episodes=episodes.finished,
        mean_return=episodes.mean_return,
        injected=injected,
        log=asked.log,
        account=account,
        notes=granted.notes,
    )


class _Granted:
    """Scheduling as a context that keeps what the machine answered."""

    def __init__(self, scheduling: Any) -> None:
        self._scheduling = scheduling
        self.notes: tuple[str, ...] = ()

    def __enter__(self) -> None:
        self.notes = self._scheduling.__enter__().notes()

    def __exit__(self, *error: Any) -> None:
        self._scheduling.__exit__(*error)


def _start(asked: _Asked, environment: str, backends: tuple[str, ...]) -> dict[str, Any]:
    """The first line of the log, and the head of the result."""
    settings = asked.settings
    return {
        "subject": str(asked.subject),
        "environment": environment,
        "backends": list(backends),
        "hz": settings.hz,
        "max_hold": settings.max_hold,
        "max_late": settings.max_late,
        "watchdog_ms": settings.watchdog_ns / 1e6,
        "inject": asked.inject,
        "seed": asked.seed,
        "dspctl": __version__,
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
