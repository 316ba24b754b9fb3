"""The proof that a compact network computes what its source computes, and how far float32 is.

Two float64 programs for the same function differ by rounding alone. How much that may be depends
on the network and on the observation, so it is computed and not guessed: `rounding_bound` runs an
error analysis beside the forward pass (Higham, "Accuracy and Stability of Numerical Algorithms",
chapter 3). A difference within `_MARGIN` times the bounds of both networks is rounding. Anything
larger, anywhere, is `NotEquivalent`.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.compactor.intervals import UNIT_ROUNDOFF, activate
from dspctl.compactor.network import Float64
from dspctl.errors import NotEquivalent
from dspctl.runtime import Policy

# Merged weights and folded biases are rounded too, once per merged unit, which the bound of the
# source covers again; the rest of the margin is for second-order terms.
_MARGIN = 4.0
_TANH_ULPS = 8.0  # more than any libm's or SIMD tanh is off
_CHUNK = 4096  # rows evaluated at once, to bound memory


@dataclass(frozen=True)
class Proof:
    """Equality of the masked source and the compact network, both in float64.

    Attributes:
        recorded: recorded observations compared; 0 means that only edges were.
        edges: generated edge observations compared.
        max_error: largest absolute difference of any output.
        max_relative_error: largest difference divided by ``1 + |output|``.
        tolerance: what rounding explains at the output where `max_error` was seen.
        tolerance_used: largest difference as a share of its own tolerance; at most 1.
        differing_actions: observations whose discrete action differs although the two best
            outputs are further apart than the tolerance; None for continuous actions.
        ties: observations whose discrete action differs because they are not; None likewise.
    """

    recorded: int
    edges: int
    max_error: float
    max_relative_error: float
    tolerance: float
    tolerance_used: float
    differing_actions: int | None
    ties: int | None

    def to_json(self) -> dict[str, Any]:
        """JSON values only."""
        return asdict(self)

    def worst_of(self, other: "Proof") -> "Proof":
        """Both proofs as one, for steps that were proven one after the other."""
        larger = self if self.max_error >= other.max_error else other
        return replace(
            larger,
            max_relative_error=max(self.max_relative_error, other.max_relative_error),
            tolerance_used=max(self.tolerance_used, other.tolerance_used),
            differing_actions=_sum(self.differing_actions, other.differing_actions),
            ties=_sum(self.ties, other.ties),
        )


@dataclass(frozen=True)
class Rounding:
    """What storing the parameters as float32 changes; the arithmetic stays float64.

    Attributes:
        observations: recorded observations measured, or edges where none were recorded.
        max_error: largest absolute difference of any output to the masked source.
        max_relative_error: largest difference divided by ``1 + |output|``.
        differing_actions: observations whose discrete action differs, float64 ties aside; None
            for continuous actions.
    """

    observations: int
    max_error: float
    max_relative_error: float
    differing_actions: int | None

    def to_json(self) -> dict[str, Any]:
        """JSON values only."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class _Comparison:
    """Two networks on one chunk of observations."""

    source: Float64
    other: Float64
    tolerance: Float64

    @property
    def error(self) -> Float64:
        return np.abs(self.source - self.other)

    @property
    def relative_error(self) -> Float64:
        return self.error / (1.0 + np.abs(self.source))

    def changed(self) -> tuple[int, int]:
        """Rows whose argmax differs: beyond the tolerance, and within it (ties)."""
        differs = self.source.argmax(axis=1) != self.other.argmax(axis=1)
        if not differs.any():
            return 0, 0
        best = np.sort(self.source[differs], axis=1)[:, -2:]
        clear = best[:, 1] - best[:, 0] > self.tolerance[differs].max(axis=1)
        return int(clear.sum()), int((~clear).sum())


def prove_equal(source: Policy, compact: Policy, recorded: Float64, edges: Float64) -> Proof:
    """Compare the masked *source* and the *compact* float64 policy on all observations.

    Args:
        source: with its masks.
        compact: float64 weights, not yet rounded.
        recorded: float64 [n, obs_dim], raw, n may be 0.
        edges: float64 [m, obs_dim], raw.

    Raises:
        NotEquivalent: an output differs by more than rounding explains, or is not finite.
    """
    proof: Proof | None = None
    for at in _comparisons(source, compact, np.concatenate([recorded, edges])):
        share = at.error / at.tolerance
        worst = np.unravel_index(np.nanargmax(np.nan_to_num(share, nan=np.inf)), share.shape)
        if not share[worst] <= 1.0:
            raise NotEquivalent(
                f"the compact network gives {at.other[worst]:.9g} where its masked source gives "
                f"{at.source[worst]:.9g}, and rounding explains only {at.tolerance[worst]:.1e} of "
                "that; nothing was produced: keep the masked policy, and report this file as a "
                "defect of dspctl"
            )
        largest = np.unravel_index(at.error.argmax(), at.error.shape)
        differing, ties = at.changed() if source.action.discrete else (None, None)
        part = Proof(
            recorded=len(recorded),
            edges=len(edges),
            max_error=float(at.error[largest]),
            max_relative_error=float(at.relative_error.max()),
            tolerance=float(at.tolerance[largest]),
            tolerance_used=float(share[worst]),
            differing_actions=differing,
            ties=ties,
        )
        proof = part if proof is None else proof.worst_of(part)
    if proof is None:
        raise NotEquivalent("there is no observation to prove equality on: record some first")
    return proof


def measure_rounding(source: Policy, stored: Policy, observations: Float64) -> Rounding:
    """How far *stored*, whose weights are float32, is from the masked *source*."""
    error = relative = 0.0
    differing = 0 if source.action.discrete else None
    for at in _comparisons(source, stored, observations):
        error = max(error, float(at.error.max()))
        relative = max(relative, float(at.relative_error.max()))
        differing = None if differing is None else differing + at.changed()[0]
    return Rounding(len(observations), error, relative, differing)


def rounding_bound(policy: Policy, observations: Float64) -> Float64:
    """A bound on the rounding error of each float64 output of *policy*, float64 [n, out].

    First-order running error analysis: a layer of n inputs adds at most ``(n + 2) u (|W||h| +
    |b|)`` and passes on ``|W| e``; a tanh passes on at most its largest slope within the error.
    """
    h: Float64 = observations[:, policy.inputs]
    error = np.zeros_like(h)
    if policy.normalizer is not None:
        h = policy.normalizer.apply(h).astype(np.float64)
        error = 3 * UNIT_ROUNDOFF * np.abs(h)
    for layer in policy.layers:
        weight = layer.weight.astype(np.float64)
        bias = np.zeros(layer.width) if layer.bias is None else layer.bias.astype(np.float64)
        own = (layer.fan_in + 2) * UNIT_ROUNDOFF
        error = (error + own * np.abs(h)) @ np.abs(weight).T + own * np.abs(bias)
        z = h @ weight.T + bias
        h = activate(layer.activation, z) * layer.kept
        error = _passed_on[layer.activation](z, error) * layer.kept
    return error


def _through_tanh(z: Float64, error: Float64) -> Float64:
    slope = 1.0 - np.tanh(np.maximum(np.abs(z) - error, 0.0)) ** 2
    return np.minimum(slope * error, 2.0) + _TANH_ULPS * UNIT_ROUNDOFF * np.abs(np.tanh(z))


def _through_relu(z: Float64, error: Float64) -> Float64:
    return np.where(z + error > 0, error, 0.0)


def _unchanged(z: Float64, error: Float64) -> Float64:
    return error


_passed_on: dict[str, Callable[[Float64, Float64], Float64]] = {
    "tanh": _through_tanh,
    "relu": _through_relu,
    "identity": _unchanged,
}


def _comparisons(
    source: Policy, other: Policy, observations: NDArray[np.float64]
) -> Iterator[_Comparison]:
    # Outputs that overflow are found by the caller: infinity minus infinity is not within bounds.
    for start in range(0, len(observations), _CHUNK):
        chunk = observations[start : start + _CHUNK]
        with np.errstate(over="ignore", invalid="ignore"):
            bound = rounding_bound(source, chunk) + rounding_bound(other, chunk)
            yield _Comparison(
                source=np.asarray(source.outputs(chunk), np.float64),
                other=np.asarray(other.outputs(chunk), np.float64),
                tolerance=_MARGIN * bound + np.finfo(np.float64).tiny,
            )


def _sum(first: int | None, second: int | None) -> int | None:
    return None if first is None or second is None else first + second
