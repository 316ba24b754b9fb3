"""What one gradient step costs: hand-derived NumPy against torch autograd, alone and side by side.

``python -m dspctl.benchmarks.training.update_kernel [--repeats N]``

The figures behind ``docs/decisions/0003`` and ``0004``. Kernels take turns, every other turn
backwards; each figure is the median over the turns of the mean over one pass of minibatches, Adam's
step included. Leave the machine idle meanwhile.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from time import perf_counter

import numpy as np
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from dspctl.benchmarks.record.machine import describe_machine
from dspctl.trainer import recipe
from dspctl.trainer.environments import describe
from dspctl.trainer.ppo.update import (
    ActorBatch,
    CriticBatch,
    FusedGradients,
    Gradients,
    update_actor,
    update_critic,
)
from dspctl.trainer.runs.state import TrainState
from dspctl.trainer.settings.config import TrainConfig

ENVIRONMENT = "LunarLander-v3"
ROWS = 4096
CASES = ((64, (128, 128)), (256, (128, 128)), (1024, (128, 128)), (256, (9, 9)))
"""Minibatch and the actor's hidden units; the critic always has 128-128."""


def contenders(minibatch: int, hidden: tuple[int, ...]) -> dict[str, Callable[[], float]]:
    """Label → a function that makes one pass and returns microseconds per gradient step."""
    import torch

    from dspctl.trainer.ppo.autograd import AutogradGradients

    torch.set_num_threads(1)
    config = recipe(
        ENVIRONMENT, method="ppo", hidden=hidden, minibatch=minibatch, epochs=1, target_kl=0.0
    )
    wide = recipe(ENVIRONMENT, method="ppo", minibatch=minibatch, epochs=1, target_kl=0.0)
    state, batch = _state_and_batch(config)
    other, _ = _state_and_batch(wide)
    targets = np.random.default_rng(1).normal(size=ROWS).astype(np.float32)
    critic_batch = CriticBatch(batch.observations, targets)
    steps = round(ROWS / minibatch)
    pool = ThreadPoolExecutor(1)

    def actor(kernel: Gradients) -> None:
        update_actor(state.actor, state.head, batch, config, 1e-4, kernel)

    def critic(kernel: Gradients) -> None:
        update_critic(other.critic, critic_batch, wide, 1e-4, kernel)

    def timed(work: Callable[[], None]) -> float:
        start = perf_counter()
        work()
        return (perf_counter() - start) / steps * 1e6

    def in_turn(kernel: Gradients) -> None:
        actor(kernel)
        critic(kernel)

    def side_by_side(kernel: Gradients) -> None:
        pending = pool.submit(critic, kernel)
        actor(kernel)
        pending.result()

    fused, autograd = FusedGradients(), AutogradGradients()
    return {
        "NumPy, actor alone": lambda: timed(lambda: actor(fused)),
        "NumPy, critic alone": lambda: timed(lambda: critic(fused)),
        "NumPy, both in turn": lambda: timed(lambda: in_turn(fused)),
        "NumPy, both in two threads": lambda: timed(lambda: side_by_side(fused)),
        "torch autograd, both in turn": lambda: timed(lambda: in_turn(autograd)),
        "torch autograd, both in two threads": lambda: timed(lambda: side_by_side(autograd)),
    }


def _state_and_batch(config: TrainConfig) -> tuple[TrainState, ActorBatch]:
    task = describe(ENVIRONMENT)
    state = TrainState.initial(config, task)
    rng = np.random.default_rng(0)
    observations = rng.normal(size=(ROWS, task.observation.size)).astype(np.float32)
    outputs = state.actor.network.forward(observations).copy()
    extra = state.actor.network.extra
    actions = state.head.sample(outputs, extra, state.head.noise(1, ROWS, rng)[0])
    log_prob = state.head.log_prob(outputs, extra, actions)
    advantages = rng.normal(size=ROWS).astype(np.float32)
    return state, ActorBatch(observations, actions, log_prob, advantages)


def measure_case(minibatch: int, hidden: tuple[int, ...], repeats: int) -> dict[str, float]:
    """Median microseconds per gradient step of every contender."""
    calls = contenders(minibatch, hidden)
    samples: dict[str, list[float]] = {label: [] for label in calls}
    with threadpool_limits(1):
        for turn in range(repeats + 1):
            for label in list(calls) if turn % 2 else reversed(calls):
                microseconds = calls[label]()
                if turn:  # the first turn warms up
                    samples[label].append(microseconds)
    return {label: median(values) for label, values in samples.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the table; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dspctl.benchmarks.training.update_kernel")
    parser.add_argument("--repeats", type=int, default=15, help="turns of each (default 15)")
    options = parser.parse_args(arguments)
    console = Console()
    columns = {
        f"{minibatch}, {'-'.join(map(str, hidden))}": measure_case(
            minibatch, hidden, options.repeats
        )
        for minibatch, hidden in CASES
    }
    table = Table("µs per gradient step", *columns, title="minibatch, hidden units of the actor")
    for label in next(iter(columns.values())):
        table.add_row(label, *(f"{case[label]:.0f}" for case in columns.values()))
    console.print(table)
    machine = describe_machine()
    console.print(f"{machine.cpu}, {machine.cores} cores")
    for note in machine.notes():
        console.print(f"note: {note}", markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
