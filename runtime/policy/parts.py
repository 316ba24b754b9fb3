"""The parts of a policy: observation, normaliser, layer, action rule; each checks itself.

Everything here is re-exported by :mod:`dspctl.runtime.policy`, which puts the parts together.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from dspctl.runtime.on_demand import errors
from dspctl.runtime.policy.checks import finite, ordered
from dspctl.runtime.records import field, record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.floating[Any]]

Activation = Literal["tanh", "relu", "identity"]
ActionKind = Literal["argmax", "clip", "clip_unscale", "tanh_unscale"]

ACTIVATIONS: tuple[str, ...] = get_args(Activation)
ACTION_KINDS: tuple[str, ...] = get_args(ActionKind)


@record(frozen=True, eq=False)
class ObservationSpec:
    """What the environment hands over: a flat vector.

    Attributes:
        low: float32 [obs_dim], the declared lower bounds; -inf where there is none.
        high: float32 [obs_dim], the declared upper bounds; +inf where there is none.
        names: one name per feature, or empty when the environment names none.
    """

    low: NDArray[np.float32]
    high: NDArray[np.float32]
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.low.ndim != 1 or self.low.shape != self.high.shape or self.low.size == 0:
            raise errors.PolicyShape(
                f"observation bounds must be two equal non-empty vectors, not "
                f"{self.low.shape} and {self.high.shape}: export the policy again"
            )
        if not ordered(self.low, self.high):
            raise errors.PolicyFormat(
                "observation bounds are NaN or crossed: export the policy again"
            )
        if math.inf in self.low.tolist() or -math.inf in self.high.tolist():
            raise errors.PolicyFormat(
                "an observation bound leaves no finite value: use -inf as the lower and +inf as "
                "the upper bound of an unbounded feature"
            )
        if self.names and len(self.names) != self.low.size:
            raise errors.PolicyShape(
                f"{len(self.names)} observation names for {self.low.size} features: "
                "name every feature or none"
            )

    @property
    def size(self) -> int:
        """Number of features in the raw observation."""
        return int(self.low.size)


@record(frozen=True, eq=False)
class Normalizer:
    """``clip((x - mean) * scale, -clip, clip)`` over the inputs that the network reads.

    Attributes:
        mean: float32 [inputs].
        scale: float32 [inputs], the reciprocal of the standard deviation.
        clip: symmetric bound on the normalised value, or None for no clipping.
    """

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    clip: float | None = 10.0

    def __post_init__(self) -> None:
        if self.mean.ndim != 1 or self.mean.shape != self.scale.shape:
            raise errors.PolicyShape(
                f"normaliser mean and scale must be two vectors of equal length, not "
                f"{self.mean.shape} and {self.scale.shape}: export the policy again"
            )
        if not (finite(self.mean) and finite(self.scale)):
            raise errors.PolicyNotFinite(
                "the normaliser holds a NaN or infinity: the training run diverged, train again"
            )
        if self.clip is not None and not 0 < self.clip < math.inf:
            raise errors.PolicyFormat(
                f"normaliser clip must be a positive number, not {self.clip}: "
                "use None for no clipping"
            )
        with np.errstate(over="ignore", under="ignore"):
            single = np.float32(1 if self.clip is None else self.clip)
        if not 0 < single < math.inf:
            raise errors.PolicyFormat(
                f"normaliser clip {self.clip} is no float32, as every backend computes: use a "
                "number such as 10, or None for no clipping"
            )

    def apply(self, x: FloatArray) -> FloatArray:
        """Normalise *x*, shape [..., inputs], in the precision of *x*."""
        y = (x - self.mean.astype(x.dtype)) * self.scale.astype(x.dtype)
        return y if self.clip is None else np.clip(y, -self.clip, self.clip)


@record(frozen=True, eq=False)
class Layer:
    """One fully connected layer: ``activation(weight @ x + bias) * mask``.

    Attributes:
        weight: float [out, in]; float32 in files, float64 inside proofs.
        bias: float [out], or None for a layer without biases.
        activation: the element-wise function after the affine map.
        mask: bool [out], False for a unit that training removed, or None when all are kept.
    """

    weight: FloatArray
    bias: FloatArray | None
    activation: Activation
    mask: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise errors.UnknownActivation(
                f"activation {self.activation[:80]!r} is not one of {', '.join(ACTIVATIONS)}: "
                "train with one of these, every backend runs them"
            )
        if self.weight.ndim != 2 or 0 in self.weight.shape:
            raise errors.PolicyShape(
                f"a layer's weight must be [out, in] and not empty, not {self.weight.shape}: "
                "export the policy again"
            )
        for name, vector in (("bias", self.bias), ("mask", self.mask)):
            if vector is not None and vector.shape != (self.weight.shape[0],):
                raise errors.PolicyShape(
                    f"a layer's {name} must have {self.weight.shape[0]} entries, "
                    f"not shape {vector.shape}: export the policy again"
                )
        if not (finite(self.weight) and (self.bias is None or finite(self.bias))):
            raise errors.PolicyNotFinite(
                "a layer holds a NaN or infinite weight: the training run diverged, train again"
            )

    @property
    def width(self) -> int:
        """Number of units (rows)."""
        return int(self.weight.shape[0])

    @property
    def fan_in(self) -> int:
        """Number of inputs (columns)."""
        return int(self.weight.shape[1])

    @cached_property
    def unmasked(self) -> Layer:
        """The same layer with its mask multiplied through (DSP Eq 8), in the same precision.

        The rows of removed units are zero, which every activation maps to zero.
        """
        if self.mask is None:
            return self
        weight = np.where(self.mask[:, None], self.weight, 0)
        bias = None if self.bias is None else np.where(self.mask, self.bias, 0)
        return Layer(weight, bias, self.activation)

    @property
    def kept(self) -> NDArray[np.bool_]:
        """Bool [out]: the mask, or all True."""
        return np.ones(self.width, bool) if self.mask is None else self.mask


@record(frozen=True, eq=False)
class ActionRule:
    """How the last layer's outputs become the environment's action.

    Attributes:
        kind: ``argmax`` (discrete), ``clip`` (outputs are actions, clipped to the bounds),
            ``clip_unscale`` (clipped to ±1, then mapped to the bounds) or ``tanh_unscale``.
        low: float32 [action_dim], lower action bounds; empty for ``argmax``.
        high: float32 [action_dim], upper action bounds; empty for ``argmax``.
        start: the discrete action that output 0 stands for.
    """

    kind: ActionKind
    low: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    high: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    start: int = 0

    def __post_init__(self) -> None:
        if self.kind not in ACTION_KINDS:
            raise errors.PolicyFormat(
                f"action rule {self.kind[:80]!r} is not one of {', '.join(ACTION_KINDS)}: "
                "this policy needs a newer dspctl"
            )
        if self.low.ndim != 1 or self.low.shape != self.high.shape:
            raise errors.PolicyShape(
                f"action bounds must be two vectors of equal length, not {self.low.shape} and "
                f"{self.high.shape}: export the policy again"
            )
        if self.kind == "argmax":
            if self.low.size:
                raise errors.PolicyFormat(
                    "action rule 'argmax' takes no action bounds: leave them out"
                )
            if not -(2**31) <= self.start < 2**31:
                raise errors.PolicyFormat(
                    f"the first discrete action {self.start} does not fit int32"
                )
        else:
            if self.low.size == 0:
                raise errors.PolicyShape(
                    f"action rule {self.kind!r} needs action bounds: export the policy again"
                )
            if not ordered(self.low, self.high):
                raise errors.PolicyFormat(
                    "action bounds are NaN or crossed: export the policy again"
                )
        if self.kind.endswith("unscale"):
            with np.errstate(over="ignore", invalid="ignore"):
                spread = np.asarray(self.high, np.float32) - np.asarray(self.low, np.float32)
            if not finite(spread):
                raise errors.PolicyFormat(
                    f"action rule {self.kind!r} needs finite action bounds: use 'clip', or wrap "
                    "the environment in one that declares bounds"
                )

    @property
    def discrete(self) -> bool:
        """True when the action is one integer."""
        return self.kind == "argmax"

    def apply(self, outputs: FloatArray) -> NDArray[Any]:
        """Turn network outputs [..., out] into actions.

        Returns:
            int64 [...] for ``argmax``; otherwise [..., action_dim] in the dtype of *outputs*.
        """
        if self.kind == "argmax":
            choice: NDArray[Any] = outputs.argmax(axis=-1) + self.start
            return choice
        low, high = self.low.astype(outputs.dtype), self.high.astype(outputs.dtype)
        if self.kind == "clip":
            return np.clip(outputs, low, high)
        unit = np.tanh(outputs) if self.kind == "tanh_unscale" else np.clip(outputs, -1.0, 1.0)
        return low + (unit + 1.0) * 0.5 * (high - low)
