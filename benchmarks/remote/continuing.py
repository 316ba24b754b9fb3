"""Which result an interrupted benchmark on another machine goes on with, and what it still has."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from dspctl.benchmarks.record.file import load_result
from dspctl.benchmarks.record.machine import Machine
from dspctl.benchmarks.record.result import BenchResult
from dspctl.benchmarks.remote.bundles import Packed
from dspctl.benchmarks.remote.results import Returning, finished_in
from dspctl.benchmarks.request import Request
from dspctl.benchmarks.steps import steps_folder
from dspctl.errors import OutputExists, ResultProblem
from dspctl.runtime.bundle import POLICY

_AGAIN = "name another file, or replace it with --force"


def kept_in(
    out: Path, bundles: Mapping[str, Packed], request: Request, *, returns: bool
) -> BenchResult | None:
    """What *out* holds of this benchmark already.

    A complete one only where *returns*, which are not measured there, are still to come.

    Raises:
        OutputExists: it is complete, or another one; nothing of it is lost.
    """
    if not out.exists():
        return None
    try:
        found = load_result(out)
    except ResultProblem as error:
        raise OutputExists(f"{out} exists and cannot be continued ({error}): {_AGAIN}") from error
    digests = {label: one.manifest.files[POLICY].sha256 for label, one in bundles.items()}
    waiting = returns and found.settings.request.episodes == 0
    if found.status == "complete" and not waiting:
        reason = "it is complete"
    elif replace(found.settings.request, episodes=0) != request:
        reason = "it was asked for in another way"
    elif {one.label: one.sha256 for one in found.subjects} != digests:
        reason = "its subjects are other ones"
    else:
        return found
    raise OutputExists(f"{out} exists and cannot be continued, {reason}: {_AGAIN}")


def check_machine(kept: BenchResult, machine: Machine, out: Path) -> None:
    """Refuse to go on with what was measured on another kind of machine.

    Compared is what a description without Python tells.

    Raises:
        OutputExists: it was; nothing of it is lost.
    """
    names = ("cpu", "board", "architecture", "cores")
    if any(getattr(kept.machine, name) != getattr(machine, name) for name in names):
        raise OutputExists(
            f"{out} exists and cannot be continued, it was measured on another machine: {_AGAIN}"
        )


def settle(returning: Returning, kept: BenchResult | None) -> bool:
    """Let the other machine go on from the better of its result and the one here.

    Both are of one benchmark. They are of one run of it where they began at the same time; a run
    that *out* does not hold is not gone on with, as its figures may be old.

    Returns:
        True where the other machine had finished and only the line was missing.
    """
    there = returning.there()
    if kept is None:
        returning.clear()
        return False
    same = there is not None and there.machine.measured_at == kept.machine.measured_at
    if there is None or not same or len(kept.finished) > len(there.finished):
        returning.send(kept)
        return False
    returning.fetch()
    return there.status == "complete"


def saved_in(out: Path) -> str:
    """What a broken line has left, and how to go on."""
    finished = finished_in(out)
    if finished:
        return (
            f"{out} holds the {len(finished)} measurements that had finished, and the same "
            "command goes on behind them"
        )
    if (steps := steps_folder(out)).exists():
        return f"what had been measured is kept in {steps}, and the same command goes on behind it"
    if out.exists():
        return "what had been measured is kept there, and the same command goes on behind it"
    return "nothing had been measured yet: repeat the command"
