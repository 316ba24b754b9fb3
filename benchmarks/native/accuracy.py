"""How far ONNX Runtime and generated C are from float64, on recorded and random observations."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dspctl.exporter import export
from dspctl.runtime import Runner, load
from dspctl.runtime.policy import Policy

OBSERVATIONS = 100_000
TIE = 1e-5
"""Logits closer than this may be ranked either way."""

SPREAD = 3.0
"""Random observations reach this many standard deviations of the recorded ones further."""


@dataclass(frozen=True)
class Accuracy:
    """One backend on one policy.

    Attributes:
        policy: which network.
        backend: what ran it.
        observations: how many were compared.
        largest_error: of the actions, as a share of the action's range; of the logits, absolute,
            for a discrete policy.
        disagreements: discrete actions that differ though the two best logits are more than
            `TIE` apart.
        close_calls: observations whose two best logits are closer than that.
    """

    policy: str
    backend: str
    observations: int
    largest_error: float
    disagreements: int
    close_calls: int


def random_observations(
    recorded: NDArray[np.float32], policy: Policy, count: int
) -> NDArray[np.float32]:
    """Normal around the recorded mean, `SPREAD` times as wide, moved into the valid range."""
    rng = np.random.default_rng(0)
    centre, width = recorded.mean(axis=0), recorded.std(axis=0) + 1e-3
    values = centre + SPREAD * width * rng.standard_normal((count, recorded.shape[1]))
    return np.asarray(np.clip(values, policy.guard.low, policy.guard.high), np.float32)


def measure_accuracy(label: str, policy: Policy, recorded: NDArray[np.float32]) -> list[Accuracy]:
    """ONNX Runtime, fast C and strict C against float64, on `OBSERVATIONS` observations."""
    valid = recorded[policy.guard.status(recorded, policy.inputs) == 0][: OBSERVATIONS // 2]
    extra = random_observations(recorded, policy, OBSERVATIONS - len(valid))
    observations = np.concatenate([valid, extra])
    exact = np.asarray(policy.outputs(observations.astype(np.float64)), np.float64)
    found = []
    with tempfile.TemporaryDirectory() as name:
        for strict in (False, True):
            bundle = Path(name) / str(strict)
            export(policy, "cpu", bundle, strict=strict)
            with load(bundle, "native") as runner:
                mode = "C, strict" if strict else "C, fast"
                found.append(_compare(label, mode, policy, runner, observations, exact))
        with load(Path(name) / "False", "onnxruntime") as runner:
            found.append(_compare(label, "ONNX Runtime", policy, runner, observations, exact))
    return found


def _compare(
    label: str,
    backend: str,
    policy: Policy,
    runner: Runner,
    observations: NDArray[np.float32],
    exact: NDArray[np.float64],
) -> Accuracy:
    actions = runner(observations)
    wanted = policy.action.apply(exact)
    if not policy.action.discrete:
        spread = (policy.action.high - policy.action.low).astype(np.float64)
        error = np.abs(actions - wanted) / np.where(np.isfinite(spread), spread, 1.0)
        return Accuracy(label, backend, len(observations), float(error.max()), 0, 0)
    error = np.abs(runner.outputs(observations) - exact)
    best = np.sort(exact, axis=1)
    close = (best[:, -1] - best[:, -2]) <= TIE if exact.shape[1] > 1 else np.zeros(len(exact), bool)
    return Accuracy(
        label,
        backend,
        len(observations),
        float(error.max()),
        int(((actions != wanted) & ~close).sum()),
        int(close.sum()),
    )
