"""Does a backend compute what the reference computes? Measured, with a tolerance that is derived.

The reference is NumPy in float64. Other backends compute in float32, where every operation rounds.
How far that may lead depends on the weights and on the observation, so one fixed tolerance is
either too strict for large inputs or blind for small ones. `rounding_bound` is the running error
bound of Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., chapter 3: no float32
implementation, in whichever order it adds, can be further away. What is further away is a defect
(or a lower precision: half precision and TF32 do not pass).
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.runtime.policy import Layer, Policy
from dspctl.runtime.runner import Runner
from dspctl.runtime.strict_json import Fields

UNIT_ROUNDOFF = 2.0**-24
"""Relative error of one float32 operation."""

TANH_ERROR = 1e-6
"""Absolute error granted to a float32 tanh. ONNX Runtime's polynomial stays below 3e-7."""

TIE = 1e-5
"""Logits closer than this may be ranked either way."""

_UNDERFLOW = float(np.finfo(np.float32).tiny)  # many chips flush subnormal numbers to zero


@dataclass(frozen=True, eq=False)
class Golden:
    """Observations with the reference's answers.

    Attributes:
        observations: float32 [n, obs_dim], raw.
        outputs: float64 [n, out].
        actions: int64 [n], or float32 [n, action_dim].
    """

    observations: NDArray[np.float32]
    outputs: NDArray[np.float64]
    actions: NDArray[Any]


@dataclass(frozen=True)
class Parity:
    """How far a backend is from the reference.

    Attributes:
        backend: what was compared.
        observations: how many observations, each given alone and within one batch.
        largest_output_error: absolute, over all network outputs.
        largest_action_error: as a share of the action's range (of 1 where it has none); 0 for
            discrete actions.
        largest_bound_share: the largest output error divided by its own `rounding_bound`.
        disagreements: observations whose action differs by more than rounding explains. A
            discrete action counts when its reference logit is below the best one by more than
            `TIE` and by more than the rounding of the two.
        ties: observations on which another discrete action was chosen and did not count.
    """

    backend: str
    observations: int
    largest_output_error: float
    largest_action_error: float
    largest_bound_share: float
    disagreements: int
    ties: int

    @property
    def passed(self) -> bool:
        """True when every output is within its bound and no action disagrees."""
        return self.largest_bound_share <= 1.0 and self.disagreements == 0

    def __str__(self) -> str:
        return (
            f"{self.backend}: over {self.observations} observations the largest output error is "
            f"{self.largest_output_error:.3g} ({self.largest_bound_share:.3g} of what rounding "
            f"allows), the largest action error {self.largest_action_error:.3g} of the range, "
            f"and {self.disagreements} actions disagree"
        )

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)

    @staticmethod
    def from_json(value: Any) -> "Parity":
        """The inverse of `to_json`. Raises ValueError on anything else."""
        fields = Fields(value, "a parity record")
        parity = Parity(
            backend=fields.text("backend"),
            observations=fields.integer("observations"),
            largest_output_error=fields.number("largest_output_error"),
            largest_action_error=fields.number("largest_action_error"),
            largest_bound_share=fields.number("largest_bound_share"),
            disagreements=fields.integer("disagreements"),
            ties=fields.integer("ties"),
        )
        fields.finish()
        return parity


def golden_from_policy(policy: Policy, observations: NDArray[np.float32]) -> Golden:
    """The reference's answers to *observations*, float32 [n, obs_dim]."""
    outputs = np.asarray(policy.outputs(observations.astype(np.float64)), np.float64)
    actions = policy.action.apply(outputs)
    kind = np.int64 if policy.action.discrete else np.float32
    return Golden(observations, outputs, actions.astype(kind))


def measure_parity(runner: Runner, golden: Golden) -> Parity:
    """Run every observation, in one batch and one by one, and compare with *golden*.

    Errors that are not numbers count as infinite.
    """
    policy, observations = runner.policy, golden.observations
    bound = rounding_bound(policy, observations)
    outputs = [
        runner.outputs(observations),
        np.stack([runner.outputs(row) for row in observations]),
    ]
    actions = [runner(observations), np.stack([runner(row) for row in observations])]
    errors = [_finite(np.abs(each - golden.outputs)) for each in outputs]
    share = max(float(_finite(each / bound).max()) for each in errors)
    action_error = 0.0
    disagree, tie = np.zeros(len(bound), bool), np.zeros(len(bound), bool)
    for each in actions:
        if policy.action.discrete:
            wrong, tied = _compare_choices(policy, golden, each, bound)
            tie |= tied
        else:
            error = _finite(np.abs(each.astype(np.float64) - golden.actions))
            action_error = max(action_error, float((error / _action_range(policy)).max()))
            wrong = np.any(error > _action_bound(policy, golden, bound), axis=1)
        disagree |= wrong
    return Parity(
        backend=runner.backend,
        observations=len(observations),
        largest_output_error=max(float(each.max()) for each in errors),
        largest_action_error=action_error,
        largest_bound_share=share,
        disagreements=int(disagree.sum()),
        ties=int(tie.sum()),
    )


def rounding_bound(policy: Policy, observations: NDArray[np.float32]) -> NDArray[np.float64]:
    """Largest error that a float32 forward pass can make, for every output.

    Args:
        policy: what is computed.
        observations: float32 [n, obs_dim], raw.

    Returns:
        float64 [n, out], all positive.
    """
    x = observations.astype(np.float64)[:, policy.inputs]
    error = np.zeros_like(x)
    if policy.normalizer is not None:
        mean, scale = (
            each.astype(np.float64) for each in (policy.normalizer.mean, policy.normalizer.scale)
        )
        # Two roundings of the same product; clipping never spreads values further apart.
        error = 3 * UNIT_ROUNDOFF * np.abs((x - mean) * scale) + _UNDERFLOW
        x = np.asarray(policy.normalizer.apply(x), np.float64)
    for layer in policy.layers:
        x, error = _layer_bound(layer, x, error)
    return error


def _layer_bound(
    layer: Layer, x: NDArray[np.float64], error: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values after *layer* and the bound on their error."""
    weight = np.where(layer.kept[:, None], layer.weight, 0.0).astype(np.float64)
    bias = np.zeros(layer.width) if layer.bias is None else np.where(layer.kept, layer.bias, 0.0)
    terms = (layer.fan_in + 2) * UNIT_ROUNDOFF
    gamma = terms / (1 - terms)  # Higham, Lemma 3.1; one term more for the bias
    magnitude = (np.abs(x) + error) @ np.abs(weight).T + np.abs(bias)
    before = x @ weight.T + bias
    error = error @ np.abs(weight).T + gamma * magnitude + (layer.fan_in + 1) * _UNDERFLOW
    if layer.activation == "tanh":
        steepest = 1.0 - np.tanh(np.maximum(np.abs(before) - error, 0.0)) ** 2
        return np.tanh(before), np.minimum(steepest * error, 2.0) + TANH_ERROR
    return (np.maximum(before, 0.0) if layer.activation == "relu" else before), error


def _compare_choices(
    policy: Policy, golden: Golden, actions: NDArray[Any], bound: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Per observation: a wrong choice, and a different but equally good one."""
    choice = actions.astype(np.int64) - policy.action.start
    best = golden.actions - policy.action.start
    width = golden.outputs.shape[1]
    valid = (choice >= 0) & (choice < width)
    row, choice = np.arange(len(choice)), np.where(valid, choice, 0)
    gap = golden.outputs[row, best] - golden.outputs[row, choice]
    allowed = np.maximum(TIE, bound[row, best] + bound[row, choice])
    wrong = ~valid | ~(gap <= allowed)
    return wrong, ~wrong & (choice != best)


def _action_range(policy: Policy) -> NDArray[np.float64]:
    spread = policy.action.high.astype(np.float64) - policy.action.low.astype(np.float64)
    return np.where(np.isfinite(spread) & (spread > 0), spread, 1.0)


def _action_bound(
    policy: Policy, golden: Golden, bound: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Largest error of a continuous action, float64 [n, action_dim]; clipping adds none."""
    rounding = UNIT_ROUNDOFF * np.abs(golden.actions.astype(np.float64))
    if policy.action.kind == "clip":
        return bound + rounding
    low, high = policy.action.low.astype(np.float64), policy.action.high.astype(np.float64)
    if policy.action.kind == "tanh_unscale":
        bound = bound + TANH_ERROR
    return bound * (high - low) / 2 + 8 * UNIT_ROUNDOFF * (np.abs(low) + np.abs(high))


def _finite(errors: NDArray[Any]) -> NDArray[np.float64]:
    """NaN becomes infinity, so that no comparison overlooks it."""
    return np.where(np.isnan(errors), np.inf, errors).astype(np.float64)
