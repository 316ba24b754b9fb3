"""The policy: what a trained network is, in memory, with every rule needed to act.

A policy takes the *raw* observation of the environment and gives the environment's *action*. The
normaliser, the list of inputs that are read, the layers and the action rule all belong to it, so
no program that runs one has to remember anything else.

The evaluation order, which every backend reproduces::

    x = guard(float32(observation))[inputs]             # see `dspctl.runtime.policy.guard`
    x = clip((x - mean) * scale, -clip, +clip)          # only where there is a normaliser
    h = activation(weight @ h + bias) * mask            # layer by layer, DSP Eq 8
    action = rule(h)

The file format is in :mod:`dspctl.runtime.policy.file` and ``docs/policy-format.md``.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from dspctl.runtime.on_demand import errors
from dspctl.runtime.policy.guard import Guard, default_guard, why_unsafe
from dspctl.runtime.policy.parts import (
    ACTION_KINDS,
    ACTIVATIONS,
    ActionKind,
    ActionRule,
    Activation,
    Layer,
    Normalizer,
    ObservationSpec,
)
from dspctl.runtime.records import field, record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dspctl.runtime.policy.parts import FloatArray

__all__ = [
    "ACTION_KINDS",
    "ACTIVATIONS",
    "ActionKind",
    "ActionRule",
    "Activation",
    "Counts",
    "Guard",
    "Layer",
    "Normalizer",
    "ObservationSpec",
    "Policy",
]


# A policy that is given no guard makes one out of its other fields, so the field is never None.
_MADE_FROM_THE_OTHERS: Any = None


@record(frozen=True)
class Counts:
    """Size of a network's hidden part, counted as the DSP paper does.

    Attributes:
        units: hidden units per layer.
        weights: entries of all weight matrices (Eq 21).
        biases: entries of all bias vectors.
        flops: ``sum (2 in - 1) out`` of one forward pass (Eq 23).
        size_bytes: parameters as float32.
    """

    units: tuple[int, ...]
    weights: int
    biases: int
    flops: int
    size_bytes: int

    @property
    def total_units(self) -> int:
        """Hidden units of all layers (Eq 22)."""
        return sum(self.units)


@record(frozen=True, eq=False)
class Policy:
    """A network with everything around it: observation in, action out.

    Attributes:
        environment: the environment id it was trained in.
        observation: what comes in.
        layers: hidden layers, then the output layer (activation ``identity``).
        action: what goes out.
        inputs: int64 [inputs], the observation features that the network reads, ascending.
        normalizer: statistics over those inputs, or None.
        lineage: where it came from: method, seed, steps, tool version (JSON values only).
        guard: what is done with observations that cannot be trusted; `default_guard` if not given.
    """

    environment: str
    observation: ObservationSpec
    layers: tuple[Layer, ...]
    action: ActionRule
    inputs: NDArray[np.int64]
    normalizer: Normalizer | None = None
    lineage: dict[str, Any] = field(default_factory=dict)
    guard: Guard = _MADE_FROM_THE_OTHERS

    def __post_init__(self) -> None:
        if not self.layers:
            raise errors.PolicyShape("a policy needs at least one layer: export the policy again")
        if self.inputs.ndim != 1 or self.inputs.size == 0:
            raise errors.PolicyShape(
                "a policy must read at least one observation feature: export the policy again"
            )
        read = self.inputs.tolist()
        if sorted(set(read)) != read or read[0] < 0 or read[-1] >= self.observation.size:
            raise errors.PolicyShape(
                f"inputs must be ascending feature indices below {self.observation.size}: "
                "export the policy again"
            )
        width = self.inputs.size
        if self.normalizer is not None and self.normalizer.mean.size != width:
            raise errors.PolicyShape(
                f"normaliser of {self.normalizer.mean.size} features for {width} inputs: "
                "export the policy again"
            )
        for index, layer in enumerate(self.layers):
            if layer.fan_in != width:
                raise errors.PolicyShape(
                    f"layer {index} reads {layer.fan_in} values but is given {width}: "
                    "the file is damaged or was edited, export the policy again"
                )
            width = layer.width
        last = self.layers[-1]
        if last.activation != "identity" or last.mask is not None:
            raise errors.PolicyFormat(
                "the output layer must be linear and unmasked: export the policy again"
            )
        if not self.action.discrete and self.action.low.size != width:
            raise errors.PolicyShape(
                f"{width} outputs for {self.action.low.size} action bounds: export the policy again"
            )
        if self.action.discrete and self.action.start + width > 2**31:
            raise errors.PolicyFormat(
                f"the last discrete action {self.action.start + width - 1} does not fit int32"
            )
        if self.guard is _MADE_FROM_THE_OTHERS:
            guard = default_guard(self.observation.size, self.action)
            object.__setattr__(self, "guard", guard)  # as dataclasses do in a frozen class
        if self.guard.low.size != self.observation.size:
            raise errors.PolicyShape(
                f"a guard of {self.guard.low.size} features for observations of "
                f"{self.observation.size}: export the policy again"
            )
        reason = why_unsafe(self.guard.safe_action, self.action, width)
        if reason is not None:
            raise errors.PolicyFormat(
                f"the safe action cannot be used, {reason}: export the policy again"
            )

    @property
    def hidden(self) -> tuple[Layer, ...]:
        """The layers before the output layer."""
        return self.layers[:-1]

    @property
    def masked(self) -> bool:
        """True when some unit is masked but still stored."""
        return any(not layer.kept.all() for layer in self.hidden)

    @cached_property
    def counts(self) -> Counts:
        """Size of the network as stored, masked units included."""
        return Counts(
            units=tuple(layer.width for layer in self.hidden),
            weights=sum(layer.weight.size for layer in self.layers),
            biases=sum(0 if layer.bias is None else layer.bias.size for layer in self.layers),
            flops=sum((2 * layer.fan_in - 1) * layer.width for layer in self.layers),
            size_bytes=4
            * sum(
                layer.weight.size + (0 if layer.bias is None else layer.bias.size)
                for layer in self.layers
            ),
        )

    def outputs(self, observation: FloatArray) -> FloatArray:
        """Raw network outputs (logits or means) before the action rule, without the guard.

        Args:
            observation: float [..., obs_dim], raw; its dtype is the precision of the arithmetic.

        Returns:
            float [..., out], same dtype.

        Raises:
            ObservationShape: the last dimension is not obs_dim, or the dtype is not a float.
        """
        dtype = observation.dtype
        if dtype.kind != "f" or observation.shape[-1:] != (self.observation.size,):
            raise errors.ObservationShape(
                f"this policy reads floating-point observations of {self.observation.size} "
                f"features, not {dtype} {list(observation.shape)}"
            )
        h: FloatArray = observation[..., self.inputs]
        if self.normalizer is not None:
            h = self.normalizer.apply(h)
        for layer in self.layers:
            h = h @ layer.weight.T.astype(dtype, copy=False)
            if layer.bias is not None:
                h = h + layer.bias.astype(dtype, copy=False)
            if layer.activation == "tanh":
                h = np.tanh(h)
            elif layer.activation == "relu":
                h = np.maximum(h, 0)
            if layer.mask is not None:
                h = h * layer.mask.astype(dtype)
        return h

    def act(self, observation: FloatArray) -> NDArray[Any]:
        """Action for raw observations [..., obs_dim], in their precision, without the guard.

        For training, evaluation and proofs; a `dspctl.runtime.Runner` looks at the guard.
        """
        return self.action.apply(self.outputs(observation))

    def astype(self, dtype: type[np.floating[Any]]) -> Policy:
        """The same policy with its layers held in *dtype*, so that running it converts nothing."""
        from dataclasses import replace  # not needed to run a policy, and 80 KB

        return replace(
            self,
            layers=tuple(
                replace(
                    layer,
                    weight=layer.weight.astype(dtype),
                    bias=None if layer.bias is None else layer.bias.astype(dtype),
                )
                for layer in self.layers
            ),
        )

    def with_lineage(self, **entries: Any) -> Policy:
        """The same policy with *entries* added to its lineage."""
        from dataclasses import replace

        return replace(self, lineage={**self.lineage, **entries})
