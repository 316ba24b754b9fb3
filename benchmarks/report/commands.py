"""The command lines that made a result and a run; what they leave out is the default."""

import shlex
from pathlib import Path
from typing import Any

from dspctl.benchmarks.record.result import BenchResult
from dspctl.benchmarks.report.sources import RunSource
from dspctl.benchmarks.request import BACKENDS, EXECUTIONS, Request
from dspctl.errors import DspctlError


def bench_command(result: BenchResult, path: Path) -> str:
    """The command line that measured a result; what it leaves out is the default."""
    subjects, request, plain = result.subjects, result.settings.request, Request()
    parts: list[str] = ["dspctl", "bench", subjects[-1].file]
    for baseline in subjects[:-1]:
        parts += ["--against", baseline.file]
    if request.backends != BACKENDS:
        parts += [word for backend in request.backends for word in ("--backend", backend)]
    parts += ["--seconds", f"{request.seconds:g}", "--hz", f"{request.hz:g}"]
    if request.paced_seconds != request.seconds:
        parts += ["--paced-seconds", f"{request.paced_seconds:g}"]
    for flag, value, default in (
        ("--cpu", request.cpu, plain.cpu),
        ("--fifo", request.fifo, plain.fifo),
        ("--load", request.load, plain.load),
        ("--energy-seconds", f"{request.energy_seconds:g}", f"{plain.energy_seconds:g}"),
        ("--episodes", request.episodes, plain.episodes),
        ("--executions", request.executions, EXECUTIONS),
        ("--seed", request.seed, plain.seed),
    ):
        if value != default:
            parts += [flag, str(value)]
    parts += ["--mlock"] if request.mlock else []
    parts += [] if request.memory else ["--no-memory"]
    return shlex.join([*parts, "-o", path.name])


def train_command(run: RunSource) -> str:
    """The command line that made a run: what differs from the recipe, and the seed."""
    method, seed = str(run.config["method"]), str(run.config["seed"])
    parts = ["dspctl", "train", run.environment, "--method", method, "--seed", seed]
    for name, value in run.config.items():
        if name in ("environment", "method", "seed") or value == _recipe(run).get(name):
            continue
        parts += [f"--{name.replace('_', '-')}", setting_of(value)]
    return shlex.join([*parts, "-o", run.path.resolve().name])


def _recipe(run: RunSource) -> dict[str, Any]:
    """What the recipe sets; empty where it is not known here, so that all is shown."""
    if ":" in run.environment:  # gymnasium imports the module that such an id names
        return {}
    from dspctl.trainer import recipe

    try:
        return recipe(run.environment, method=run.config["method"]).to_json()
    except DspctlError:
        return {}


def setting_of(value: Any) -> str:
    """A setting as its flag takes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "-".join(map(str, value)) or "none"
    return str(value)


def name_of(path: Path) -> str:
    """A source's name, for a command line."""
    return shlex.quote(path.resolve().name)
