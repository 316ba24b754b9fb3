"""What the training comparison found: every run, and the ratios between programs."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Literal

from dspctl.benchmarks.record.machine import Machine
from dspctl.benchmarks.training._worker import Timing

SCHEMA = 1
KIND = "dspctl.training-bench"


@dataclass(frozen=True)
class Contender:
    """One program in one setup.

    Attributes:
        name: as the table prints it.
        program: who trains.
        vector: who steps the environments.
        method: pruning method, for dspctl.
        threads: torch's threads, None where torch does not train.
    """

    name: str
    program: Literal["dspctl", "stable-baselines3", "sbx"]
    vector: Literal["envpool", "gymnasium"]
    method: str = "ppo"
    threads: int | None = None

    @property
    def group(self) -> str:
        """Setups of which the fastest counts: Stable-Baselines3 gets its better thread count."""
        return self.program if self.vector == "gymnasium" else f"{self.program} on EnvPool"


@dataclass(frozen=True)
class Measured:
    """One finished run.

    Attributes:
        environment: gymnasium id.
        contender: its name.
        repeat: counted from 0, also the seed.
        process_s: seconds from starting the process to its end, imports included.
        timing: what the run itself took.
    """

    environment: str
    contender: str
    repeat: int
    process_s: float
    timing: Timing

    @property
    def steps_per_s(self) -> float:
        """Speed of the whole loop; the warm-up that compiles is not in it."""
        return self.timing.steps / self.timing.learn_s


@dataclass(frozen=True)
class Unavailable:
    """A contender that could not run, and why."""

    environment: str
    contender: str
    reason: str


@dataclass(frozen=True)
class SpeedRatio:
    """How many times faster than a peer; low and high are the extremes over repeats."""

    environment: str
    contender: str
    peer: str
    median: float
    low: float
    high: float


@dataclass(frozen=True)
class TrainingResult:
    """All runs so far.

    Attributes:
        status: ``partial`` until the last run is in.
        machine: where.
        settings: environment → the configuration that all contenders share.
        contenders: who takes part.
        measured: finished runs, in the order in which they ran.
        unavailable: what could not run.
    """

    status: Literal["partial", "complete"]
    machine: Machine
    settings: Mapping[str, Mapping[str, Any]]
    contenders: tuple[Contender, ...]
    measured: tuple[Measured, ...] = ()
    unavailable: tuple[Unavailable, ...] = ()

    def runs(self, environment: str, contender: str) -> list[Measured]:
        """Every repeat of one contender."""
        wanted = (environment, contender)
        return [one for one in self.measured if (one.environment, one.contender) == wanted]

    def ratios(self, environment: str) -> list[SpeedRatio]:
        """Each of dspctl's contenders against the fastest setup of each peer, repeat by repeat."""
        speeds = {
            one: {run.repeat: run.steps_per_s for run in self.runs(environment, one.name)}
            for one in self.contenders
        }
        best: dict[str, Contender] = {}
        for one, values in speeds.items():
            if one.program == "dspctl" or not values:
                continue
            known = best.get(one.group)
            if known is None or median(values.values()) > median(speeds[known].values()):
                best[one.group] = one
        found = []
        for own in (one for one in self.contenders if one.program == "dspctl"):
            for peer in best.values():
                shared = speeds[own].keys() & speeds[peer].keys()
                ratios = [speeds[own][repeat] / speeds[peer][repeat] for repeat in shared]
                if ratios:
                    found.append(
                        SpeedRatio(
                            environment,
                            own.name,
                            peer.name,
                            median(ratios),
                            min(ratios),
                            max(ratios),
                        )
                    )
        return found

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, with speeds and ratios spelled out."""
        values = asdict(self) | {"machine": self.machine.to_json()}
        for entry, one in zip(values["measured"], self.measured, strict=True):
            entry["steps_per_s"] = one.steps_per_s
        ratios = [asdict(one) for name in self.settings for one in self.ratios(name)]
        return {"kind": KIND, "schema": SCHEMA, **values, "ratios": ratios}
