"""The networks that native code is measured on: three of fixed shape, and the user's own."""

from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dspctl.errors import ConfigProblem
from dspctl.runtime.policy import ActionRule, Layer, ObservationSpec, Policy

SHAPES = {
    "8-9-9-4": "argmax",
    "17-14-4-6": "clip",
    "8-128-128-4": "argmax",
}
"""The pruned and unpruned LunarLander networks and a pruned Walker2d one, with their rules."""


_FEWEST = 64


def fixed_policy(shape: str, rule: str, seed: int = 0) -> Policy:
    """A ReLU network of random weights; timing does not depend on their values.

    Args:
        shape: sizes joined by dashes, inputs first.
        rule: ``argmax`` or ``clip``.
        seed: of the weights.
    """
    sizes = [int(size) for size in shape.split("-")]
    rng = np.random.default_rng(seed)
    layers = [
        Layer(
            weight=(rng.standard_normal((out, ins)) / np.sqrt(ins)).astype(np.float32),
            bias=(0.1 * rng.standard_normal(out)).astype(np.float32),
            activation="identity" if index == len(sizes) - 2 else "relu",
        )
        for index, (ins, out) in enumerate(pairwise(sizes))
    ]
    ends = np.ones(sizes[-1], np.float32)
    bound = np.full(sizes[0], np.inf, np.float32)
    return Policy(
        environment=f"random-{shape}",
        observation=ObservationSpec(-bound, bound),
        layers=tuple(layers),
        action=ActionRule("argmax") if rule == "argmax" else ActionRule("clip", -ends, ends),
        inputs=np.arange(sizes[0], dtype=np.int64),
        lineage={"method": "random", "seed": seed},
    )


def fixed_policies(rows: int) -> dict[str, tuple[Policy, NDArray[np.float32]]]:
    """Label → policy and standard normal observations, float32 [rows, obs_dim]."""
    rng = np.random.default_rng(1)
    found = {}
    for shape, rule in SHAPES.items():
        policy = fixed_policy(shape, rule)
        observations = rng.standard_normal((rows, policy.observation.size)).astype(np.float32)
        found[shape] = (policy, observations)
    return found


def policy_and_observations(path: Path, rows: int) -> tuple[Policy, NDArray[np.float32]]:
    """A run's compacted policy with at most *rows* of its recorded observations, evenly picked.

    Args:
        path: a run folder.
        rows: how many observations.

    Raises:
        ConfigProblem: the run recorded fewer than `_FEWEST` observations.
        RunProblem: it is no finished run.
    """
    from dspctl.compactor import compact
    from dspctl.trainer import load_run

    run = load_run(path)
    recorded = run.observations()
    if recorded is None or len(recorded) < _FEWEST:
        raise ConfigProblem(f"{path} holds fewer than {_FEWEST} recorded observations: train again")
    policy = compact(run.policy(), observations=recorded).policy
    picked = np.linspace(0, len(recorded) - 1, min(rows, len(recorded))).round().astype(int)
    return policy, np.ascontiguousarray(recorded[picked], np.float32)


def shape_of(policy: Policy) -> str:
    """Sizes from the inputs that are read to the outputs, joined by dashes."""
    return "-".join(map(str, [policy.inputs.size, *(layer.width for layer in policy.layers)]))
