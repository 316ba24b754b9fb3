"""Latency distributions of every backend, back to back and in the control loop."""

import numpy as np

from dspctl.benchmarks.calls.paced_figures import Paced
from dspctl.benchmarks.calls.timer import clock_bounds
from dspctl.benchmarks.record.result import BenchResult
from dspctl.benchmarks.report import latency_charts, words
from dspctl.benchmarks.report.samples import Distribution, distribution, paced_samples
from dspctl.benchmarks.report.sources import ResultSource
from dspctl.benchmarks.report.view import Chart, DataTable


def back_to_back(name: str, result: BenchResult) -> list[Chart]:
    """Single calls one after another, a chart per backend."""
    found = {
        backend: [
            distribution(backend, label, one)
            for label, one in result.samples.get(backend, {}).items()
            if one.size and any(subject.label == label for subject in result.subjects)
        ]
        for backend in result.backends
    }
    return _panels(f"{name}-single", result, found, None, "back to back")


def paced(name: str, source: ResultSource) -> list[Chart]:
    """Latencies from the intended start, a chart per backend, with the deadline."""
    result = source.result
    backends = dict.fromkeys(one.backend for one in result.paced)
    found = {
        backend: [
            distribution(backend, label, one)
            for label, one in paced_samples(source.path, backend).items()
            if any(subject.label == label for subject in result.subjects)
        ]
        for backend in backends
    }
    periods = {one.period_ns for one in result.paced}
    deadline = float(periods.pop()) if len(periods) == 1 else None
    return _panels(f"{name}-paced", result, found, deadline, "paced")


def _panels(
    name: str,
    result: BenchResult,
    found: dict[str, list[Distribution]],
    deadline_ns: float | None,
    mode: str,
) -> list[Chart]:
    known = [one for many in found.values() for one in many]
    if not known:
        return []
    labels = [subject.label for subject in result.subjects]
    domain = latency_charts.domain_of(known, deadline_ns)
    charts = []
    for index, (backend, many) in enumerate(found.items()):
        if not many:
            continue
        key = f"{name}-{index}"
        drawing = latency_charts.distributions(
            key, many, labels, domain_ns=domain, deadline_ns=deadline_ns
        )
        calls = "; ".join(f"{one.label}: {words.count_of(one.calls)} calls" for one in many)
        shares = [s for s in (0.5, 0.9, 0.99, 0.999) if any(one.share[-1] >= s for one in many)]
        costs = {one.label: one.clock_cost_ns for one in result.latency if one.backend == backend}
        rows = tuple(
            (f"{100 * share:g}%", *(_at(one, share, costs.get(one.label, 0.0)) for one in many))
            for share in shares
        )
        table = DataTable((f"share of the calls, {mode}", *(one.label for one in many)), rows)
        charts.append(Chart(key, backend, drawing, calls, table))
    return charts


def _at(one: Distribution, share: float, clock_cost_ns: float) -> str:
    """A percentile that is among those kept; a bound where the clock is a tenth of it and more."""
    place = int(np.searchsorted(one.share, share - 1e-9))
    if place >= one.share.size:
        return words.DASH
    value = float(one.latency_ns[place])
    bound = "≤ " if clock_bounds({"it": value}, clock_cost_ns) else ""
    return f"{bound}{words.time_of(value)}"


def pace_caption(result: BenchResult) -> str:
    """What the control loops showed, in a sentence."""
    if not result.paced:
        return ""
    misses = [one for one in result.paced if one.deadline_misses]
    rate = f"{result.paced[0].rate_hz:g} Hz"
    if not misses:
        return f"At {rate} every action of every policy came before the next one was due."
    if len(misses) > 3:
        worst = max(misses, key=lambda one: one.deadline_misses / one.steps)
        return (
            f"At {rate}, in {len(misses)} of {len(result.paced)} loops some actions came after the "
            f"next one was due; the most with {_missed(worst)}."
        )
    parts = ", ".join(map(_missed, misses))
    return f"At {rate}, actions that came after the next one was due: {parts}."


def _missed(one: Paced) -> str:
    misses, steps = words.count_of(one.deadline_misses), words.count_of(one.steps)
    return f"{one.label} with {one.backend}, {misses} of {steps}"
