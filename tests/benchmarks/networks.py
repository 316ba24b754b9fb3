"""Policies, metrics rows and clocks that the benchmark tests share."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from dspctl.runtime import ActionRule, Layer, ObservationSpec, Policy


def network(sizes: Sequence[int], seed: int = 0) -> Policy:
    """A tanh policy with the given layer sizes, inputs first, a discrete action last."""
    rng = np.random.default_rng(seed)
    layers = tuple(
        Layer(
            weight=rng.standard_normal((out, fan_in)).astype(np.float32),
            bias=rng.standard_normal(out).astype(np.float32),
            activation="identity" if index == len(sizes) - 2 else "tanh",
        )
        for index, (fan_in, out) in enumerate(pairwise(sizes))
    )
    bound = np.ones(sizes[0], np.float32)
    return Policy(
        environment="CartPole-v1",
        observation=ObservationSpec(-bound, bound),
        layers=layers,
        action=ActionRule("argmax"),
        inputs=np.arange(sizes[0]),
    )


def masked(policy: Policy, kept: Sequence[Sequence[int]]) -> Policy:
    """The same policy with only the units in *kept* alive, layer by layer."""
    layers = list(policy.layers)
    for index, units in enumerate(kept):
        mask = np.zeros(layers[index].width, bool)
        mask[list(units)] = True
        layers[index] = replace(layers[index], mask=mask)
    return replace(policy, layers=tuple(layers))


def metrics(
    iterations: int = 20, *, prune: bool = True, offset: float = 0.0
) -> list[dict[str, Any]]:
    """Rows as a run writes them; pruning takes the middle half."""
    rows = []
    for index in range(iterations):
        share = min(max((index / iterations - 0.25) / 0.5, 0.0), 1.0) if prune else 0.0
        rows.append(
            {
                "iteration": index + 1,
                "steps": (index + 1) * 100,
                "episode_return": None if index == 0 else 10.0 * index + offset,
                "units": [100 - round(50 * share), 100 - round(90 * share)],
                "threshold": None if share == 0 else 1e-3 * share,
                "scheduled_sparsity": 0.7 * share,
                "unit_sparsity": 0.7 * share,
                "weight_sparsity": 0.9 * share,
                "flops_sparsity": 0.89 * share,
            }
        )
    return rows


class FakeClock:
    """A clock that moves only when it is read or when `work` is called."""

    def __init__(self, *, cost_ns: int, tick_ns: int = 1) -> None:
        self.now_ns = 0
        self.cost_ns, self.tick_ns = cost_ns, tick_ns
        self.reads = 0

    def __call__(self) -> int:
        self.now_ns += self.cost_ns
        self.reads += 1
        return self.now_ns // self.tick_ns * self.tick_ns

    def work(self, duration_ns: int) -> None:
        """Let time pass."""
        self.now_ns += duration_ns
