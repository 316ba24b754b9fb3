"""Does a backend compute what the reference computes? Measured, with a tolerance that is measured.

The reference is NumPy in float64. Other backends compute in float32, where every operation rounds,
and each adds in an order of its own. How far that leads depends on the weights and on the
observation: one fixed tolerance is too strict for large inputs or blind for small ones, and a
worst-case bound is a thousand times too wide for a layer of 128. So the yardstick is float32
itself: `rounding_bound` runs the same network in float32 several times, with random orders of
addition and random last bits, and grants `MARGIN` times the largest error seen. Half precision and
TF32 err thousands of times more than float32 and do not pass.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.runtime.policy import Policy
from dspctl.runtime.runner import Runner
from dspctl.runtime.strict_json import Fields

UNIT_ROUNDOFF = 2.0**-24
"""Relative error of one float32 operation."""

MARGIN = 16.0
"""How much worse than the yardstick a backend may be, on the same observation."""

RUNS = 8
"""Random float32 runs that make the yardstick."""

TANH_ERROR = 1e-6
"""Absolute error granted to a float32 tanh; ONNX Runtime's polynomial is off by up to 3.3e-7."""

TIE = 1e-5
"""Logits closer than this may be ranked either way."""


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
        largest_bound_share: the largest ratio of an output error to its `rounding_bound`.
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
    """What rounding to float32 explains, for every observation.

    Args:
        policy: what is computed.
        observations: float32 [n, obs_dim], raw.

    Returns:
        float64 [n, 1], positive; one value for all outputs of an observation.
    """
    exact = policy.outputs(observations.astype(np.float64))
    largest = np.abs(exact).max(axis=1, keepdims=True)
    bound = MARGIN * UNIT_ROUNDOFF * np.maximum(1.0, largest)
    rng = np.random.default_rng(0)
    for _ in range(RUNS):
        with np.errstate(over="ignore", invalid="ignore"):
            error = np.abs(_float32_outputs(policy, observations, rng) - exact)
        # Where float32 overflows there is no telling right from wrong: nothing extra is granted.
        error = np.where(np.isfinite(error), error, 0.0).max(axis=1, keepdims=True)
        bound = np.maximum(bound, MARGIN * error)
    return np.asarray(bound, np.float64)


def _float32_outputs(
    policy: Policy, observations: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float32]:
    """The outputs in float32: sums in a random order, weights and tanh a little wrong."""
    x = observations[:, policy.inputs]
    if policy.normalizer is not None:
        x = np.asarray(policy.normalizer.apply(x), np.float32)
    columns = rng.permutation(x.shape[1])
    x = x[:, columns]
    for index, layer in enumerate(policy.layers):
        last = index == len(policy.layers) - 1
        rows = np.arange(layer.width) if last else rng.permutation(layer.width)
        weight = np.where(layer.kept[:, None], layer.weight, 0.0)
        # A layer of one or two units has no other order; a weight off by one unit in the last
        # place stands for the rounding of its product (Parker's Monte Carlo arithmetic).
        weight = weight * (1 + 2 * UNIT_ROUNDOFF * rng.choice([-1.0, 1.0], weight.shape))
        weight = weight.astype(np.float32)
        x = x @ weight[rows][:, columns].T
        if layer.bias is not None:
            x = x + np.where(layer.kept, layer.bias, 0.0).astype(np.float32)[rows]
        if layer.activation == "tanh":
            noise = rng.uniform(-TANH_ERROR, TANH_ERROR, x.shape).astype(np.float32)
            x = np.tanh(x) + noise * layer.kept[rows]
        elif layer.activation == "relu":
            x = np.maximum(x, 0)
        columns = rows
    return x


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
    allowed = np.maximum(TIE, 2 * bound[:, 0])
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
