"""The figures of a result, side by side: what stands in which table."""

from typing import Any

from dspctl.benchmarks.record.result import BenchResult
from dspctl.benchmarks.report.figures import BackendTable, Group
from dspctl.benchmarks.report.rows import PERCENTILES, Rows


def network_groups(result: BenchResult) -> tuple[Group, ...]:
    """What does not depend on a backend: the network, its files, its code, and how it acts."""
    view = Rows(result)
    return _full(
        Group("Network", view.network()),
        Group("Files", view.files()),
        *(Group(f"Compiled for {target}", view.code(target)) for target in view.targets()),
        Group("TensorRT plans", view.plans()),
        Group("Return in the environment", view.returns()),
    )


def backend_tables(result: BenchResult) -> tuple[BackendTable, ...]:
    """One table per backend, in the order measured."""
    view = Rows(result)
    records: tuple[Any, ...] = (*result.latency, *result.paced, *result.memory, *result.energy)
    names = dict.fromkeys(one.backend for one in records)
    loop = f"Control loop at {result.settings.request.hz:g} Hz"
    return tuple(
        BackendTable(
            backend,
            view.latency(backend)[PERCENTILES.index("p50")],
            _full(
                Group("Back to back", view.latency(backend)),
                Group(f"{loop}: from the intended start", view.paced(backend, "latency_ns")),
                Group(f"{loop}: wake-up", view.paced(backend, "wakeup_ns")),
                Group(f"{loop}: the call alone", view.paced(backend, "inference_ns")),
                Group(f"{loop}: deadlines", view.deadlines(backend)),
                Group("Memory and start of a fresh process", view.memory(backend)),
                Group("Energy in the control loop", view.energy(backend)),
            ),
        )
        for backend in names
    )


def _full(*groups: Group) -> tuple[Group, ...]:
    """Only rows in which something is known, only groups in which there is a row."""
    kept = (
        Group(group.title, tuple(row for row in group.rows if any(row.figures + row.ratios)))
        for group in groups
    )
    return tuple(group for group in kept if group.rows)
