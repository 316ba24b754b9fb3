"""A policy that is known to hold the pole for all 500 steps."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from dspctl.runtime import Layer, Policy, save_policy
from dspctl.runtime.policy.guard import default_guard
from dspctl.trainer.environments import describe
from tests.benchmarks.networks import network

_PUSH = np.array([0.1, 0.5, 3.0, 1.0], np.float32)
"""Push towards where the pole falls: cart position and speed, pole angle and speed."""


def balancing_policy(copies: int = 1) -> Policy:
    """Two relu units that are a linear rule together; 500 on every start.

    Args:
        copies: of the two units, so that there is something to shrink.
    """
    task = describe("CartPole-v1")
    pair = np.eye(2, dtype=np.float32) / copies
    layers = (
        Layer(np.tile([-_PUSH, _PUSH], (copies, 1)), np.zeros(2 * copies, np.float32), "relu"),
        Layer(np.tile(pair, copies), np.zeros(2, np.float32), "identity"),
    )
    policy = network((4, 2, 2))
    return replace(
        policy,
        environment="CartPole-v1",
        observation=task.observation,
        action=task.action,
        layers=layers,
        normalizer=None,
        guard=default_guard(4, task.action),
    )


def save_balancing(folder: Path, copies: int = 1) -> Path:
    """Its file."""
    return save_policy(balancing_policy(copies), folder / "teacher.safetensors")
