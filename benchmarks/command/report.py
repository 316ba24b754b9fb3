"""What ``policy bench --json`` says, apart from figures that the raw samples give."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from dspctl.benchmarks.calls.scheduling import Answer as Granted
from dspctl.benchmarks.calls.scheduling import Scheduling
from dspctl.benchmarks.calls.timer import ClockRecord, WarmUp
from dspctl.benchmarks.command.raw import MOST_CALLS, MOST_NS, MOST_SAMPLES
from dspctl.errors import BackendUnavailable
from dspctl.runtime.strict_json import shown
from dspctl.runtime.untrusted import check_name

CLOCK = "clock_gettime(CLOCK_MONOTONIC), in C"


@dataclass(frozen=True)
class Report:
    """One run of the program in one way.

    Attributes:
        warm_up: what preceded it.
        singles_per_block: single calls after each block; 0 for a control loop.
        dropped: samples for which there was no room.
        clock: what it was timed with.
        scheduling: what the system answered.
    """

    warm_up: WarmUp
    singles_per_block: int
    dropped: int
    clock: ClockRecord
    scheduling: Scheduling


def read_report(report: Mapping[str, Any], mode: str) -> Report:
    """Read one run's JSON.

    Args:
        report: the object.
        mode: ``back_to_back`` or ``paced``, the one that was asked for.

    Raises:
        BackendUnavailable: a field is missing or malformed.
    """
    try:
        found = report[mode]
        kinds = (found["block"], found["single"]) if mode == "back_to_back" else (found,)
        singles = found["singles_per_block"] if mode == "back_to_back" else 0
        warm_up = found["warm_up"]
        return Report(
            warm_up=WarmUp(
                _whole(warm_up["calls"], 1 << 62),
                _number(warm_up["call_ns"]),
                settled=_bool(warm_up["settled"]),
            ),
            singles_per_block=_whole(singles, MOST_SAMPLES),
            dropped=sum(_whole(kind["dropped"], 1 << 62) for kind in kinds),
            clock=_clock(report["clock"]),
            scheduling=_scheduling(report["scheduling"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BackendUnavailable(
            f"the report of  policy bench  cannot be read ({type(error).__name__}: {error}): "
            "export the bundle again with this dspctl"
        ) from error


def together_warm_up(warm_ups: Sequence[WarmUp]) -> WarmUp:
    """Of several runs: all calls, the median call, and settled where more than half were."""
    return WarmUp(
        calls=sum(one.calls for one in warm_ups),
        call_ns=median(one.call_ns for one in warm_ups),
        settled=2 * sum(one.settled for one in warm_ups) > len(warm_ups),
    )


def together_clock(clocks: Sequence[ClockRecord]) -> ClockRecord:
    """Of several runs: the finest step, and the median cost."""
    return ClockRecord(
        name=clocks[0].name,
        resolution_ns=min(one.resolution_ns for one in clocks),
        cost_ns=median(one.cost_ns for one in clocks),
        loop_ns=clocks[0].loop_ns,
    )


def together_scheduling(answers: Sequence[Scheduling]) -> Scheduling:
    """Of several runs: granted is what all of them were granted, else the first refusal."""
    return Scheduling(
        cpu=_refusal([one.cpu for one in answers]),
        fifo=_refusal([one.fifo for one in answers]),
        mlock=_refusal([one.mlock for one in answers]),
    )


def _refusal(answers: Sequence[Granted | None]) -> Granted | None:
    given = [one for one in answers if one is not None]
    refused = [one for one in given if not one.granted]
    return next(iter(refused or given), None)


def _clock(values: Mapping[str, Any]) -> ClockRecord:
    """The loop around the calls of a block is not told apart from them: its share is 0 here."""
    cost = values["cost_ns"]
    # A coarse clock stands still over most pairs: its cost is then the mean, not a median of 0.
    cost_ns = _number(cost["p50"]) or _number(cost["mean"])
    step_ns = _whole(values["step_ns"], MOST_NS)
    return ClockRecord(CLOCK, max(1, step_ns), cost_ns, 0.0)


def _scheduling(values: Mapping[str, Any]) -> Scheduling:
    return Scheduling(**{name: _granted(values[name]) for name in ("cpu", "fifo", "mlock")})


def _granted(answer: Mapping[str, Any] | None) -> Granted | None:
    if answer is None:
        return None
    granted = _bool(answer["granted"])
    reason = "" if granted else answer["reason"]
    if not isinstance(reason, str):
        raise TypeError("a reason is a text")
    return Granted(
        _whole(answer.get("value", 1), MOST_CALLS),
        granted=granted,
        reason=check_name(reason, "a reason"),
    )


def _whole(value: object, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"{shown(value)} is no whole number from 0 to {most}")
    return value


def _number(value: object) -> float:
    if type(value) not in (int, float) or not 0 <= value < MOST_NS:  # type: ignore[operator]
        raise ValueError(f"{shown(value)} is no number of nanoseconds")
    return float(value)  # type: ignore[arg-type]


def _bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{shown(value)} is neither true nor false")
    return value
