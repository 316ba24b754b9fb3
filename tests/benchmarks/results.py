"""Results made by hand, for what reads and judges them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from dspctl.benchmarks.calls.latency import Latency
from dspctl.benchmarks.calls.paced_figures import Paced, Spread
from dspctl.benchmarks.calls.timer import ClockRecord
from dspctl.benchmarks.comparison.returns import Return, return_differences
from dspctl.benchmarks.device.identity import describe_device
from dspctl.benchmarks.record.machine import describe_machine
from dspctl.benchmarks.record.result import (
    BenchResult,
    DeviceState,
    Ratio,
    Settings,
    Subject,
)
from dspctl.benchmarks.request import Request
from dspctl.benchmarks.stats import Interval, bootstrap_mean


def around(value: float, share: float = 0.02) -> Interval:
    """An interval of that share to both sides."""
    return Interval(value, value * (1 - share), value * (1 + share))


def subject(label: str, units: tuple[int, ...] = (8, 8)) -> Subject:
    """A policy of LunarLander's shape."""
    weights = 8 * units[0] + units[0] * units[1] + units[1] * 4
    return Subject(
        label=label,
        file=f"{label}.bundle",
        kind="bundle",
        environment="LunarLander-v3",
        sha256=f"{label:->64}",
        masked=False,
        units=units,
        weights=weights,
        biases=sum(units) + 4,
        flops=2 * weights,
        parameter_bytes=4 * weights,
        policy_bytes=4 * weights + 1000,
        onnx_bytes=4 * weights + 2000,
    )


def latency(label: str, backend: str, p50_ns: float, share: float = 0.02) -> Latency:
    """Figures with a tail of ten times the median."""
    return Latency(
        label=label,
        backend=backend,
        min_ns=0.9 * p50_ns,
        mean_ns=1.1 * p50_ns,
        p50_ns=around(p50_ns, share),
        p90_ns=2 * p50_ns,
        p99_ns=5 * p50_ns,
        p99_9_ns=8 * p50_ns,
        max_ns=10 * p50_ns,
        single_calls=1000,
        calls_per_sample=10,
        samples=1000,
        warm_up_calls=100,
        clock_cost_ns=25.0,
        clock_bound=(),
        notes=(),
    )


def paced(label: str, backend: str, call_ns: float, *, hz: float = 100.0) -> Paced:
    """A control loop whose wake-ups take 50 µs."""
    whole, wakeup, call = (
        Spread(*(base + call * factor for factor in (0.9, 1.1, 1, 2, 5, 8, 10)))
        for base, call in ((50_000.0, call_ns), (50_000.0, 0.0), (0.0, call_ns))
    )
    return Paced(
        label=label,
        backend=backend,
        rate_hz=hz,
        period_ns=int(1e9 / hz),
        steps=1000,
        deadline_misses=0,
        latency_ns=whole,
        wakeup_ns=wakeup,
        inference_ns=call,
        clock_cost_ns=25.0,
        clock_bound=(),
        notes=(),
    )


def result(
    medians_ns: Mapping[str, tuple[float, float]],
    *,
    returns: tuple[Any, Any] | None = None,
    **changes: Any,
) -> BenchResult:
    """Two subjects, ``unpruned`` and ``pruned``.

    Args:
        medians_ns: backend → median of each.
        returns: episode returns of each, or None.
        changes: fields of the result to replace.
    """
    labels = ("unpruned", "pruned")
    subjects = (subject("unpruned", (128, 128)), subject("pruned", (9, 9)))
    ratios = [
        Ratio("latency_p50", backend, *labels, around(pair[0] / pair[1], 0.04))
        for backend, pair in medians_ns.items()
    ]
    bytes_ratio = subjects[0].parameter_bytes / subjects[1].parameter_bytes
    exact = Interval(bytes_ratio, bytes_ratio, bytes_ratio, 1.0)
    found: tuple[Return, ...] = ()
    if returns is not None:
        found = tuple(
            Return(label, "LunarLander-v3", 7, bootstrap_mean(np.array(own)), tuple(own), 0)
            for label, own in zip(labels, returns, strict=True)
        )
    made = BenchResult(
        status="complete",
        machine=describe_machine(),
        device=DeviceState(describe_device()),
        clock=ClockRecord("fake", 1, 25.0, 5.0),
        settings=Settings(Request(), 40, "random", "0" * 64, "clock_nanosleep"),
        subjects=subjects,
        latency=tuple(
            latency(label, backend, ns)
            for backend, pair in medians_ns.items()
            for label, ns in zip(labels, pair, strict=True)
        ),
        paced=tuple(
            paced(label, backend, 2 * ns)
            for backend, pair in medians_ns.items()
            for label, ns in zip(labels, pair, strict=True)
        ),
        ratios=(*ratios, Ratio("parameter_bytes", None, *labels, exact)),
        returns=found,
        differences=return_differences(found),
    )
    return replace(made, **changes)
