"""What a benchmark is asked to measure; everything that decides whether two results compare."""

import math
from dataclasses import dataclass

from dspctl import runtime
from dspctl.benchmarks.calls.paced import HZ, check_pace
from dspctl.benchmarks.calls.scheduling import Wanted
from dspctl.errors import ConfigProblem, UnknownBackend

C = "c"
TORCH = "torch"

BACKENDS: tuple[str, ...] = (C, *runtime.BACKENDS, TORCH)
"""What can be measured: the bundle's own static C program, everything that ``load`` opens, and
eager PyTorch, which is what an unpruned policy runs in before anybody deploys it."""

SECONDS = 10.0
EXECUTIONS = 10
"""Processes of a Python backend on the command line; from Python it is 1."""
EPISODES = 100
MOST_LOAD = 256
MOST_EXECUTIONS = 40


@dataclass(frozen=True)
class Request:
    """What to measure, and how.

    Attributes:
        backends: some of `BACKENDS`, in the order in which they are measured.
        seconds: calls back to back per backend, all subjects together.
        hz: rate of the control loop, 50 to 10,000.
        paced_seconds: control loop per backend, all subjects together; 0 leaves it out.
        cpu: the one processor to time calls on, or None.
        fifo: priority under SCHED_FIFO, 1 to 99, or None.
        mlock: whether to lock memory while calls are timed.
        load: processes that keep the machine busy while calls are timed.
        memory: whether to start processes for memory and start-up time.
        energy_seconds: length of one window of power; 0 leaves energy out.
        episodes: episodes of each subject in the environment, on common seeds; 0 leaves them out.
        executions: processes among which the timing of a Python backend is divided; 1 times in
            the process that calls.
        seed: of the observations drawn, of resampling and of the first episode.

    Raises:
        UnknownBackend: a name that is none.
        InvalidRate: *hz* outside its bounds.
        ConfigProblem: any other value that cannot be measured.
    """

    backends: tuple[str, ...] = BACKENDS
    seconds: float = SECONDS
    hz: float = HZ
    paced_seconds: float = SECONDS
    cpu: int | None = None
    fifo: int | None = None
    mlock: bool = False
    load: int = 0
    memory: bool = True
    energy_seconds: float = 0.0
    episodes: int = EPISODES
    executions: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for backend in self.backends:
            if backend not in BACKENDS:
                raise UnknownBackend(
                    f"there is no backend {backend[:80]!r}: choose from {', '.join(BACKENDS)}"
                )
        if not self.backends or len(set(self.backends)) < len(self.backends):
            raise ConfigProblem(
                f"the backends must be different ones, not {', '.join(self.backends) or 'none'}: "
                f"choose from {', '.join(BACKENDS)}"
            )
        if not (math.isfinite(self.seconds) and self.seconds > 0):
            raise ConfigProblem(f"seconds must be a positive number, not {self.seconds}")
        if self.paced_seconds != 0:
            check_pace(self.hz, self.paced_seconds)
        _ = self.wanted  # checks its own
        if not 0 <= self.load <= MOST_LOAD:
            raise ConfigProblem(
                f"the background load is from 0 to {MOST_LOAD} processes, not {self.load}"
            )
        if not (math.isfinite(self.energy_seconds) and self.energy_seconds >= 0):
            raise ConfigProblem(
                f"the energy seconds must be 0 or a positive number, not {self.energy_seconds}"
            )
        if self.energy_seconds:
            check_pace(self.hz, self.energy_seconds)
        if not 1 <= self.executions <= MOST_EXECUTIONS:
            raise ConfigProblem(
                f"the executions are from 1 to {MOST_EXECUTIONS} processes, not {self.executions}"
            )
        if self.episodes < 0 or self.seed < 0:
            raise ConfigProblem("episodes and seed must be 0 or more")

    @property
    def wanted(self) -> Wanted:
        """What to ask of the operating system while calls are timed."""
        return Wanted(cpu=self.cpu, fifo=self.fifo, mlock=self.mlock)
