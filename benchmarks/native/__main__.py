"""What generated C is worth: against ONNX Runtime, emx-onnx-cgen and the unpruned network.

``python -m dspctl.benchmarks.native [POLICY|RUN …] [--rounds N] [--out FILE]``

Three fixed ReLU networks and every policy that is named are timed at batch 1 on one core: this
project's C (fast and strict, gcc and zig cc), emx-onnx-cgen's C, ONNX Runtime's ``run`` with one
thread, and the Python runners of a bundle. All take turns in short blocks, every other round
backwards, so that a machine that slows down hits all alike; C is timed from inside C. Leave the
machine idle meanwhile.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from dspctl.benchmarks.native.accuracy import OBSERVATIONS, Accuracy, measure_accuracy
from dspctl.benchmarks.native.contenders import this_target
from dspctl.benchmarks.native.policies import (
    fixed_policies,
    policy_and_observations,
    shape_of,
)
from dspctl.benchmarks.native.timing import EMX, NATIVE, ORT, OURS, STRICT, Timing, measure_all
from dspctl.benchmarks.record.machine import describe_machine
from dspctl.benchmarks.stats import Interval, percentile_ratio
from dspctl.errors import DspctlError
from dspctl.runtime.files import write_json

ROWS = 64
"""Observations that the calls go through, a power of two."""

UNPRUNED = "8-128-128-4"


@dataclass(frozen=True)
class TimeRatio:
    """How many times as long one contender takes as another.

    Attributes:
        slower, faster: policy and contender of either.
        ratio: of the medians, with its interval.
    """

    slower: tuple[str, str]
    faster: tuple[str, str]
    ratio: Interval


def ratios_of(timings: Sequence[Timing]) -> list[TimeRatio]:
    """What the figures are for: every policy's C against its peers and the unpruned network."""
    by_key = {(each.policy, each.contender): each for each in timings}
    found = []
    for policy in dict.fromkeys(each.policy for each in timings):
        for slower, faster in (
            ((UNPRUNED, ORT), (policy, OURS)),
            ((UNPRUNED, OURS), (policy, OURS)),
            ((policy, EMX), (policy, OURS)),
            ((policy, STRICT), (policy, OURS)),
            ((policy, ORT), (policy, NATIVE)),
        ):
            if slower != faster:
                above, below = (
                    [np.array([value]) for value in by_key[key].blocks_ns]
                    for key in (slower, faster)
                )
                ratio = percentile_ratio(above, below, 0.5, seed=0)
                found.append(TimeRatio(slower, faster, ratio))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, measure, print, store."""
    parser = argparse.ArgumentParser(
        prog="python -m dspctl.benchmarks.native",
        description="Generated C against ONNX Runtime, emx-onnx-cgen and the unpruned network.",
    )
    parser.add_argument("policies", nargs="*", type=Path, help="policy files or runs to add")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--accuracy", action="store_true", help="errors against float64 instead")
    parser.add_argument("--out", type=Path, help="JSON file for every block")
    options = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 120)
    try:
        rows = OBSERVATIONS // 2 if options.accuracy else ROWS
        policies = fixed_policies(rows)
        for path in options.policies:
            policy, recorded = policy_and_observations(path, rows)
            policies[f"{policy.environment} {shape_of(policy)}"] = policy, recorded
        if options.accuracy:
            errors = [
                each
                for label, (policy, recorded) in policies.items()
                for each in measure_accuracy(label, policy, recorded)
            ]
            console.print(errors_table(errors))
            return 0
        timings = measure_all(policies, options.rounds, Console(stderr=True))
    except DspctlError as error:
        Console(stderr=True).print(f"error: {error}")
        return 2
    machine = describe_machine()
    console.print(f"{machine.cpu}, target {this_target().name}, {options.rounds} rounds")
    console.print(times_table(timings))
    console.print(ratios_table(ratios_of(timings)))
    if options.out:
        write_json(
            options.out,
            {
                "kind": "dspctl.native",
                "machine": machine.to_json(),
                "target": this_target().name,
                "rounds": options.rounds,
                "timings": [each.to_json() for each in timings],
                "ratios": [asdict(each) for each in ratios_of(timings)],
            },
        )
    return 0


def times_table(timings: Sequence[Timing]) -> Table:
    """Nanoseconds per call."""
    table = Table("policy", "contender", "median ns", "fastest ns", title="One call, batch 1")
    for each in timings:
        table.add_row(each.policy, each.contender, f"{each.p50_ns:,.1f}", f"{each.min_ns:,.1f}")
    return table


def errors_table(errors: Sequence[Accuracy]) -> Table:
    """Distance from float64."""
    table = Table(
        *("policy", "backend", "observations", "largest error", "actions differ", "close calls"),
        title="Against float64",
        caption="largest error: share of the action range, or absolute for logits",
    )
    for each in errors:
        table.add_row(
            each.policy,
            each.backend,
            f"{each.observations:,}",
            f"{each.largest_error:.1e}",
            str(each.disagreements),
            str(each.close_calls),
        )
    return table


def ratios_table(ratios: Sequence[TimeRatio]) -> Table:
    """How many times as long the first takes as the second."""
    table = Table(title="Ratios of the medians", caption="in brackets: 95% interval")
    for name in ("network", "with", "takes", "times as long as", "with"):
        table.add_column(name, justify="right" if name == "takes" else "left")
    for each in ratios:
        value = each.ratio
        table.add_row(
            *each.slower,
            f"{value.estimate:.2f} [{value.low:.2f}, {value.high:.2f}]",
            *each.faster,
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
