"""Which backend to use on this machine for this policy, from what was measured on it."""

from collections.abc import Iterator

from dspctl.benchmarks.calls.latency import Latency
from dspctl.benchmarks.comparison.wording import listed, three_digits, time_words
from dspctl.benchmarks.record.result import Advice, BenchResult
from dspctl.benchmarks.request import TORCH, C

_CLEARLY = 1.1
"""A backend is called faster where the other's median is more than this many times its own."""

_HEAVY = 0.5
"""Share of the control loop's period that a call should leave to everything else."""


def advise(result: BenchResult) -> tuple[Advice, ...]:
    """One record per subject that ran: the backend with the shortest median call.

    The static program is named where the caller is in C; PyTorch is what the others are compared
    with, and is advised only where nothing else ran.
    """
    return tuple(_advices(result))


def _advices(result: BenchResult) -> Iterator[Advice]:
    for subject in result.subjects:
        ran = [one for one in result.latency if one.label == subject.label]
        callable_here = [one for one in ran if one.backend not in (C, TORCH)] or ran
        if not callable_here:
            continue
        best = min(callable_here, key=lambda one: one.p50_ns.estimate)
        others = sorted(
            (one for one in ran if one is not best and one.backend != C),
            key=lambda one: one.p50_ns.estimate,
        )
        yield Advice(subject.label, best.backend, " ".join(_sentences(result, best, others, ran)))


def _sentences(
    result: BenchResult, best: Latency, others: list[Latency], ran: list[Latency]
) -> Iterator[str]:
    own_ns = best.p50_ns.estimate
    if not others:
        yield f"{best.backend} takes {time_words(own_ns)} a call, and no other was measured."
    else:
        # Torch may be faster than the best one: that is never torch, which no vehicle should need.
        faster = [one for one in others if one.p50_ns.estimate * _CLEARLY < own_ns]
        close = [
            one for one in others if one not in faster and one.p50_ns.estimate <= _CLEARLY * own_ns
        ]
        slower = [
            f"{three_digits(one.p50_ns.estimate / own_ns)} times as fast as {one.backend}"
            for one in others
            if one not in (*close, *faster)
        ]
        found = f"{best.backend} takes {time_words(own_ns)} a call"
        yield f"{found}, {listed(slower)}." if slower else f"{found}."
        for one in faster:
            ratio = three_digits(own_ns / one.p50_ns.estimate)
            yield f"{one.backend} is {ratio} times as fast, with all that it installs."
        if close:
            names = listed([one.backend for one in close])
            yield (
                f"{names} is as fast within 10%."
                if len(close) == 1
                else (f"{names} are as fast within 10%.")
            )
    program = next((one for one in ran if one.backend == C), None)
    if program is not None and best.backend != C:
        yield f"Called from C, the same code takes {time_words(program.p50_ns.estimate)}."
    loop = result.paced_of(best.label, best.backend)
    if loop is not None:
        share = loop.inference_ns.p99 / loop.period_ns
        words = f"{share:.0%}" if share >= 0.01 else "under 1%"
        remark = ": choose a faster backend or a lower rate" if share > _HEAVY else ""
        yield (
            f"In the control loop at {loop.rate_hz:g} Hz, p99 of a call is "
            f"{time_words(loop.inference_ns.p99)}, {words} of the period{remark}."
        )
