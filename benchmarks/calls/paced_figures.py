"""The figures of a control loop, from the raw times of its steps."""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from dspctl.benchmarks.calls.advice import paced_advice
from dspctl.benchmarks.calls.paced import PacedSamples
from dspctl.benchmarks.calls.timer import clock_bounds
from dspctl.benchmarks.stats import percentile


@dataclass(frozen=True)
class Spread:
    """Figures of one quantity, nanoseconds, percentiles by nearest rank."""

    min: float
    mean: float
    p50: float
    p90: float
    p99: float
    p99_9: float
    max: float


@dataclass(frozen=True)
class Paced:
    """The figures of one subject in a control loop on one backend.

    Attributes:
        label: the subject.
        backend: what ran it.
        rate_hz: steps per second.
        period_ns: from one intended start to the next.
        steps: behind every figure.
        deadline_misses: steps that ended after the next one's intended start.
        latency_ns: from the intended start to the action.
        wakeup_ns: from the intended start to the actual one.
        inference_ns: from the actual start to the action.
        clock_cost_ns: what one reading of the clock adds to ``inference_ns``.
        clock_bound: figures that are upper bounds only, such as ``inference_ns.p50``: the clock
            is more than a tenth of them.
        notes: sentences about what weakens these figures, and what to do.
    """

    label: str
    backend: str
    rate_hz: float
    period_ns: int
    steps: int
    deadline_misses: int
    latency_ns: Spread
    wakeup_ns: Spread
    inference_ns: Spread
    clock_cost_ns: float
    clock_bound: tuple[str, ...]
    notes: tuple[str, ...]


def summarize_paced(
    label: str, backend: str, samples: PacedSamples, *, hz: float, clock_cost_ns: float
) -> Paced:
    """Figures and notes from raw samples; *clock_cost_ns* is that of one reading."""
    latency = spread(samples.latency_ns)
    wakeup, inference = spread(samples.wakeup_ns), spread(samples.inference_ns)
    steps, misses = int(samples.wakeup_ns.size), samples.deadline_misses
    return Paced(
        label=label,
        backend=backend,
        rate_hz=hz,
        period_ns=samples.period_ns,
        steps=steps,
        deadline_misses=misses,
        latency_ns=latency,
        wakeup_ns=wakeup,
        inference_ns=inference,
        clock_cost_ns=clock_cost_ns,
        clock_bound=clock_bounds(
            {
                f"{name}.{statistic}": ns
                for name, one in (
                    ("latency_ns", latency),
                    ("wakeup_ns", wakeup),
                    ("inference_ns", inference),
                )
                for statistic, ns in asdict(one).items()
            },
            clock_cost_ns,
        ),
        notes=tuple(
            paced_advice(
                steps=steps,
                misses=misses,
                hz=hz,
                period_ns=samples.period_ns,
                inference_p50_ns=inference.p50,
            )
        ),
    )


def spread(samples: NDArray[np.int64]) -> Spread:
    """Figures of int64 [n] nanoseconds, n at least 1; `ConfigProblem` where there are none."""
    p50, p90, p99, p99_9 = (percentile(samples, share) for share in (0.5, 0.9, 0.99, 0.999))
    return Spread(
        min=float(samples.min()),
        mean=float(samples.mean()),
        p50=p50,
        p90=p90,
        p99=p99,
        p99_9=p99_9,
        max=float(samples.max()),
    )
