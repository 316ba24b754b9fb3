"""A benchmark's result: the record, its JSON file and the raw samples beside it.

``bench.json`` holds every figure; ``bench-<backend>.npz`` holds that backend's raw latency
samples. Both are replaced atomically after every finished measurement, samples first, so a kill
at any moment leaves a file that can be read and holds everything finished until then. No other
module knows the keys.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from dspctl.benchmarks.latency import Latency
from dspctl.benchmarks.machine import Machine
from dspctl.benchmarks.memory import Memory, Probe
from dspctl.benchmarks.stats import Interval
from dspctl.errors import DspctlError
from dspctl.runtime.files import write_bytes, write_json

SCHEMA = 1
KIND = "dspctl.bench"

Status = Literal["partial", "complete"]
Raw = Mapping[str, Mapping[str, NDArray[np.int64]]]
"""backend → label → nanoseconds of single calls."""

_Record = TypeVar("_Record")


class ResultProblem(DspctlError):
    """A benchmark result cannot be read."""


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
        weights: entries of all weight matrices (METHOD Eq 21).
        biases: entries of all bias vectors.
        flops: of one forward pass (METHOD Eq 23).
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
        backend: where it was measured, None for a count.
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
class ClockRecord:
    """The clock behind all latencies: see :class:`dspctl.benchmarks.timer.Clock`."""

    name: str
    resolution_ns: int
    cost_ns: float
    loop_ns: float


@dataclass(frozen=True)
class Settings:
    """How it was measured.

    Attributes:
        seconds: latency measurement per backend, all subjects together.
        rounds: interleaved blocks per subject.
        seed: of observations and resampling.
        observations: where they came from, and how many.
    """

    seconds: float
    rounds: int
    seed: int
    observations: str


@dataclass(frozen=True)
class BenchResult:
    """Everything one benchmark run found.

    Attributes:
        status: ``partial`` until the last measurement is in.
        machine: where.
        clock: with what.
        settings: how.
        subjects: what; the first is the baseline of all ratios.
        latency: one record per subject and backend.
        memory: one record per subject and backend.
        ratios: baseline against each other subject.
        skipped: what could not be measured.
        notes: sentences that concern all figures.
        samples: raw nanoseconds of single calls, backend → label; empty where the file beside
            the JSON is absent.
    """

    status: Status
    machine: Machine
    clock: ClockRecord
    settings: Settings
    subjects: tuple[Subject, ...]
    latency: tuple[Latency, ...] = ()
    memory: tuple[Memory, ...] = ()
    ratios: tuple[Ratio, ...] = ()
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

    def memory_of(self, label: str, backend: str) -> Memory | None:
        """One subject's memory on one backend, None where it was not measured."""
        return next(
            (one for one in self.memory if (one.label, one.backend) == (label, backend)), None
        )

    def ratio_of(self, quantity: str, subject: str, backend: str | None = None) -> Ratio | None:
        """Baseline against *subject* in one quantity."""
        wanted = (quantity, subject, backend)
        return next(
            (one for one in self.ratios if (one.quantity, one.subject, one.backend) == wanted),
            None,
        )

    def fastest(self, label: str) -> Latency | None:
        """The backend with the smallest median for this subject on this machine."""
        own = [one for one in self.latency if one.label == label]
        return min(own, key=lambda one: one.p50_ns.estimate, default=None)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, without the raw samples."""
        values = asdict(replace(self, samples={}))
        del values["samples"]
        return {"kind": KIND, "schema": SCHEMA, **values, "machine": self.machine.to_json()}


def save_result(result: BenchResult, path: Path) -> None:
    """Write the JSON; raises `WriteFailed`."""
    write_json(path, result.to_json())


def save_samples(samples: Mapping[str, NDArray[np.int64]], backend: str, path: Path) -> None:
    """Write one backend's raw samples beside the JSON at *path*; raises `WriteFailed`."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **samples)
    write_bytes(_samples_path(path, backend), buffer.getvalue())


def load_result(path: Path) -> BenchResult:
    """Read a result and check its form.

    Raises:
        ResultProblem: no such file, not JSON, another kind or schema, or a field missing,
            unknown or malformed.
    """
    try:
        values = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise ResultProblem(
            f"there is no benchmark result at {path}: make one with  dspctl bench"
        ) from error
    except (OSError, ValueError) as error:
        raise ResultProblem(f"{path} is not a JSON file ({error}): run the benchmark again") from (
            error
        )
    if not isinstance(values, dict) or values.get("kind") != KIND:
        raise ResultProblem(f"{path} is not a benchmark result: give a file that  bench  wrote")
    if values.get("schema") != SCHEMA:
        raise ResultProblem(
            f"{path} has result schema {values.get('schema')}, this dspctl reads {SCHEMA}: "
            "run the benchmark again"
        )
    try:
        result = _result_from_json(values)
    except (KeyError, TypeError, ValueError) as error:
        raise ResultProblem(
            f"{path} is malformed ({type(error).__name__}: {error}): run the benchmark again"
        ) from error
    return replace(result, samples={name: _samples(path, name) for name in result.backends})


def _result_from_json(values: dict[str, Any]) -> BenchResult:
    if values["status"] not in ("partial", "complete"):
        raise ValueError(f"status {values['status']!r}")
    known = {entry.name for entry in fields(BenchResult)} - {"samples"} | {"kind", "schema"}
    if set(values) != known:
        raise ValueError(f"fields {sorted(set(values) ^ known)}")
    return BenchResult(
        status=values["status"],
        machine=Machine.from_json(values["machine"]),
        clock=_record(ClockRecord, values["clock"]),
        settings=_record(Settings, values["settings"]),
        subjects=tuple(
            _record(Subject, {**one, "units": tuple(one["units"])}) for one in values["subjects"]
        ),
        latency=tuple(
            _record(
                Latency,
                {**one, "p50_ns": _record(Interval, one["p50_ns"]), "notes": tuple(one["notes"])},
            )
            for one in values["latency"]
        ),
        memory=tuple(
            _record(
                Memory,
                {
                    **one,
                    "probes": tuple(_record(Probe, probe) for probe in one["probes"]),
                    "notes": tuple(one["notes"]),
                },
            )
            for one in values["memory"]
        ),
        ratios=tuple(
            _record(Ratio, {**one, "value": _record(Interval, one["value"])})
            for one in values["ratios"]
        ),
        skipped=tuple(_record(Skipped, one) for one in values["skipped"]),
        notes=tuple(str(one) for one in values["notes"]),
    )


def _record(kind: type[_Record], values: Mapping[str, Any]) -> _Record:
    """A record from exactly its fields; anything missing or unknown is a ``TypeError``."""
    return kind(**values)


def _samples_path(path: Path, backend: str) -> Path:
    return path.with_name(f"{path.stem}-{backend}.npz")


def _samples(path: Path, backend: str) -> dict[str, NDArray[np.int64]]:
    """One backend's raw samples; empty where the file was not copied along or is damaged."""
    try:
        with np.load(_samples_path(path, backend), allow_pickle=False) as archive:
            return {label: archive[label] for label in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile):
        return {}
