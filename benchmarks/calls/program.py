"""Timing all subjects with the bundles' own static C program, in both ways."""

from collections.abc import Sequence
from dataclasses import replace

from dspctl.benchmarks.calls.load import background_load
from dspctl.benchmarks.calls.timing import keep_latency, keep_paced
from dspctl.benchmarks.command.measure import failures, measure_command
from dspctl.benchmarks.energy.stage import keep_energy
from dspctl.benchmarks.host import Host, LocalHost
from dspctl.benchmarks.keeper import Keeper
from dspctl.benchmarks.request import C
from dspctl.benchmarks.subjects import Opened


def time_program(keeper: Keeper, opened: Sequence[Opened], host: Host) -> None:
    """Time every subject whose program runs on *host*, in whatever way is not in the result yet.

    The program takes its observations from the golden vectors, so they are not the ones that the
    other backends are given.

    Args:
        keeper: gets each way's figures as soon as they are there, and what was skipped.
        opened: the subjects, the baseline first.
        host: where to run them.

    Raises:
        WriteFailed: the result cannot be written.
        BackendUnavailable: a program that ran once does not run again.
    """
    request = keeper.result.settings.request
    wanted = keeper.wanted(C)
    if not wanted:
        return
    lost = failures([one.subject.label for one in opened], host.run_command)
    labels = [one.subject.label for one in opened if one.subject.label not in lost]
    skipped = tuple(
        one.skipped(C, lost[one.subject.label]) for one in opened if one.subject.label in lost
    )
    if not labels:
        keeper.finish("latency", C, skipped=skipped)
        return
    with background_load(request.load) as load:
        if "latency" in wanted:
            calls = measure_command(
                labels,
                host.run_command,
                request,
                mode="back_to_back",
                cpus=host.cpus(),
                on_step=keeper.reporter("latency", C),
            )
            if not isinstance(host, LocalHost):
                keeper.update(clock=calls.clock)  # no other clock of that machine was read
            keep_latency(
                keeper,
                calls.samples,
                C,
                clock_cost_ns=calls.clock.cost_ns,
                granted=calls.scheduling,
                skipped=skipped,
                notes=(*calls.notes, *((load.note,) if load.note else ())),
            )
        if "paced" in wanted:
            steps = measure_command(
                labels,
                host.run_command,
                request,
                mode="paced",
                cpus=host.cpus(),
                on_step=keeper.reporter("paced", C),
            )
            keep_paced(keeper, steps.steps, C, clock_cost_ns=steps.clock.cost_ns, notes=steps.notes)
        if "energy" in wanted:

            def run(label: str, seconds: float) -> int:
                asked = replace(request, paced_seconds=seconds)
                found = measure_command([label], host.run_command, asked, mode="paced")
                return int(found.steps[label].wakeup_ns.size)

            keep_energy(keeper, labels, C, run)
