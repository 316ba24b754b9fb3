"""Studies on a Ray cluster: two nodes on this machine, one of which is lost."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dspctl.benchmarks.study.driver import run_study
from dspctl.benchmarks.study.engines.cluster import RayEngine
from dspctl.benchmarks.study.engines.local import LocalEngine
from dspctl.benchmarks.study.progress import Overview, Watcher
from dspctl.benchmarks.study.record import CellResult
from dspctl.benchmarks.study.spec import StudySpec
from dspctl.errors import ClusterUnreachable
from dspctl.trainer import load_run
from tests.benchmarks.study.studies import small

# Ray opens sockets and files that it leaves to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:.*:ResourceWarning", "ignore::FutureWarning")


def study() -> StudySpec:
    settings = {**(small().settings or {}), "hidden": [16, 16], "steps": 20_480}
    return small(methods=["ppo", "dsp-kd"], seeds=[0, 1], settings=settings)


def figures(cells: tuple[CellResult, ...]) -> list[CellResult]:
    """Everything but the time it took."""
    return [replace(cell, seconds=0.0) for cell in cells]


@pytest.fixture
def cluster() -> Iterator[Any]:
    pytest.importorskip("ray", reason="ray is not installed: pip install 'dspctl[ray]'")
    from ray.cluster_utils import Cluster

    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        yield found
    finally:
        found.shutdown()


@pytest.mark.slow
def test_a_lost_node_costs_time_and_nothing_else(cluster: Any, tmp_path: Path) -> None:
    import ray

    # Besides the head, which has no processor to give.
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    cluster.wait_for_nodes()
    notes: list[str] = []

    def lose(overview: Overview) -> None:
        # Two cells at work on two nodes of one processor each: one of them is on each.
        if len(nodes) == 2 and sum(one.steps > 0 for one in overview.running) == 2:
            here = ray.get_runtime_context().get_node_id()
            lost = next(node for node in nodes if node.node_id != here)
            nodes.remove(lost)
            cluster.remove_node(lost, allow_graceful=False)

    spec = study()
    there = run_study(
        spec,
        tmp_path / "ray",
        lambda folder: RayEngine(folder, address=cluster.address, retries=2),
        watcher=Watcher(on_overview=lose, on_note=notes.append),
    )
    assert len(nodes) == 1
    assert there.failures == ()
    assert len(notes) == 1
    assert "lost" in notes[0]
    here = run_study(spec, tmp_path / "local", lambda folder: LocalEngine(folder))
    assert len(here.results.cells) == 4
    assert figures(there.results.cells) == figures(here.results.cells)
    for cell in here.results.cells:
        one, other = (tmp_path / name / "cells" / cell.key / "run" for name in ("ray", "local"))
        assert load_run(one).finished
        for name in ("policy.safetensors", "observations.safetensors"):
            assert (one / name).read_bytes() == (other / name).read_bytes()
    # Both engines leave the same folder.
    again = run_study(spec, tmp_path / "ray", lambda folder: LocalEngine(folder))
    assert again.ran == ()


@pytest.mark.parametrize("address", ["127.0.0.1", "head:", ":6379", "ray://head"])
def test_what_is_no_address_is_refused(tmp_path: Path, address: str) -> None:
    pytest.importorskip("ray", reason="ray is not installed: pip install 'dspctl[ray]'")
    with pytest.raises(ClusterUnreachable, match="is not HOST:PORT"):
        run_study(study(), tmp_path, lambda folder: RayEngine(folder, address=address))


def test_nobody_there_is_said_at_once(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="ray is not installed: pip install 'dspctl[ray]'")
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ClusterUnreachable, match=address):
            run_study(study(), tmp_path, lambda folder: RayEngine(folder, address=address))


def test_what_listens_but_is_no_cluster_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="ray is not installed: pip install 'dspctl[ray]'")
    monkeypatch.setattr("dspctl.benchmarks.study.engines.cluster.CONNECT_S", 3.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ClusterUnreachable, match="no answer within 3 s"):
            run_study(study(), tmp_path, lambda folder: RayEngine(folder, address=address))
