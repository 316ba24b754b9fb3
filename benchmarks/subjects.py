"""Opening what is to be measured: a policy file or a bundle folder, and observations for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.benchmarks.result import Subject
from dspctl.errors import ConfigProblem, ObservationShape
from dspctl.runtime import Policy, load_policy
from dspctl.runtime.files import sha256_of

OBSERVATIONS = 1024
"""Observations that the runners are given in turn: more than a branch predictor learns."""

_UNBOUNDED = 1e6


@dataclass(frozen=True, eq=False)
class Opened:
    """A subject with what is needed to run it.

    Attributes:
        path: the policy file or bundle folder.
        policy: its policy.
        subject: its record.
    """

    path: Path
    policy: Policy
    subject: Subject


def open_subjects(paths: Mapping[str, Path]) -> tuple[Opened, ...]:
    """Open all subjects and check that they can be compared.

    Raises:
        ConfigProblem: there are none.
        ObservationShape: they read observations of different sizes.
        PolicyProblem, BundleProblem: a subject cannot be read.
    """
    if not paths:
        raise ConfigProblem("there is nothing to measure: name at least one policy or bundle")
    opened = tuple(_open(label, Path(path)) for label, path in paths.items())
    sizes = {one.subject.label: one.policy.observation.size for one in opened}
    if len(set(sizes.values())) > 1:
        raise ObservationShape(
            f"the subjects read observations of different sizes {sizes}: "
            "compare policies of the same environment"
        )
    return opened


def choose_observations(
    policy: Policy, recorded: NDArray[Any] | None, *, seed: int, count: int = OBSERVATIONS
) -> tuple[NDArray[np.float32], str]:
    """Observations to measure with, and a sentence about where they came from.

    Args:
        policy: whose observations.
        recorded: float [n, obs_dim], raw, or None; at most *count* of them are drawn.
        seed: of the draw.
        count: observations wanted.

    Returns:
        float32 [<= count, obs_dim], C-contiguous.

    Raises:
        ObservationShape: the recorded ones do not fit the policy.
    """
    rng = np.random.default_rng(seed)
    size = policy.observation.size
    if recorded is not None and len(recorded):
        if recorded.ndim != 2 or recorded.shape[1] != size:
            raise ObservationShape(
                f"recorded observations have shape {list(recorded.shape)}, the policy reads "
                f"[n, {size}]: record them in {policy.environment}"
            )
        picks = rng.choice(len(recorded), min(count, len(recorded)), replace=False)
        chosen = np.ascontiguousarray(recorded[picks], np.float32)
        return chosen, f"{len(chosen)} of {len(recorded)} recorded observations"
    return _random_observations(policy, rng, count), f"{count} random observations within bounds"


def _random_observations(
    policy: Policy, rng: np.random.Generator, count: int
) -> NDArray[np.float32]:
    """Uniform where both bounds mean something, else normal around the normaliser's mean.

    Bounds such as 3.4e38 say "no bound"; drawing between them would only saturate every unit.
    """
    low, high = policy.observation.low, policy.observation.high
    bounded = (np.abs(low) < _UNBOUNDED) & (np.abs(high) < _UNBOUNDED)
    mean, deviation = np.zeros(low.size), np.ones(low.size)
    if policy.normalizer is not None:
        mean[policy.inputs] = policy.normalizer.mean
        deviation[policy.inputs] = 1 / np.maximum(np.abs(policy.normalizer.scale), 1e-6)
    drawn = rng.normal(mean, deviation, (count, low.size))
    drawn = np.clip(drawn, low, high)
    uniform = rng.uniform(
        np.where(bounded, low, 0.0), np.where(bounded, high, 1.0), (count, low.size)
    )
    return np.where(bounded, uniform, drawn).astype(np.float32)


def _open(label: str, path: Path) -> Opened:
    kind, policy_path, onnx_path = "policy", path, None
    policy = load_policy(policy_path)
    counts = policy.counts
    return Opened(
        path=path,
        policy=policy,
        subject=Subject(
            label=label,
            file=path.name,
            kind="policy",
            environment=policy.environment,
            sha256=sha256_of(policy_path),
            masked=policy.masked,
            units=counts.units,
            weights=counts.weights,
            biases=counts.biases,
            flops=counts.flops,
            parameter_bytes=counts.size_bytes,
            policy_bytes=policy_path.stat().st_size,
            onnx_bytes=None,
        ),
    )
