"""Random policies to compact, small hand-made ones, and an independent forward pass."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from dspctl.runtime import ActionRule, Layer, Normalizer, ObservationSpec, Policy

F64 = NDArray[np.float64]


def reference_outputs(policy: Policy, observations: F64) -> F64:
    """DSP Eq 8 with a loop over observations and layers, sharing no code with the package."""
    rows = []
    for observation in observations:
        h = np.array([observation[feature] for feature in policy.inputs], np.float64)
        if policy.normalizer is not None:
            h = (h - np.float64(policy.normalizer.mean)) * np.float64(policy.normalizer.scale)
            if policy.normalizer.clip is not None:
                h = np.minimum(np.maximum(h, -policy.normalizer.clip), policy.normalizer.clip)
        for layer in policy.layers:
            z = np.einsum("oi,i->o", np.float64(layer.weight), h)
            if layer.bias is not None:
                z = z + np.float64(layer.bias)
            if layer.activation == "tanh":
                z = np.tanh(z)
            elif layer.activation == "relu":
                z = np.where(z > 0, z, 0.0)
            h = z if layer.mask is None else np.where(layer.mask, z, 0.0)
        rows.append(h)
    return np.array(rows, np.float64)


def policy_of(
    *layers: Layer,
    low: Sequence[float] | None = None,
    high: Sequence[float] | None = None,
    normalizer: Normalizer | None = None,
    discrete: bool = True,
) -> Policy:
    """A policy around hand-made layers that reads every feature of its observation."""
    size, outputs = layers[0].fan_in, layers[-1].width
    spec = ObservationSpec(
        low=np.full(size, -np.inf, np.float32) if low is None else np.array(low, np.float32),
        high=np.full(size, np.inf, np.float32) if high is None else np.array(high, np.float32),
    )
    bound = np.full(outputs, 1.0, np.float32)
    action = ActionRule("argmax") if discrete else ActionRule("clip", low=-bound, high=bound)
    return Policy("Test-v0", spec, layers, action, np.arange(size), normalizer)


def dense(
    weight: Any,
    bias: Any = None,
    activation: Any = "identity",
    mask: Any = None,
    dtype: type[np.floating[Any]] = np.float32,
) -> Layer:
    """A layer from nested lists."""
    return Layer(
        np.array(weight, dtype),
        None if bias is None else np.array(bias, dtype),
        activation,
        None if mask is None else np.array(mask, bool),
    )


def normalizer_of(mean: Sequence[float], scale: Sequence[float], clip: float | None) -> Normalizer:
    """A normaliser from lists."""
    return Normalizer(np.array(mean, np.float32), np.array(scale, np.float32), clip)


def observations_for(policy: Policy, count: int = 40, seed: int = 7) -> F64:
    """Normal observations inside the declared bounds."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, policy.observation.size)) * 2.0
    return np.clip(rows, policy.observation.low, policy.observation.high).astype(np.float64)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Any depth and width, each activation, with or without biases, normaliser and bounds, and
    with everything in it that a compactor has to find.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    features = draw(st.integers(1, 5))
    inputs = np.flatnonzero(rng.random(features) < 0.8).astype(np.int64)
    if inputs.size == 0:
        inputs = np.array([features - 1])
    widths = [inputs.size, *draw(st.lists(st.integers(1, 8), max_size=3)), draw(st.integers(1, 3))]
    scale = draw(st.sampled_from([0.05, 1.0, 20.0]))
    layers = []
    for index in range(1, len(widths)):
        shape = (widths[index], widths[index - 1])
        weight, bias = rng.normal(size=shape) * scale, rng.normal(size=shape[0]) * scale
        last = index == len(widths) - 1
        activation = "identity" if last else draw(st.sampled_from(["tanh", "relu", "identity"]))
        mask = None
        if not last:
            _damage(draw(st.lists(st.sampled_from(_DAMAGES), max_size=4)), rng, weight, bias)
            kind = draw(st.sampled_from(["none", "some", "floor"]))
            if kind != "none":
                mask = rng.random(shape[0]) < (0.6 if kind == "some" else 0.0)
                mask[0] = mask[0] or kind == "floor"
        layers.append(dense(weight, bias if draw(st.booleans()) else None, activation, mask))
        if rng.random() < 0.3:
            layers[-1].weight[:, rng.integers(shape[1])] = 0.0
    return Policy(
        environment="Random-v0",
        observation=_bounds(draw(st.sampled_from(["none", "some", "all", "still"])), rng, features),
        layers=tuple(layers),
        action=ActionRule("argmax") if draw(st.booleans()) else _clip_action(widths[-1]),
        inputs=inputs,
        normalizer=_normalizer(draw(st.sampled_from(_CLIPS)), rng, inputs.size),
    )


_NO_NORMALIZER = 0.0
_CLIPS = [_NO_NORMALIZER, None, 10.0, 0.5]
_DAMAGES = ["zero row", "duplicate", "mirrored", "dead", "saturated"]


def _damage(kinds: list[str], rng: np.random.Generator, weight: F64, bias: F64) -> None:
    for kind in kinds:
        unit, other = rng.integers(len(bias), size=2)
        if kind == "zero row":
            weight[unit] = 0.0
        elif kind == "dead":
            bias[unit] = -1000.0
        elif kind == "saturated":
            bias[unit] = 1000.0
        else:
            sign = 1.0 if kind == "duplicate" else -1.0
            weight[unit], bias[unit] = sign * weight[other], sign * bias[other]


def _bounds(kind: str, rng: np.random.Generator, features: int) -> ObservationSpec:
    high = rng.uniform(0.5, 4.0, size=features).astype(np.float32)
    low = -high
    if kind == "still":
        low = np.where(rng.random(features) < 0.5, high, low).astype(np.float32)
    if kind in ("none", "some"):
        free = rng.random(features) < (1.0 if kind == "none" else 0.5)
        low, high = np.where(free, -np.inf, low), np.where(free, np.inf, high)
    return ObservationSpec(low.astype(np.float32), high.astype(np.float32))


def _normalizer(clip: float | None, rng: np.random.Generator, inputs: int) -> Normalizer | None:
    if clip == _NO_NORMALIZER:
        return None
    mean, scale = rng.normal(size=inputs), rng.uniform(0.1, 5.0, size=inputs)
    return Normalizer(mean.astype(np.float32), scale.astype(np.float32), clip)


def _clip_action(outputs: int) -> ActionRule:
    bound = np.ones(outputs, np.float32)
    return ActionRule("clip", low=-bound, high=bound)
