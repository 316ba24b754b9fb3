"""Cells in processes of this machine, one each.

A pool of the standard library breaks as a whole when one of its workers is killed; here only that
cell is lost, and started again. A worker ends when this process ends, however that happens.
"""

import json
import queue
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from dspctl.benchmarks._process import command, environment, last_line
from dspctl.benchmarks.record.machine import describe_machine
from dspctl.benchmarks.study._worker import Job
from dspctl.benchmarks.study.engines import Event
from dspctl.benchmarks.study.folder import StudyFolder
from dspctl.benchmarks.study.plan import Cell
from dspctl.runtime.files import make_folder, open_log

_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
_LOG = "log.txt"


class LocalEngine:
    """Processes on this machine.

    Args:
        folder: the study.
        jobs: processes at once; None for one on each core that this process may use.
        retries: how often a cell is started again whose process crashed or was killed.
    """

    def __init__(self, folder: StudyFolder, jobs: int | None = None, retries: int = 1) -> None:
        self.slots = jobs or describe_machine().cores
        self._folder, self._retries = folder, retries
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._cells: dict[str, Cell] = {}
        self._events: queue.Queue[Event] = queue.Queue()
        self._lost: Counter[str] = Counter()
        self._stopping = False

    def start(self, cell: Cell) -> None:
        """Start the cell's process."""
        folder = self._folder.cell(cell.key)
        make_folder(folder)
        teacher = self._folder.run(cell.teacher) if cell.teacher else None
        with open_log(folder / _LOG, "w") as log:
            process = subprocess.Popen(
                command("dspctl.benchmarks.study._worker"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment(**_ONE_THREAD),
                # Ctrl-C in a terminal goes to this process alone, which then asks for checkpoints.
                start_new_session=True,
                # With the lock, nobody works on the study before its last process has ended.
                pass_fds=(self._folder.lock,),
            )
        self._cells[cell.key], self._processes[cell.key] = cell, process
        job = json.dumps(Job(cell, folder, teacher).to_json())
        with suppress(BrokenPipeError):  # it ended already, as its reader will find
            if process.stdin is not None:
                process.stdin.write(job + "\n")
                process.stdin.flush()
        threading.Thread(target=self._follow, args=(cell.key, process), daemon=True).start()

    def wait(self, timeout_s: float) -> Sequence[Event]:
        """Events since the last call; a cell whose process was lost is started again here."""
        events: list[Event] = []
        with suppress(queue.Empty):
            events.append(self._events.get(timeout=timeout_s))
            while True:
                events.append(self._events.get_nowait())
        return [self._settled(event) for event in events]

    def stop(self) -> None:
        """Ask every process for a checkpoint."""
        self._stopping = True
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)

    def close(self) -> None:
        """Kill what is running."""
        for process in self._processes.values():
            process.kill()
            process.wait()
        self._processes.clear()

    def processes(self, part: str = "") -> list[int]:
        """Numbers of the processes at work on cells whose keys have *part* in them."""
        return [process.pid for key, process in self._processes.items() if part in key]

    def _follow(self, key: str, process: "subprocess.Popen[str]") -> None:
        """Turn what a process says into events, until it has ended."""
        last = Event(key, "again")
        for line in process.stdout or ():
            event = _event_of(key, line)
            if event is not None and event.kind == "steps":
                self._events.put(event)
            elif event is not None:
                last = event
        code = process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()
        if last.kind == "again":
            last = Event(key, "again", text=_reason(code, self._folder.cell(key) / _LOG))
        self._events.put(last)

    def _settled(self, event: Event) -> Event:
        if event.kind == "steps":
            return event
        self._processes.pop(event.key, None)
        if event.kind in ("finished", "failed"):
            return event
        if self._stopping:
            return Event(event.key, "stopped")
        if event.kind == "stopped":
            event = Event(event.key, "again", text="its process was asked to end by somebody else")
        self._lost[event.key] += 1
        if self._lost[event.key] > self._retries:
            return Event(event.key, "failed", text=event.text)
        self.start(self._cells[event.key])
        return event


def _event_of(key: str, line: str) -> Event | None:
    """What a line means; None for one that was torn when its process was killed."""
    try:
        answer = json.loads(line)
    except ValueError:
        return None
    if "steps" in answer:
        return Event(key, "steps", answer["steps"], answer["total"], answer["phase"])
    if "error" in answer:
        return Event(key, "failed", text=answer["error"])
    return Event(key, "finished" if "finished" in answer else "stopped")


def _reason(code: int, log: Path) -> str:
    """Why a process ended without an answer."""
    if code < 0:
        name = signal.Signals(-code).name
        if -code == signal.SIGKILL:
            return f"its process was ended by {name}, which the system sends when memory runs out"
        return f"its process was ended by {name} (see {log})"
    return f"its process failed: {last_line(log) or f'exit {code}'} (see {log})"
