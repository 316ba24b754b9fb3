"""The static program against the native backend: is the difference the binding's own cost?

``python -m dspctl.benchmarks.command BUNDLE [--seconds S] [--rounds N] [--cpu N] [--fifo P]
[--out FILE]``

See :mod:`dspctl.benchmarks.command.binding`. Leave the machine idle meanwhile.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dspctl.benchmarks.calls.scheduling import Wanted
from dspctl.benchmarks.command.binding import ROUNDS, Binding, binding_cost
from dspctl.benchmarks.record.machine import describe_machine
from dspctl.benchmarks.stats import Interval
from dspctl.errors import DspctlError
from dspctl.runtime.files import write_json


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, measure, print, store."""
    parser = argparse.ArgumentParser(
        prog="python -m dspctl.benchmarks.command",
        description="The bundle's static program against the native backend of Python.",
    )
    parser.add_argument("bundle", type=Path, help="a bundle with native code for this machine")
    parser.add_argument("--seconds", type=float, default=6.0, help="of timing (6)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"turns of each ({ROUNDS})")
    parser.add_argument("--cpu", type=int, help="run on this processor")
    parser.add_argument("--fifo", type=int, help="run under SCHED_FIFO, 1 to 99")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    options = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 120)
    try:
        found = binding_cost(
            options.bundle,
            seconds=options.seconds,
            rounds=options.rounds,
            wanted=Wanted(cpu=options.cpu, fifo=options.fifo),
        )
        if options.out is not None:
            machine = asdict(describe_machine())
            figures = {**asdict(found), "holds": found.holds, "conclusion": found.conclusion}
            write_json(options.out, {"machine": machine, "binding": figures})
    except DspctlError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    console.print(_table(found))
    for note in found.notes:
        console.print(f"note: {note}", highlight=False)
    console.print(found.conclusion, highlight=False)
    return 0


def _table(found: Binding) -> Table:
    table = Table(title=f"{found.bundle}, {found.target}: one call, {found.rounds} rounds")
    table.add_column("ns")
    for name in ("p50", "95% interval"):
        table.add_column(name, justify="right")

    def row(name: str, value: Interval) -> None:
        table.add_row(name, f"{value.estimate:.1f}", f"{value.low:.1f} to {value.high:.1f}")

    row("static program, C timed from C", found.program_ns)
    row("native backend, from Python", found.native_ns)
    row("binding alone", found.binding_ns)
    row("native - program", found.difference_ns)
    row("native - program - binding", found.excess_ns)
    return table


if __name__ == "__main__":
    raise SystemExit(main())
