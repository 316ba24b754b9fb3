"""Cells as tasks of a Ray cluster: the only module, with the task itself, that imports Ray."""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import dspctl
from dspctl.benchmarks.record.machine import describe_machine
from dspctl.benchmarks.study.engines import Event
from dspctl.benchmarks.study.folder import StudyFolder, run_files
from dspctl.benchmarks.study.plan import Cell
from dspctl.errors import ClusterUnreachable, MissingExtra

CONNECT_S = 25.0
"""Until a cluster that does not answer is called unreachable."""
_SOCKET_S = 4.0
_PROBE = "import ray, sys; ray.init(sys.argv[1], log_to_driver=False, logging_level='ERROR')"
_RESOURCES_S = 2.0


class RayEngine:
    """A cluster, or this machine alone as one.

    A task whose machine or process is lost is started again by Ray, from its beginning. A task
    returns its run's files, which are written to the study folder as they come.

    Args:
        folder: the study.
        address: ``host:port`` of the head, ``auto``, or None to start Ray on this machine.
        jobs: cells at once; None for one on each processor of the cluster.
        retries: how often a cell is started again.

    Raises:
        MissingExtra: Ray is not installed.
        ClusterUnreachable: no cluster answers.
    """

    def __init__(
        self,
        folder: StudyFolder,
        *,
        address: str | None = None,
        jobs: int | None = None,
        retries: int = 1,
    ) -> None:
        self._ray = _connected(address, jobs)
        from dspctl.benchmarks.study.engines._task import Board, run_task

        ray = self._ray
        self._folder, self._jobs = folder, jobs
        self._keys: dict[Any, str] = {}
        self._starts: dict[str, int] = {}
        self._reported: dict[str, tuple[int, int, str]] = {}
        self._counted_at, self._processors = 0.0, 1
        # Where the driver is: a machine that is lost then takes no other's reports with it.
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        self._board = ray.remote(Board).options(num_cpus=0, scheduling_strategy=here).remote()
        self._task = ray.remote(run_task).options(num_cpus=1, max_retries=retries)

    @property
    def slots(self) -> int:
        """Processors of the cluster as it is now: machines may come and go."""
        if self._jobs is not None:
            return self._jobs
        if time.monotonic() - self._counted_at > _RESOURCES_S:
            self._counted_at = time.monotonic()
            self._processors = max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        return self._processors

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except self._ray.exceptions.RayError as error:
            raise ClusterUnreachable(
                f"the Ray cluster was lost ({_first_line(error)}): finished cells are kept, and "
                "the same command goes on when there is one again"
            ) from error

    def start(self, cell: Cell) -> None:
        """Hand the cell to the cluster, with its teacher and what there is of its run."""
        # The whole run of the teacher: its critic and statistics are taken over too.
        teacher = dict(run_files(self._folder.run(cell.teacher))) if cell.teacher else {}
        files = dict(run_files(self._folder.run(cell.key)))
        task = self._task.remote(cell.to_json(), dspctl.__version__, teacher, files, self._board)
        self._keys[task] = cell.key

    def wait(self, timeout_s: float) -> Sequence[Event]:
        """Write what has come back, and say so; reports of the others besides."""
        ray, tasks = self._ray, list(self._keys)
        ready, _ = ray.wait(tasks, num_returns=1, timeout=timeout_s)
        if ready:
            ready, _ = ray.wait(tasks, num_returns=len(tasks), timeout=0)
        # Reports first: those of a cell that has ended belong before its end.
        return [*self._reports(), *(self._ended(task) for task in ready)]

    def stop(self) -> None:
        """Ask every task for a checkpoint; those that have not begun return at once."""
        with self._named_errors():
            self._ray.get(self._board.stop.remote())

    def close(self) -> None:
        """Leave the cluster; Ray ends the tasks of a driver that has left."""
        self._ray.shutdown()

    def _reports(self) -> list[Event]:
        with self._named_errors():
            reports, starts = self._ray.get(self._board.read.remote())
        running = set(self._keys.values())
        found = []
        for key, count in starts.items():
            if key in running and count > max(1, self._starts.get(key, 0)):
                found.append(Event(key, "again", text="its process or machine was lost"))
            self._starts[key] = count
        for key, (steps, total, phase) in reports.items():
            if key in running and self._reported.get(key) != (steps, total, phase):
                self._reported[key] = (steps, total, phase)
                found.append(Event(key, "steps", steps, total, phase))
        return found

    def _ended(self, task: Any) -> Event:
        key = self._keys.pop(task)
        try:
            answer = self._ray.get(task)
        except self._ray.exceptions.RayError as error:
            lines = str(error).strip().splitlines()
            return Event(key, "failed", text=f"Ray gave it up: {lines[-1] if lines else error}")
        if answer.error:
            return Event(key, "failed", text=answer.error)
        self._folder.receive(key, answer.files, answer.record)
        return Event(key, "stopped" if answer.record is None else "finished")


def _connected(address: str | None, jobs: int | None) -> Any:
    """The module ``ray``, connected."""
    # Nothing about a study leaves the machines it runs on.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    before = signal.getsignal(signal.SIGTERM)
    try:
        import ray
        import ray.exceptions
        import ray.util.scheduling_strategies
    except ModuleNotFoundError as error:
        raise MissingExtra("ray", "ray", "--engine ray") from error
    if address is not None and address != "auto":
        _check_answers(address)
    options: dict[str, Any] = {"address": address or "local"}
    if address is None:
        cores = jobs or describe_machine().cores
        options |= {"num_cpus": cores, "include_dashboard": False}
    try:
        ray.init(**options, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as error:
        raise _unreachable(address, _first_line(error)) from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)  # Ray puts its own in place of it
    return ray


def _check_answers(address: str) -> None:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise ClusterUnreachable(
            f"--address {address!r} is not HOST:PORT, such as 192.168.0.10:6379, and not auto"
        )
    try:
        socket.create_connection((host, int(port)), _SOCKET_S).close()
    except OSError as error:
        raise _unreachable(address, error.strerror or str(error)) from error

    # Something listens there. If it is no cluster, Ray waits for it for minutes, deaf to signals
    # and timers, and then ends the process; so a process that can be lost asks first.
    try:
        asked = subprocess.run(
            [sys.executable, "-c", _PROBE, address],
            capture_output=True,
            text=True,
            timeout=CONNECT_S,
        )
    except subprocess.TimeoutExpired:
        raise _unreachable(address, f"no answer within {CONNECT_S:.0f} s") from None
    if asked.returncode != 0:
        lines = asked.stderr.strip().splitlines()
        raise _unreachable(address, lines[-1] if lines else f"exit {asked.returncode}")


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _unreachable(address: str | None, reason: str) -> ClusterUnreachable:
    if address is None:
        return ClusterUnreachable(
            f"Ray does not start on this machine ({reason}): use  --engine local  or name a "
            "cluster with --address"
        )
    return ClusterUnreachable(
        f"no Ray cluster answers at {address} ({reason}): start one with  ray start --head "
        "--port=6379  there, and  ray start --address=HOST:6379  on every other machine"
    )
