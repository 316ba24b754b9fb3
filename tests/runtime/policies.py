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
from dspctl.runtime.policy.guard import ON_INVALID, Guard

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
    on_invalid: Any = None,
    ranged: bool = False,
) -> Policy:
    """A policy that reads ``sizes[0]`` features out of ``sizes[0] + unread``.

    With *on_invalid* it has a guard with a random safe action; *ranged* makes its range narrow.
    """
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
    guard = (
        None if on_invalid is None else guard_of(seed, observed, action, outs, on_invalid, ranged)
    )
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
        **({} if guard is None else {"guard": guard}),
    )


def guard_of(
    seed: int, observed: int, action: ActionRule, outs: int, on_invalid: Any, ranged: bool
) -> Guard:
    """A random guard; ranges may leave out 0 and may be open on one side."""
    rng, top = np.random.default_rng([seed, 1]), np.finfo(np.float32).max
    low, high = np.full(observed, -top), np.full(observed, top)
    if ranged:
        middle, half = rng.standard_normal(observed), rng.uniform(0.1, 3.0, observed)
        low = np.where(rng.random(observed) < 0.8, (middle - half).astype(np.float32), low)
        high = np.where(rng.random(observed) < 0.8, (middle + half).astype(np.float32), high)
    safe: NDArray[Any] = np.array([action.start + rng.integers(outs)], np.int64)
    if not action.discrete:
        safe = (action.low + (action.high - action.low) * rng.random(outs)).astype(np.float32)
        safe = np.clip(safe, action.low, action.high)
    return Guard(low.astype(np.float32), high.astype(np.float32), safe, on_invalid)


@st.composite
def policies(draw: st.DrawFn, guarded: bool = False) -> Policy:
    """Any policy: every rule, activation and option, up to three hidden layers.

    With *guarded*, any mode and range too; otherwise every finite observation is valid.
    """
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
        on_invalid=draw(st.sampled_from(ON_INVALID)) if guarded else None,
        ranged=draw(st.booleans()) if guarded else False,
    )


def observations_of(policy: Policy, rows: int, seed: int = 1) -> NDArray[np.float32]:
    """Standard normal observations, float32 [rows, obs_dim]."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((rows, policy.observation.size)).astype(np.float32)


def suspicious_of(policy: Policy, rows: int, seed: int) -> NDArray[np.float32]:
    """Observations of which many break the guard's rule, in every way, float32 [rows, obs_dim]."""
    rng, guard = np.random.default_rng(seed), policy.guard
    ends = [guard.low, guard.high]
    with np.errstate(over="ignore"):
        ends += [np.nextafter(end, np.float32(side)) for end in ends for side in (-np.inf, np.inf)]
    shape = (rows, policy.observation.size)
    usual = [rng.standard_normal(shape).astype(np.float32) for _ in range(6)]
    odd = [np.full(shape, value, np.float32) for value in (np.nan, np.inf, -np.inf, 1e9, -1e9)]
    values = np.stack([*usual, *odd, *(np.broadcast_to(end, shape) for end in ends)])
    picked = rng.integers(len(values), size=shape)
    picked[rng.random(rows) < 0.3] = 0  # rows without anything odd, unless the range is narrow
    found: NDArray[np.float32] = np.take_along_axis(values, picked[None], axis=0)[0]
    return found


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
        (left.guard.low, right.guard.low),
        (left.guard.high, right.guard.high),
        (left.guard.safe_action, right.guard.safe_action),
    ]
    assert left.guard.on_invalid == right.guard.on_invalid
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


def plain_guard(policy: Policy, observation: NDArray[Any]) -> tuple[int, NDArray[np.float32]]:
    """The guard's rule in plain Python: the status, and the repaired observation."""
    guard, status = policy.guard, 0
    repaired = observation.copy()
    for feature in map(int, policy.inputs):
        value = float(observation[feature])
        low, high = float(guard.low[feature]), float(guard.high[feature])
        zero = max(low, min(high, 0.0))
        if math.isnan(value):
            status, value = status | 1, zero
        elif math.isinf(value) or not low <= value <= high:
            status |= 1 if math.isinf(value) else 2
            value = max(low, min(high, value)) if guard.on_invalid == "clamp" else zero
        repaired[feature] = value
    return status, repaired


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
