"""A benchmark's result as a record; :mod:`dspctl.benchmarks.record.file` reads and writes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dspctl.benchmarks.calls.latency import Latency
from dspctl.benchmarks.calls.paced_figures import Paced
from dspctl.benchmarks.calls.scheduling import Scheduling
from dspctl.benchmarks.calls.timer import ClockRecord
from dspctl.benchmarks.comparison.returns import Return, ReturnDifference
from dspctl.benchmarks.device.identity import Device
from dspctl.benchmarks.energy.record import Energy
from dspctl.benchmarks.memory.process import Memory
from dspctl.benchmarks.memory.sizes import CodeSize, PlanSize
from dspctl.benchmarks.record.machine import Machine
from dspctl.benchmarks.request import Request
from dspctl.benchmarks.stats import Interval

Status = Literal["partial", "complete"]
Stage = Literal["latency", "paced", "memory", "energy", "returns"]
Raw = Mapping[str, Mapping[str, NDArray[np.int64]]]
"""backend → label → nanoseconds of single calls."""


def stage_name(stage: Stage, backend: str | None = None) -> str:
    """What `BenchResult.finished` calls a measurement."""
    return stage if backend is None else f"{backend}/{stage}"


@dataclass(frozen=True)
class Subject:
    """What was measured.

    Attributes:
        label: the name in every table.
        file: name of the policy file or bundle folder, without its place on the machine.
        kind: which of the two.
        environment: the environment the policy was trained in.
        sha256: of the policy file.
        masked: True where masked units are still stored, so nothing has been removed yet.
        units: hidden units per layer, as stored.
        weights: entries of all weight matrices (DSP Eq 21).
        biases: entries of all bias vectors.
        flops: of one forward pass (DSP Eq 23).
        parameter_bytes: weights and biases as float32.
        policy_bytes: size of the policy file.
        onnx_bytes: size of the ONNX file, None where there is none.
    """

    label: str
    file: str
    kind: Literal["policy", "bundle"]
    environment: str
    sha256: str
    masked: bool
    units: tuple[int, ...]
    weights: int
    biases: int
    flops: int
    parameter_bytes: int
    policy_bytes: int
    onnx_bytes: int | None

    @property
    def total_units(self) -> int:
        """Hidden units of all layers."""
        return sum(self.units)


@dataclass(frozen=True)
class Ratio:
    """How many times larger the baseline's figure is: above 1 the subject is faster or smaller.

    Attributes:
        quantity: e.g. ``latency_p50``, ``weights``.
        backend: where it was measured; the target of compiled code; None for a count.
        baseline: label above the line.
        subject: label below the line.
        value: the ratio; a count has no width.
    """

    quantity: str
    backend: str | None
    baseline: str
    subject: str
    value: Interval


@dataclass(frozen=True)
class Skipped:
    """A measurement that could not be made, and why."""

    label: str
    backend: str
    reason: str


@dataclass(frozen=True)
class Settings:
    """How it was measured.

    Attributes:
        request: what was asked for.
        rounds: interleaved blocks per subject.
        observations: where they came from, and how many.
        observations_sha256: of their bytes, float32 in C order.
        sleep: what the control loop slept with, see :mod:`dspctl.runtime.sleep`.
    """

    request: Request
    rounds: int
    observations: str
    observations_sha256: str
    sleep: str


@dataclass(frozen=True)
class DeviceState:
    """The hardware before and after the measurement.

    Attributes:
        before: read when it began.
        after: read when it ended; None while it runs.
        notes: what happened in between, and what to do.
    """

    before: Device
    after: Device | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Advice:
    """Which backend to use for one subject on this machine.

    Attributes:
        label: the subject.
        backend: the one that `load` should be given, or ``c`` for the bundle's own command.
        sentence: why, with the figures.
    """

    label: str
    backend: str
    sentence: str


@dataclass(frozen=True)
class BenchResult:
    """Everything one benchmark run found.

    Attributes:
        status: ``partial`` until the last measurement is in.
        finished: the measurements that are in, by `stage_name`; a rerun goes on behind them.
        machine: where.
        device: the hardware under it.
        clock: with what.
        settings: how.
        subjects: what; the first is the baseline of all ratios.
        latency: calls back to back, one record per subject and backend.
        paced: calls in a control loop, one record per subject and backend.
        scheduling: what was asked of the operating system for both, and its answers.
        memory: one record per subject and backend.
        code: compiled code that the subjects bring, one record per subject and target.
        plans: TensorRT plans that the subjects bring.
        energy: one record per subject and backend, in the control loop.
        returns: one record per subject.
        differences: of returns, the baseline against each other subject.
        ratios: baseline against each other subject.
        advice: one record per subject, once everything is in.
        verdict: the comparison in one sentence; empty without a baseline, or while it runs.
        skipped: what could not be measured.
        notes: sentences that concern all figures.
        samples: raw nanoseconds of single calls, backend → label; empty where the file beside
            the JSON is absent.
    """

    status: Status
    machine: Machine
    device: DeviceState
    clock: ClockRecord
    settings: Settings
    subjects: tuple[Subject, ...]
    finished: tuple[str, ...] = ()
    latency: tuple[Latency, ...] = ()
    paced: tuple[Paced, ...] = ()
    scheduling: Scheduling = field(default_factory=Scheduling)
    memory: tuple[Memory, ...] = ()
    code: tuple[CodeSize, ...] = ()
    plans: tuple[PlanSize, ...] = ()
    energy: tuple[Energy, ...] = ()
    returns: tuple[Return, ...] = ()
    differences: tuple[ReturnDifference, ...] = ()
    ratios: tuple[Ratio, ...] = ()
    advice: tuple[Advice, ...] = ()
    verdict: str = ""
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    samples: Raw = field(default_factory=lambda: MappingProxyType({}), compare=False, repr=False)

    @property
    def backends(self) -> tuple[str, ...]:
        """Backends with at least one latency, in the order measured."""
        return tuple(dict.fromkeys(record.backend for record in self.latency))

    def latency_of(self, label: str, backend: str) -> Latency | None:
        """One subject's figures on one backend, None where they were not measured."""
        return next(
            (one for one in self.latency if (one.label, one.backend) == (label, backend)), None
        )

    def paced_of(self, label: str, backend: str) -> Paced | None:
        """One subject's control loop on one backend, None where it was not run."""
        return next(
            (one for one in self.paced if (one.label, one.backend) == (label, backend)), None
        )

    def memory_of(self, label: str, backend: str) -> Memory | None:
        """One subject's memory on one backend, None where it was not measured."""
        return next(
            (one for one in self.memory if (one.label, one.backend) == (label, backend)), None
        )

    def return_of(self, label: str) -> Return | None:
        """How one subject acts, None where it was not tried."""
        return next((one for one in self.returns if one.label == label), None)

    def energy_of(self, label: str, backend: str) -> Energy | None:
        """One subject's energy on one backend, None where it was not measured."""
        return next(
            (one for one in self.energy if (one.label, one.backend) == (label, backend)), None
        )

    def ratio_of(self, quantity: str, subject: str, backend: str | None = None) -> Ratio | None:
        """Baseline against *subject* in one quantity."""
        wanted = (quantity, subject, backend)
        return next(
            (one for one in self.ratios if (one.quantity, one.subject, one.backend) == wanted),
            None,
        )

    @property
    def medians(self) -> dict[tuple[str, str], float]:
        """(backend, label) → nanoseconds, as the tables state them."""
        return {(one.backend, one.label): one.p50_ns.estimate for one in self.latency}

    def fastest(self, label: str) -> Latency | None:
        """The backend with the smallest median for this subject on this machine."""
        own = [one for one in self.latency if one.label == label]
        return min(own, key=lambda one: one.p50_ns.estimate, default=None)
