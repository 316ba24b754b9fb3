"""Opening what is to be measured: a policy file or a bundle folder, and observations for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dspctl.benchmarks.record.result import Skipped, Subject
from dspctl.errors import ConfigProblem, ObservationShape, PolicyNotFound
from dspctl.runtime import Policy, load_policy
from dspctl.runtime.bundle import ONNX, POLICY, open_bundle
from dspctl.runtime.files import sha256_of

OBSERVATIONS = 1024
"""Observations that the runners are given in turn: more than a branch predictor learns."""

_UNBOUNDED = 1e6
_RANDOM = "{} random observations: by the normaliser's statistics, else within the bounds"


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

    def skipped(self, backend: str, error: Exception) -> Skipped:
        """The record of a measurement that could not be made, without this machine's paths."""
        reason = str(error).replace(str(self.path), self.path.name)
        return Skipped(self.subject.label, backend, reason)


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
    return _random_observations(policy, rng, count), _RANDOM.format(count)


def _random_observations(
    policy: Policy, rng: np.random.Generator, count: int
) -> NDArray[np.float32]:
    """Near what training saw: the normaliser knows, else the bounds do, else a unit normal.

    Bounds such as 3.4e38 say "no bound"; drawing between them would only saturate every unit.
    """
    low, high = policy.observation.low, policy.observation.high
    bounded = (np.abs(low) < _UNBOUNDED) & (np.abs(high) < _UNBOUNDED)
    shape = (count, low.size)
    drawn = np.where(
        bounded,
        rng.uniform(np.where(bounded, low, 0.0), np.where(bounded, high, 1.0), shape),
        np.clip(rng.standard_normal(shape), low, high),
    )
    if policy.normalizer is not None:
        mean = policy.normalizer.mean.astype(np.float64)
        deviation = 1 / np.maximum(np.abs(policy.normalizer.scale.astype(np.float64)), 1e-6)
        known = rng.normal(mean, deviation, (count, mean.size))
        drawn[:, policy.inputs] = np.clip(known, low[policy.inputs], high[policy.inputs])
    return drawn.astype(np.float32)


def _open(label: str, path: Path) -> Opened:
    try:
        folder = path.is_dir()
    except OSError as error:
        raise PolicyNotFound.unreadable(path, error) from error
    if folder:
        bundle = open_bundle(path)
        listed = bundle.manifest.files
        return Opened(
            path,
            bundle.policy,
            _subject(
                label,
                path,
                bundle.policy,
                kind="bundle",
                sha256=listed[POLICY].sha256,
                policy_bytes=listed[POLICY].size_bytes,
                onnx_bytes=listed[ONNX].size_bytes if ONNX in listed else None,
            ),
        )
    policy = load_policy(path)
    return Opened(
        path,
        policy,
        _subject(
            label,
            path,
            policy,
            kind="policy",
            sha256=sha256_of(path),
            policy_bytes=path.stat().st_size,
            onnx_bytes=None,
        ),
    )


def _subject(
    label: str,
    path: Path,
    policy: Policy,
    *,
    kind: Literal["policy", "bundle"],
    sha256: str,
    policy_bytes: int,
    onnx_bytes: int | None,
) -> Subject:
    counts = policy.counts
    return Subject(
        label=label,
        file=path.name,
        kind=kind,
        environment=policy.environment,
        sha256=sha256,
        masked=policy.masked,
        units=counts.units,
        weights=counts.weights,
        biases=counts.biases,
        flops=counts.flops,
        parameter_bytes=counts.size_bytes,
        policy_bytes=policy_bytes,
        onnx_bytes=onnx_bytes,
    )
