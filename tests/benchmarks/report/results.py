"""Results with every field filled, as a benchmark of two policies writes them."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.benchmarks.calls.latency import Latency, Samples
from dspctl.benchmarks.calls.paced import PacedSamples
from dspctl.benchmarks.calls.paced_figures import Paced, spread
from dspctl.benchmarks.calls.scheduling import Answer, Scheduling
from dspctl.benchmarks.calls.timer import ClockRecord, WarmUp
from dspctl.benchmarks.comparison.returns import Return, ReturnDifference
from dspctl.benchmarks.device.identity import describe_device
from dspctl.benchmarks.energy.record import Energy
from dspctl.benchmarks.memory.process import Memory, Probe
from dspctl.benchmarks.memory.sizes import CodeSize, PlanSize
from dspctl.benchmarks.record.file import save_paced_samples, save_result, save_samples
from dspctl.benchmarks.record.machine import Machine
from dspctl.benchmarks.record.result import (
    Advice,
    BenchResult,
    DeviceState,
    Ratio,
    Settings,
    Skipped,
    Subject,
)
from dspctl.benchmarks.request import Request
from dspctl.benchmarks.stats import Interval

LABELS = ("unpruned", "DSP 93%")
MEDIANS_NS = {
    "c": (508.7, 30.9),
    "native": (771.3, 243.1),
    "onnxruntime": (4840.0, 4180.0),
}
RATE_HZ = 100.0
SHA256 = ("a" * 64, "b" * 64)


def result(
    labels: tuple[str, ...] = LABELS,
    *,
    environment: str = "LunarLander-v3",
    sha256: tuple[str, ...] = SHA256,
    verdict: str = "DSP 93% is 16.5 times as fast as unpruned and lands as well.",
) -> BenchResult:
    """One subject or two, all quantities measured."""
    both = len(labels) > 1
    return BenchResult(
        status="complete",
        machine=_machine(),
        device=DeviceState(
            describe_device(Path("/nowhere")), None, ("the clocks were not locked",)
        ),
        clock=ClockRecord("perf_counter_ns", 1, 24.5, 3.1),
        settings=Settings(Request(seconds=4, hz=RATE_HZ, cpu=1), 40, "recorded", "c" * 64, "tick"),
        subjects=tuple(
            _subject(index, label, environment, sha256[index]) for index, label in enumerate(labels)
        ),
        latency=tuple(
            _latency(label, backend, ns[index])
            for backend, ns in MEDIANS_NS.items()
            for index, label in enumerate(labels)
        ),
        paced=tuple(
            _paced(label, backend, ns[index])
            for backend, ns in MEDIANS_NS.items()
            for index, label in enumerate(labels)
        ),
        scheduling=Scheduling(cpu=Answer(1, True, ""), fifo=Answer(80, False, "not permitted")),
        memory=tuple(
            _memory(label, backend, index)
            for backend in MEDIANS_NS
            for index, label in enumerate(labels)
        ),
        code=tuple(
            CodeSize(label, "x86-64-v4", *sizes)
            for label, sizes in zip(
                labels,
                ((79_316, 16, 2_048, 95_000, 812_000), (1_912, 0, None, 16_400, 745_000)),
                strict=False,
            )
        ),
        plans=(PlanSize(labels[0], "rtx", "fp32", 123_456, None),),
        energy=tuple(
            Energy(
                label,
                "native",
                RATE_HZ,
                Interval(j, 0.9 * j, 1.1 * j),
                4.31,
                4.02,
                5,
                60.0,
                "ina3221",
                ("VDD_CPU_CV",),
                "the processor's rail alone",
                ("few windows",),
            )
            for label, j in zip(labels, (2.9e-5, 2.1e-6), strict=False)
        ),
        returns=tuple(_return(label, environment, index) for index, label in enumerate(labels)),
        differences=(
            ReturnDifference(
                labels[0], labels[1], Interval(3.4, -2.1, 8.8), Interval(1.013, 0.992, 1.034)
            ),
        )
        if both
        else (),
        ratios=tuple(_ratios(labels)) if both else (),
        advice=tuple(
            Advice(label, "c", f"use c: {label} takes 31 ns there, 8 times less than native")
            for label in labels
        ),
        verdict=verdict if both else "",
        skipped=(Skipped(labels[0], "tensorrt", "there is no NVIDIA driver on this machine"),),
        notes=("two cores, shared: repeat on a quiet machine",),
    )


def write(one: BenchResult, path: Path, *, samples: bool = True) -> Path:
    """Write a result and its samples as the benchmark does."""
    save_result(one, path)
    if samples:
        labels = [subject.label for subject in one.subjects]
        for backend, medians in MEDIANS_NS.items():
            times = dict(zip(labels, medians, strict=False))
            save_samples({k: _samples(v) for k, v in times.items()}, backend, path)
            save_paced_samples({k: _paced_samples(v) for k, v in times.items()}, backend, path)
    return path


def _machine() -> Machine:
    return Machine(
        measured_at="2026-11-20T10:00:00+00:00",
        cpu="Cortex-A78AE",
        board="NVIDIA Jetson AGX Orin Developer Kit",
        architecture="aarch64",
        cores=12,
        memory_bytes=64 * 2**30,
        virtual=False,
        system="Linux 5.15.148-tegra",
        governor="performance",
        load_average=(0.1, 0.2, 0.3),
        python="CPython 3.11.7",
        libraries={"dspctl": "0.1.0", "numpy": "2.4.6"},
        threads={"OMP_NUM_THREADS": "1"},
    )


def _subject(index: int, label: str, environment: str, sha256: str) -> Subject:
    sizes: dict[str, Any] = (
        {"units": (128, 128), "weights": 17_920, "biases": 260, "flops": 35_580}
        | {"parameter_bytes": 72_720, "policy_bytes": 75_208, "onnx_bytes": 75_604}
        if index == 0
        else {"units": (8, 10), "weights": 184, "biases": 22, "flops": 346}
        | {"parameter_bytes": 824, "policy_bytes": 3_712, "onnx_bytes": 3_398}
    )
    return Subject(
        label=label,
        file=f"{label}.bundle",
        kind="bundle",
        environment=environment,
        sha256=sha256,
        masked=False,
        **sizes,
    )


def _latency(label: str, backend: str, ns: float) -> Latency:
    single = _single(ns)
    return Latency(
        label=label,
        backend=backend,
        min_ns=0.93 * ns,
        mean_ns=1.02 * ns,
        p50_ns=Interval(ns, 0.99 * ns, 1.012 * ns),
        p90_ns=1.3 * ns + 25,
        p99_ns=1.9 * ns + 25,
        p99_9_ns=4.0 * ns + 900,
        max_ns=float(single.max()),
        single_calls=400_000,
        calls_per_sample=16,
        samples=24_000,
        warm_up_calls=3_000,
        clock_cost_ns=24.5,
        clock_bound=("p90",) if ns < 100 else (),
        notes=("the tail is from few calls",),
    )


def _paced(label: str, backend: str, ns: float) -> Paced:
    samples = _paced_samples(ns)
    return Paced(
        label=label,
        backend=backend,
        rate_hz=RATE_HZ,
        period_ns=10_000_000,
        steps=int(samples.wakeup_ns.size),
        deadline_misses=samples.deadline_misses,
        latency_ns=spread(samples.latency_ns),
        wakeup_ns=spread(samples.wakeup_ns),
        inference_ns=spread(samples.inference_ns),
        clock_cost_ns=24.5,
        clock_bound=("inference_ns.min",) if ns < 100 else (),
        notes=(),
    )


def _memory(label: str, backend: str, index: int) -> Memory:
    own = 410_000 if index == 0 else 205_000
    added = {"c": 0, "native": 1e5, "onnxruntime": 4.1e7}[backend]
    base = 0 if backend == "c" else 29_800_000
    rss, imported = base + int(added) + own, int(added)
    values = {
        "baseline_rss_bytes": base,
        "baseline_pss_bytes": int(0.82 * base),
        "baseline_peak_rss_bytes": base + base // 50,
        "import_rss_bytes": imported,
        "import_pss_bytes": int(0.9 * imported),
        "run_rss_bytes": own,
        "run_pss_bytes": own,
        "rss_bytes": rss,
        "pss_bytes": int(0.82 * base) + int(0.9 * imported) + own,
        "peak_rss_bytes": rss + 2 * own,
        "import_ns": 2 * imported,
        "load_ns": 2_100_000 + index,
        "first_action_ns": 310_000,
    }
    probes = tuple(
        Probe(**{name: value + 4096 * turn for name, value in values.items()}) for turn in range(5)
    )
    return Memory(label, backend, probes, ("fresh processes",))


def _return(label: str, environment: str, index: int) -> Return:
    rng = np.random.default_rng(index)
    episodes = np.where(rng.random(100) < 0.04, rng.normal(20, 40, 100), rng.normal(262, 24, 100))
    mean = float(episodes.mean())
    return Return(
        label,
        environment,
        2_000_000_000,
        Interval(mean, mean - 9, mean + 8),
        tuple(episodes.tolist()),
        0,
    )


def _ratios(labels: tuple[str, ...]) -> list[Ratio]:
    def ratio(quantity: str, backend: str | None, value: float, width: float = 0.0) -> Ratio:
        ends = Interval(value, value * (1 - width), value * (1 + width), 0.95 if width else 1.0)
        return Ratio(quantity, backend, labels[0], labels[1], ends)

    counts = {"units": 256 / 18, "weights": 17_920 / 184, "flops": 35_580 / 346}
    counts |= {"parameter_bytes": 72_720 / 824, "policy_bytes": 75_208 / 3_712}
    found = [ratio(name, None, value) for name, value in counts.items()]
    for backend, (above, below) in MEDIANS_NS.items():
        for quantity in ("latency_p50", "latency_p99", "latency_p99_9"):
            found.append(ratio(quantity, backend, above / below, 0.02))
        for quantity in ("paced_latency_p99", "paced_inference_p50"):
            found.append(ratio(quantity, backend, 1.04, 0.05))
        found.append(ratio("memory_pss", backend, 1.01, 0.01))
    found.append(ratio("flash_bytes", "x86-64-v4", 79_316 / 1_912))
    found.append(ratio("energy", "native", 13.8, 0.1))
    return found


def _single(ns: float) -> NDArray[np.int64]:
    rng = np.random.default_rng(int(ns))
    times = ns * rng.lognormal(0.05, 0.08, 4000) + 25
    late = rng.random(4000) < 0.004
    return np.where(late, times + rng.lognormal(8, 1, 4000), times).astype(np.int64)


def _samples(ns: float) -> Samples:
    single = np.split(_single(ns), 40)
    batched = tuple((one[:20] * 16).astype(np.int64) for one in single)
    return Samples(tuple(single), batched, 16, WarmUp(3000, 31.0, True))


def _paced_samples(ns: float) -> PacedSamples:
    rng = np.random.default_rng(int(ns) + 1)
    wakeup = rng.lognormal(11, 0.4, 2000).astype(np.int64)
    wakeup[777] = 23_000_000  # one stall, longer than two periods
    wakeup[778] = 13_000_000
    inference = (_single(ns)[:2000] * 1.6).astype(np.int64)
    return PacedSamples(
        wakeup_ns=wakeup,
        inference_ns=inference,
        window_steps=(1000, 1000),
        period_ns=10_000_000,
    )
