"""What the templates are told about a policy: its identity, its guard and its action rule."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl import __version__
from dspctl.exporter.c.error_bound import output_error_bound
from dspctl.exporter.c.features import Features
from dspctl.exporter.c.literals import float_literal
from dspctl.exporter.c.names import comment_text, string_literal
from dspctl.runtime.policy import Policy
from dspctl.runtime.policy.file import bytes_from_policy
from dspctl.runtime.reference.edges import UNBOUNDED_REACH

_FLOAT32_MAX = np.finfo(np.float32).max

_SENTENCES = {
    "flag": "the safe action.",
    "hold": "the action keeps its value.",
    "zero": "invalid features are read as 0, moved into their range.",
    "clamp": "features are moved to the nearest end of their range, NaN as 0 is.",
}


def identity(policy: Policy, name: str, *, strict: bool) -> dict[str, Any]:
    """Names, shapes, digest, lineage and the statements that the header makes."""
    names = policy.observation.names or tuple(
        f"feature {index}" for index in range(policy.observation.size)
    )
    read = np.zeros(policy.observation.size, np.int64)
    read[policy.inputs] = 1
    widths = " - ".join(str(layer.width) for layer in policy.hidden)
    kinds = sorted({layer.activation for layer in policy.hidden})
    hidden = f"{widths} hidden {'/'.join(kinds)} units, " if policy.hidden else "no hidden layer, "
    lineage = [
        f"{key:<10}{comment_text(str(policy.lineage[key]))}"
        for key in ("method", "seed", "steps")
        if key in policy.lineage and not isinstance(policy.lineage[key], dict | list)
    ]
    return {
        "name": name,
        "up": name.upper(),
        "version": __version__,
        "environment": comment_text(policy.environment),
        "environment_literal": string_literal(policy.environment),
        "sha256": hashlib.sha256(bytes_from_policy(policy)).hexdigest(),
        "network": f"{hidden}{policy.counts.weights:,} weights, "
        f"{policy.counts.size_bytes:,} bytes of parameters",
        "lineage": lineage,
        "numbers": "strict: the same bits on every target"
        if strict
        else "fast: sums may be reordered and fused, within float32 rounding",
        "observation_size": policy.observation.size,
        "output_size": policy.layers[-1].width,
        "output_error": f"{output_error_bound(policy) * 1.001:.2e}",
        "reach": f"{UNBOUNDED_REACH:g}",
        "observation_macros": [
            ("OBSERVATION_NAMES", [string_literal(each) for each in names]),
            ("OBSERVATION_LOW", [float_literal(each) for each in policy.guard.low]),
            ("OBSERVATION_HIGH", [float_literal(each) for each in policy.guard.high]),
            ("OBSERVATION_IS_READ", [str(each) for each in read]),
        ],
    }


def guard_terms(policy: Policy, features: Features) -> dict[str, Any]:
    """The range of every feature that is gone through, and what an invalid observation gives."""
    guard = policy.guard
    safe = [
        str(int(each)) if policy.action.discrete else float_literal(each)
        for each in guard.safe_action
    ]
    return {
        "guard_low": features.along(guard.low[policy.inputs]),
        "guard_high": features.along(guard.high[policy.inputs]),
        "on_invalid": guard.on_invalid,
        "on_invalid_sentence": _SENTENCES[guard.on_invalid],
        "safe_action": safe,
    }


def action_terms(policy: Policy) -> dict[str, Any]:
    """The action rule with its constants; infinite bounds become the largest float."""
    rule, width = policy.action, policy.layers[-1].width
    context: dict[str, Any] = {
        "discrete": rule.discrete,
        "start": rule.start,
        "action_type": "int32_t" if rule.discrete else "float",
        "action_size": 1 if rule.discrete else width,
        "outputs_name": "logits" if rule.discrete else "mean",
        "outputs_sentence": "The network's logits, before the largest is chosen."
        if rule.discrete
        else "The network's means, before they are mapped to the action's bounds.",
        "action": "argmax",
        "action_macros": [],
    }
    if rule.discrete:
        return context
    low = np.clip(rule.low, -_FLOAT32_MAX, _FLOAT32_MAX)
    high = np.clip(rule.high, -_FLOAT32_MAX, _FLOAT32_MAX)
    context.update(
        action="clip" if rule.kind == "clip" else "unscale",
        squashes=rule.kind == "tanh_unscale",
        action_low=low,
        action_high=high,
        action_macros=[
            ("ACTION_LOW", [float_literal(each) for each in low]),
            ("ACTION_HIGH", [float_literal(each) for each in high]),
        ],
    )
    if rule.kind != "clip":
        centre, half = centre_and_half(policy)
        context.update(action_centre=centre, action_half=half)
    return context


def centre_and_half(policy: Policy) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """``centre + half * unit`` is the action: float32 [action_dim] each, from float64."""
    low, high = policy.action.low.astype(np.float64), policy.action.high.astype(np.float64)
    return ((high + low) / 2).astype(np.float32), ((high - low) / 2).astype(np.float32)
