"""A benchmark on another machine, over ssh."""

import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from dspctl.benchmarks.keeper import Progress
from dspctl.benchmarks.record.file import load_result, save_result
from dspctl.benchmarks.record.result import BenchResult
from dspctl.benchmarks.remote.bundles import Packed, pack, targets_of, verify
from dspctl.benchmarks.remote.cache import Cache
from dspctl.benchmarks.remote.connection import Connection, check_host
from dspctl.benchmarks.remote.continuing import check_machine, kept_in, saved_in, settle
from dspctl.benchmarks.remote.description import machine_of, processor_of
from dspctl.benchmarks.remote.job import prepare
from dspctl.benchmarks.remote.package import package
from dspctl.benchmarks.remote.python import Usable, check_package, find_python
from dspctl.benchmarks.remote.results import Returning
from dspctl.benchmarks.remote.snapshot import check_programs, snapshot
from dspctl.benchmarks.remote.ssh_host import SshHost
from dspctl.benchmarks.remote.worker_run import work
from dspctl.benchmarks.request import C, Request
from dspctl.errors import (
    BackendUnavailable,
    ConfigProblem,
    ConnectionLost,
    HostProblem,
)

PYTHON = "python3"
_FETCH_EVERY_S = 60.0
_COMPILED = (C, "native")


@dataclass(frozen=True, eq=False)
class _Task:
    """What to measure: the arguments of `measure_remote`, checked."""

    bundles: Mapping[str, Packed]
    request: Request
    observations: NDArray[Any] | None
    out: Path
    report: Callable[[Progress], None]

    @property
    def paths(self) -> dict[str, Path]:
        return {label: one.path for label, one in self.bundles.items()}


def measure_remote(
    host: str,
    subjects: Mapping[str, Path],
    request: Request,
    *,
    observations: NDArray[Any] | None = None,
    out: Path,
    on_progress: Callable[[Progress], None] | None = None,
    python: str = PYTHON,
) -> BenchResult:
    """Measure bundles on *host* as :func:`dspctl.benchmarks.measurement.measure` does here.

    Where the machine has a Python with NumPy and safetensors, dspctl's modules are copied along
    and every backend is measured. Where it has none, only the bundles' own program is, and a note
    in the result says why. What had finished is in *out* whatever happens; the same call goes on
    behind it. Episodes are not run there: they are the caller's to add, and until they are, the
    same call gives the complete result again without measuring.

    Args:
        host: as ssh takes it: ``user@machine``, or a ``Host`` of the user's configuration.
        subjects: label → bundle folder; the first is the baseline of all ratios.
        request: what to measure; its episodes are set to 0.
        observations: float [n, obs_dim], raw, recorded in the environment; None draws random
            ones.
        out: JSON file here, replaced after every finished measurement.
        on_progress: called as measurements proceed.
        python: what to call Python there.

    Raises:
        InvalidHost: *host* cannot be a machine's name.
        ConfigProblem: there is nothing to measure.
        BundleProblem: a subject is no bundle, or cannot be used.
        OutputExists: *out* holds another benchmark, or a complete one.
        HostUnreachable, HostRefused: no connection comes about.
        HostUnsuitable, HostStorage, HostAnswer: the machine cannot be used as it is.
        WrongProcessor: a bundle has no native code for that machine; says which to export.
        BackendUnavailable: nothing that was asked for can run there.
        ConnectionLost: the line broke; says what was kept.
        WriteFailed: *out* cannot be written.
        DspctlError: whatever the measurement itself raises there.
    """
    check_host(host)
    if not subjects:
        raise ConfigProblem("there is nothing to measure: name at least one bundle")
    task = _Task(
        bundles={label: pack(label, Path(path)) for label, path in subjects.items()},
        request=replace(request, episodes=0),
        observations=observations,
        out=out,
        report=on_progress or (lambda _: None),
    )
    kept = kept_in(out, task.bundles, task.request, returns=request.episodes > 0)
    if kept is not None and kept.status == "complete":
        return kept
    try:
        with Connection(host) as connection:
            return _measure(connection, task, kept, python)
    except ConnectionLost as error:
        raise ConnectionLost(f"{error}: {saved_in(out)}") from error


def _measure(
    connection: Connection, task: _Task, kept: BenchResult | None, program: str
) -> BenchResult:
    check_programs(connection)
    cache = Cache(connection)
    with tempfile.TemporaryDirectory(prefix="dspctl-") as folder:
        snapshot(connection, Path(folder))
        processor, machine = processor_of(Path(folder)), machine_of(Path(folder))
    targets = {}
    if any(backend in _COMPILED for backend in task.request.backends):
        targets = targets_of(task.bundles, processor, connection.host)
    if kept is not None:
        check_machine(kept, machine, task.out)
    for label, bundle in task.bundles.items():
        cache.put(bundle.parcel)
        if label in targets:
            verify(cache, bundle, targets[label], connection.host)
    python = find_python(cache, program, connection.host)
    modules = package()
    if not python.reason:
        cache.put(modules)
        python = check_package(cache, python, modules.name, connection.host)
    if python.reason:
        return _measure_programs(connection, cache, task, targets, python)
    return _measure_there(connection, cache, task, kept, python.program, modules.name)


def _measure_there(
    connection: Connection,
    cache: Cache,
    task: _Task,
    kept: BenchResult | None,
    python: str,
    modules: str,
) -> BenchResult:
    """Every backend, by dspctl's own modules on the other machine."""
    run = prepare(cache, task.bundles, task.request, task.observations)
    returning = Returning(connection, cache, run, task.out)
    if settle(returning, kept):
        returning.discard()
        return load_result(task.out)
    seen: set[tuple[str, str]] = set()
    last: tuple[str, str] | None = None
    fetched_at = time.monotonic()

    def report(progress: Progress) -> None:
        # The first line of a measurement comes after the one before it was written. Backends take
        # turns, and what is copied while one is timed disturbs it: no more often than needed.
        nonlocal last, fetched_at
        now = (progress.stage, progress.backend)
        waited = time.monotonic() - fetched_at > _FETCH_EVERY_S
        if now not in seen or (now != last and waited):
            returning.fetch()
            fetched_at = time.monotonic()
        seen.add(now)
        last = now
        task.report(progress)

    try:
        work(connection, cache, run, python=python, package=modules, on_progress=report)
    except ConnectionLost:
        raise
    except Exception:
        with suppress(HostProblem):  # the first error is the one to tell
            returning.fetch()
        raise
    returning.fetch()
    returning.discard()
    return load_result(task.out)


def _measure_programs(
    connection: Connection,
    cache: Cache,
    task: _Task,
    targets: Mapping[str, str],
    python: Usable,
) -> BenchResult:
    """The bundles' own program alone, step by step from here."""
    from dspctl.benchmarks.measurement import measure

    if C not in task.request.backends:
        raise BackendUnavailable(
            f"{python.reason}, so only '{C}' can be measured there: ask for it with  --backend "
            f"{C}, or install Python with numpy and safetensors there"
        )
    host = SshHost(connection, cache, task.bundles, targets)
    result = measure(
        task.paths,
        task.request,
        observations=task.observations,
        host=host,
        out=task.out,
        on_progress=task.report,
    )
    note = (
        f"{python.reason}, so only the bundles' own program was measured there: install Python "
        "with numpy and safetensors for the other backends, memory and energy"
    )
    result = replace(result, notes=(*result.notes, note))
    save_result(result, task.out)
    return result
