"""Timing all subjects with the bundles' own static C program, in both ways."""

from collections.abc import Sequence
from dataclasses import replace

from dspctl.benchmarks.calls.timing import keep_latency, keep_paced, worth_showing
from dspctl.benchmarks.command.measure import Mode, Turns, failures, measure_command
from dspctl.benchmarks.energy.stage import keep_energy
from dspctl.benchmarks.host import Host, LocalHost
from dspctl.benchmarks.keeper import Keeper
from dspctl.benchmarks.record.result import Stage
from dspctl.benchmarks.request import C
from dspctl.benchmarks.steps import Steps
from dspctl.benchmarks.subjects import Opened

_MODES: dict[Stage, Mode] = {"latency": "back_to_back", "paced": "paced"}


class ProgramTiming:
    """Every subject whose program runs on a machine, in whatever way is not in the result yet.

    The program takes its observations from the golden vectors, so they are not the ones that the
    other backends are given.

    Args:
        keeper: gets each way's figures as soon as they are there, and what was skipped.
        opened: the subjects, the baseline first.
        host: where to run them.
        steps: keeps what the programs answered.
    """

    def __init__(self, keeper: Keeper, opened: Sequence[Opened], host: Host, steps: Steps) -> None:
        self._keeper, self._opened, self._host, self._steps = keeper, opened, host, steps
        self._wanted = keeper.wanted(C) - {"energy"}
        self._turns: dict[Stage, Turns] = {}

    @property
    def needed(self) -> bool:
        """Whether anything is left to time."""
        return bool(self._wanted)

    def advance(self, done: int, total: int) -> None:
        """Time until *done* of *total* parts are in.

        Raises:
            WriteFailed: the result cannot be written.
            BackendUnavailable: a program that ran once does not run again.
        """
        if self._wanted and not self._turns:
            self._begin()
        if not self._wanted:
            return
        found = {
            stage: turns.until(-(-turns.rounds * done // total))
            for stage, turns in self._turns.items()
        }
        complete = done == total
        if not (complete or worth_showing(done)):
            return
        if (calls := found.get("latency")) is not None:
            if not isinstance(self._host, LocalHost):
                self._keeper.update(clock=calls.clock)  # no other clock of that machine was read
            keep_latency(
                self._keeper,
                calls.samples,
                C,
                clock_cost_ns=calls.clock.cost_ns,
                granted=calls.scheduling,
                notes=calls.notes,
                complete=complete,
            )
        if (loops := found.get("paced")) is not None:
            keep_paced(
                self._keeper,
                loops.steps,
                C,
                clock_cost_ns=loops.clock.cost_ns,
                notes=loops.notes,
                complete=complete,
            )
        if complete:
            self._steps.drop(C)

    def _begin(self) -> None:
        """Try every program once; those that run take turns from here on."""
        run, request = self._host.run_command, self._keeper.result.settings.request
        names = [one.subject.label for one in self._opened]
        lost = failures(names, self._steps.keeping(f"{C}-tried", run))
        labels = [name for name in names if name not in lost]
        skipped = tuple(
            one.skipped(C, lost[one.subject.label])
            for one in self._opened
            if one.subject.label in lost
        )
        if not labels:
            self._keeper.finish("latency", C, skipped=skipped)
            self._wanted = frozenset()
            return
        self._keeper.skip(skipped)
        self._turns = {
            stage: Turns(
                labels,
                self._steps.keeping(f"{C}-{stage}", run),
                request,
                mode=mode,
                cpus=self._host.cpus(),
                on_step=self._keeper.reporter(stage, C),
            )
            for stage, mode in _MODES.items()
            if stage in self._wanted
        }


def energy_of_program(keeper: Keeper, opened: Sequence[Opened], host: Host) -> None:
    """Measure energy in the programs' control loops, where it was asked for and is not in yet.

    Args:
        keeper, opened, host: as for `ProgramTiming`.

    Raises:
        WriteFailed: the result cannot be written.
        BackendUnavailable: a program that ran once does not run again.
    """
    if "energy" not in keeper.wanted(C):
        return
    request = keeper.result.settings.request
    lost = failures([one.subject.label for one in opened], host.run_command)

    def run(label: str, seconds: float) -> int:
        asked = replace(request, paced_seconds=seconds)
        found = measure_command([label], host.run_command, asked, mode="paced")
        return int(found.steps[label].wakeup_ns.size)

    labels = [one.subject.label for one in opened if one.subject.label not in lost]
    if labels:
        keep_energy(keeper, labels, C, run)
