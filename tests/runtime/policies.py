"""Random policies, the same written out in plain Python, and files made wrong on purpose."""

import json
import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import load, save

from dspctl.runtime import ActionRule, Layer, Normalizer, ObservationSpec, Policy
from dspctl.runtime.policy import ACTION_KINDS

META_KEY = "dspctl.policy"


def make_policy(
    seed: int = 0,
    *,
    sizes: tuple[int, ...] = (5, 8, 6, 3),
    activation: Any = "tanh",
    rule: Any = "argmax",
    bias: bool = True,
    normalizer: bool = True,
    clip: float | None = 10.0,
    masks: bool = False,
    unread: int = 0,
    bounded: bool = False,
    start: int = 0,
    scale: float = 1.0,
) -> Policy:
    """A policy that reads ``sizes[0]`` features out of ``sizes[0] + unread``."""
    rng = np.random.default_rng(seed)
    observed, outs = sizes[0] + unread, sizes[-1]

    def floats(*shape: int, spread: float = 1.0) -> NDArray[np.float32]:
        return (rng.standard_normal(shape) * spread).astype(np.float32)

    layers = []
    for index, (fan_in, width) in enumerate(pairwise(sizes)):
        last = index == len(sizes) - 2
        mask = None
        if masks and not last:
            mask = rng.random(width) < 0.6
            mask[0] = True
        layers.append(
            Layer(
                weight=floats(width, fan_in, spread=scale / math.sqrt(fan_in)),
                bias=floats(width, spread=0.3) if bias else None,
                activation="identity" if last else activation,
                mask=mask,
            )
        )
    if rule == "argmax":
        action = ActionRule("argmax", start=start)
    else:
        middle, half = floats(outs), np.abs(floats(outs)) + np.float32(0.1)
        action = ActionRule(rule, low=middle - half, high=middle + half)
    reach = np.abs(floats(observed)) + 1 if bounded else np.full(observed, np.inf, np.float32)
    return Policy(
        environment="Test-v1",
        observation=ObservationSpec(-reach, reach, tuple(f"x{i}" for i in range(observed))),
        layers=tuple(layers),
        action=action,
        inputs=np.sort(rng.choice(observed, sizes[0], replace=False)).astype(np.int64),
        normalizer=Normalizer(floats(sizes[0]), np.abs(floats(sizes[0])) + np.float32(0.1), clip)
        if normalizer
        else None,
        lineage={"method": "dsp", "seed": seed, "steps": [1, 2.5, None, True]},
    )


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Any policy: every rule, activation and option, up to three hidden layers."""
    rule = draw(st.sampled_from(ACTION_KINDS))
    return make_policy(
        draw(st.integers(0, 2**32 - 1)),
        sizes=tuple(draw(st.lists(st.integers(1, 9), min_size=2, max_size=5))),
        activation=draw(st.sampled_from(["tanh", "relu", "identity"])),
        rule=rule,
        bias=draw(st.booleans()),
        normalizer=draw(st.booleans()),
        clip=draw(st.sampled_from([None, 0.5, 10.0])),
        masks=draw(st.booleans()),
        unread=draw(st.integers(0, 4)),
        bounded=draw(st.booleans()),
        start=draw(st.sampled_from([0, -3, 7])) if rule == "argmax" else 0,
        scale=draw(st.sampled_from([0.0, 1e-3, 1.0, 10.0])),
    )


def observations_of(policy: Policy, rows: int, seed: int = 1) -> NDArray[np.float32]:
    """Standard normal observations, float32 [rows, obs_dim]."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((rows, policy.observation.size)).astype(np.float32)


def assert_same_policy(left: Policy, right: Policy) -> None:
    """Every field equal, arrays in values and dtype."""
    assert left.environment == right.environment
    assert left.lineage == right.lineage
    assert left.observation.names == right.observation.names
    assert (left.action.kind, left.action.start) == (right.action.kind, right.action.start)
    pairs: list[tuple[Any, Any]] = [
        (left.inputs, right.inputs),
        (left.observation.low, right.observation.low),
        (left.observation.high, right.observation.high),
        (left.action.low, right.action.low),
        (left.action.high, right.action.high),
    ]
    assert (left.normalizer is None) == (right.normalizer is None)
    if left.normalizer is not None and right.normalizer is not None:
        assert left.normalizer.clip == right.normalizer.clip
        pairs += [
            (left.normalizer.mean, right.normalizer.mean),
            (left.normalizer.scale, right.normalizer.scale),
        ]
    assert len(left.layers) == len(right.layers)
    for one, other in zip(left.layers, right.layers, strict=True):
        assert one.activation == other.activation
        pairs += [(one.weight, other.weight), (one.bias, other.bias), (one.mask, other.mask)]
    for one, other in pairs:
        assert (one is None) == (other is None)
        if one is not None:
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)


def plain_outputs(policy: Policy, observation: NDArray[Any]) -> list[float]:
    """One forward pass in plain Python floats: loops and ``math`` only."""
    x = [float(observation[int(feature)]) for feature in policy.inputs]
    if policy.normalizer is not None:
        norm, clip = policy.normalizer, policy.normalizer.clip
        x = [(v - float(m)) * float(s) for v, m, s in zip(x, norm.mean, norm.scale, strict=True)]
        if clip is not None:
            x = [max(-clip, min(clip, v)) for v in x]
    for layer in policy.layers:
        following = []
        for unit in range(layer.weight.shape[0]):
            z = sum(float(w) * v for w, v in zip(layer.weight[unit], x, strict=True))
            z += 0.0 if layer.bias is None else float(layer.bias[unit])
            if layer.activation == "tanh":
                z = math.tanh(z)
            elif layer.activation == "relu":
                z = max(z, 0.0)
            if layer.mask is not None and not layer.mask[unit]:
                z = 0.0
            following.append(z)
        x = following
    return x


def plain_action(policy: Policy, observation: NDArray[Any]) -> int | list[float]:
    """The action rule in plain Python."""
    outputs, rule = plain_outputs(policy, observation), policy.action
    if rule.kind == "argmax":
        return outputs.index(max(outputs)) + rule.start
    action = []
    for value, low, high in zip(outputs, map(float, rule.low), map(float, rule.high), strict=True):
        if rule.kind == "clip":
            action.append(max(low, min(high, value)))
        else:
            unit = math.tanh(value) if rule.kind == "tanh_unscale" else max(-1.0, min(1.0, value))
            action.append(low + (unit + 1.0) / 2.0 * (high - low))
    return action


def rewritten(data: bytes, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> bytes:
    """A policy file with its metadata and tensors changed in place by *change*."""
    size = int.from_bytes(data[:8], "little")
    meta = json.loads(json.loads(data[8 : 8 + size])["__metadata__"][META_KEY])
    tensors = dict(load(data))
    change(meta, tensors)
    return save(tensors, metadata={META_KEY: json.dumps(meta)})


def raw_file(header: bytes, body: bytes = b"") -> bytes:
    """Bytes laid out like a safetensors file, with any header."""
    return len(header).to_bytes(8, "little") + header + body
