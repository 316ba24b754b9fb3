"""The runs behind the training comparison: who takes part, in which order, and what they took."""

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

from dspctl.benchmarks._process import command, environment
from dspctl.benchmarks.record.machine import describe_machine
from dspctl.benchmarks.training._worker import FAILED, Timing
from dspctl.benchmarks.training.result import Contender, Measured, TrainingResult, Unavailable
from dspctl.errors import ConfigProblem
from dspctl.runtime.files import write_json

ENVIRONMENTS = ("CartPole-v1", "LunarLander-v3", "Hopper-v5")
STEPS = 200_000
"""Default steps: speeds hardly change later, and all repeats take half an hour, not three."""


CONTENDERS = (
    Contender("dspctl, PPO", "dspctl", "envpool"),
    Contender("dspctl, DSP 93%", "dspctl", "envpool", "dsp"),
    Contender("Stable-Baselines3, 1 thread", "stable-baselines3", "gymnasium", threads=1),
    Contender("Stable-Baselines3, 2 threads", "stable-baselines3", "gymnasium", threads=2),
    Contender("sbx", "sbx", "gymnasium"),
    Contender("Stable-Baselines3 on EnvPool", "stable-baselines3", "envpool", threads=1),
    Contender("sbx on EnvPool", "sbx", "envpool"),
)


RunContender = Callable[[Contender, Mapping[str, Any]], tuple[float, dict[str, Any]]]
"""Starts one run with a configuration; returns seconds of the process and its answer."""


def compare(
    environments: Sequence[str] = ENVIRONMENTS,
    *,
    repeats: int = 3,
    steps: int = STEPS,
    out: Path | None = None,
    contenders: Sequence[Contender] = CONTENDERS,
    on_run: Callable[[str], None] | None = None,
    run: RunContender | None = None,
) -> TrainingResult:
    """Run every contender in every environment, alternating, and keep every timing.

    Args:
        environments: gymnasium ids.
        repeats: runs per contender and environment.
        steps: environment steps per run.
        out: JSON file, replaced after every run.
        contenders: who takes part.
        on_run: called with a sentence before each run.
        run: how a run is started; by default in a fresh process.

    Raises:
        ConfigProblem: *repeats* is below 1.
        MissingExtra: the trainer's own packages are absent.
        EnvironmentProblem: an environment cannot be made.
        WriteFailed: *out* cannot be written.
    """
    from dspctl.trainer import recipe

    if repeats < 1:
        raise ConfigProblem(f"repeats must be at least 1, not {repeats}")
    run = run or run_process
    # Peers stop nowhere early and try no policies, so neither does dspctl.
    configs = {
        (name, method): recipe(name, method=method, steps=steps, target_kl=0.0, trials=0)
        for name in environments
        for method in {one.method for one in contenders}
    }
    result = TrainingResult(
        status="partial",
        machine=describe_machine(),
        settings={name: configs[name, contenders[0].method].to_json() for name in environments},
        contenders=tuple(contenders),
    )
    for name, repeat, contender in _turns(environments, contenders, repeats):
        if any(
            (lost.environment, lost.contender) == (name, contender.name)
            for lost in result.unavailable
        ):
            continue
        if on_run is not None:
            on_run(f"{name}, run {repeat + 1} of {repeats}: {contender.name}")
        config = replace(configs[name, contender.method], seed=repeat)
        if contender.program == "dspctl":
            config = replace(config, vector_backend=contender.vector)
        process_s, answer = run(contender, config.to_json())
        if "reason" in answer:
            lost = Unavailable(name, contender.name, answer["reason"])
            result = replace(result, unavailable=(*result.unavailable, lost))
        else:
            one = Measured(name, contender.name, repeat, process_s, Timing(**answer))
            result = replace(result, measured=(*result.measured, one))
        if out is not None:
            write_json(out, result.to_json())
    result = replace(result, status="complete")
    if out is not None:
        write_json(out, result.to_json())
    return result


def run_process(contender: Contender, config: Mapping[str, Any]) -> tuple[float, dict[str, Any]]:
    """One run in a fresh process; a failed one answers with a ``reason``."""
    request = {
        "program": contender.program,
        "vector": contender.vector,
        "threads": contender.threads,
        "config": config,
    }
    changes = {"PYTHONWARNINGS": "ignore"}
    if contender.threads is not None:
        # Before torch starts: set_num_threads alone leaves OpenMP's own pool as it was.
        changes["OMP_NUM_THREADS"] = str(contender.threads)
    start = perf_counter()
    answer = subprocess.run(
        command("dspctl.benchmarks.training._worker", json.dumps(request)),
        env=environment(**changes),
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = perf_counter() - start
    lines = answer.stdout.strip().splitlines()
    if answer.returncode in (0, FAILED) and lines:
        found: dict[str, Any] = json.loads(lines[-1])
        return seconds, found
    last = (answer.stderr.strip().splitlines() or [f"exit {answer.returncode}"])[-1]
    return seconds, {"reason": f"the process failed: {last}"}


def _turns(
    environments: Sequence[str], contenders: Sequence[Contender], repeats: int
) -> Iterator[tuple[str, int, Contender]]:
    """Environment by environment; within one, every other repeat goes backwards."""
    for name in environments:
        for repeat in range(repeats):
            for contender in contenders if repeat % 2 == 0 else reversed(contenders):
                yield name, repeat, contender
