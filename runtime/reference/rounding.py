"""How far float32 may be from float64: a tolerance that is measured.

The reference is NumPy in float64. Other backends compute in float32, where every operation rounds,
and each adds in an order of its own. How far that leads depends on the weights and on the
observation: one fixed tolerance is too strict for large inputs or blind for small ones, and a
worst-case bound is a thousand times too wide for a layer of 128. So the yardstick is float32
itself: `rounding_bound` runs the same network in float32 several times, with random orders of
addition and random last bits, and grants `MARGIN` times the largest error seen. Half precision and
TF32 err thousands of times more than float32 and do not pass.
"""

import numpy as np
from numpy.typing import NDArray

from dspctl.runtime.policy import Policy
from dspctl.runtime.policy.guard import FLOAT32_MAX

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


def action_bound(
    policy: Policy, actions: NDArray[np.float32], bound: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Largest error of continuous actions; clipping to the action bounds adds none.

    Args:
        policy: its action rule.
        actions: the reference's, float32 [n, action_dim].
        bound: of the outputs, float64 [n, 1], as from `rounding_bound`.

    Returns:
        float64 [n, action_dim].
    """
    if policy.action.kind == "clip":
        return bound + UNIT_ROUNDOFF * np.abs(actions.astype(np.float64))
    low, high = policy.action.low.astype(np.float64), policy.action.high.astype(np.float64)
    if policy.action.kind == "tanh_unscale":
        bound = bound + TANH_ERROR
    return bound * (high - low) / 2 + 8 * UNIT_ROUNDOFF * (np.abs(low) + np.abs(high))


def fits_float32(policy: Policy, observations: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where no sum can overflow in float32, in whatever order it is added: bool [n].

    Args:
        policy: what is computed.
        observations: float32 [n, obs_dim], raw, finite where they are read.
    """
    h = observations[:, policy.inputs].astype(np.float64)
    fits = np.ones(len(h), bool)
    if policy.normalizer is not None:
        h = np.asarray(policy.normalizer.apply(h), np.float64)
        fits &= (np.abs(h) < FLOAT32_MAX / 2).all(axis=1)  # a clip would have bounded it
    for layer in (each.unmasked for each in policy.layers):
        weight = layer.weight.astype(np.float64)
        bias = np.float64(0) if layer.bias is None else layer.bias.astype(np.float64)
        sums = np.abs(h) @ np.abs(weight).T + np.abs(bias)
        fits &= (sums < FLOAT32_MAX / 2).all(axis=1)
        h = h @ weight.T + bias
        if layer.activation == "tanh":
            h = np.tanh(h)
        elif layer.activation == "relu":
            h = np.maximum(h, 0)
    return fits


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
        # A layer of one or two units has no other order; a weight off by one unit in the last
        # place stands for the rounding of its product (Parker's Monte Carlo arithmetic).
        off = 1 + 2 * UNIT_ROUNDOFF * rng.choice([-1.0, 1.0], layer.weight.shape)
        weight = (layer.unmasked.weight * off).astype(np.float32)
        x = x @ weight[rows][:, columns].T
        if layer.unmasked.bias is not None:
            x = x + layer.unmasked.bias.astype(np.float32)[rows]
        if layer.activation == "tanh":
            noise = rng.uniform(-TANH_ERROR, TANH_ERROR, x.shape).astype(np.float32)
            x = np.tanh(x) + noise * layer.kept[rows]
        elif layer.activation == "relu":
            x = np.maximum(x, 0)
        columns = rows
    return x
