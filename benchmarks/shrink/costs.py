"""What a network costs where it runs: the C code's median call, and its flash."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from dspctl.benchmarks.command.measure import measure_command
from dspctl.benchmarks.host import LocalHost
from dspctl.benchmarks.memory.sizes import code_sizes
from dspctl.benchmarks.request import Request
from dspctl.errors import ConfigProblem
from dspctl.runtime import Policy

CPU = "cpu"
_SECONDS_EACH = 0.5


@dataclass(frozen=True)
class Costs:
    """Of one network.

    Attributes:
        latency_ns: median call of the static program on this machine; None for another target.
        flash_bytes: code and constants of the library.
    """

    latency_ns: float | None
    flash_bytes: int


def measure_costs(policies: Mapping[str, Policy], target: str = CPU) -> dict[str, Costs]:
    """Compile every policy for *target*; where that is this machine, time all of them in turns.

    Args:
        policies: name → policy.
        target: an export target with native code.

    Raises:
        NativeBuildProblem, UnknownTarget, MissingExtra: there is no compiler for it.
        ConfigProblem: the target has no native code.
    """
    from dspctl.exporter import export

    with TemporaryDirectory(prefix="dspctl-") as folder:
        paths = {
            name: export(policy, target, Path(folder, f"{index}.bundle")).path
            for index, (name, policy) in enumerate(policies.items())
        }
        flash = {name: _flash(path, name, target) for name, path in paths.items()}
        latency = _latencies(paths) if target == CPU and paths else {}
    return {name: Costs(latency.get(name), flash[name]) for name in paths}


def _flash(path: Path, name: str, target: str) -> int:
    sizes = code_sizes(path, name)
    if not sizes:
        raise ConfigProblem(f"{target} has no native code, and no flash to count: name another")
    return sizes[0].flash_bytes


def _latencies(paths: Mapping[str, Path]) -> dict[str, float]:
    host = LocalHost(paths)
    request = Request(backends=("c",), seconds=_SECONDS_EACH * len(paths))
    found = measure_command(
        list(paths), host.run_command, request, mode="back_to_back", cpus=host.cpus()
    )
    return {
        name: float(np.median(np.concatenate(samples.body)))
        for name, samples in found.samples.items()
    }
