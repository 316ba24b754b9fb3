"""Vector types and helpers that a source needs, and the stack that it may use."""

from typing import Any

from dspctl.exporter.c.features import Features
from dspctl.exporter.c.layers import LayerView, widths_of
from dspctl.exporter.c.layout import padded, stripes_of
from dspctl.exporter.native.targets import NativeTarget
from dspctl.runtime.policy import Policy

_INLINED = 1024
"""Multiply-adds up to which the network is part of each caller; a call costs about 2 ns."""

_SPILL_BYTES = 256
"""Stack that compilers use besides the arrays: return addresses, saved registers, temporaries.
Every build measures it and is refused if the stated bound does not hold."""


_FEATURE_MACROS = {
    "x86-64-v2": "__SSE4_2__",
    "x86-64-v3": "__AVX2__",
    "x86-64-v4": "__AVX512F__",
}

_INTRINSICS: dict[str, dict[str, Any]] = {
    "x86_64": {
        "intrinsics": "immintrin.h",
        "minimum": {4: "_mm_min_ps", 8: "_mm256_min_ps", 16: "_mm512_min_ps"},
        "maximum": {4: "_mm_max_ps", 8: "_mm256_max_ps", 16: "_mm512_max_ps"},
    },
    "aarch64": {
        "intrinsics": "arm_neon.h",
        "minimum": {4: "vminq_f32"},
        "maximum": {4: "vmaxq_f32"},
    },
}
"""Element-wise smallest and largest, by lanes."""


def vector_terms(
    policy: Policy,
    layers: tuple[LayerView, ...],
    target: NativeTarget,
    features: Features,
    prepares: bool,
) -> dict[str, Any]:
    """Which vector types and helpers the code needs, and the types of its variables."""
    lanes = target.lanes
    if lanes == 1:
        count = policy.layers[-1].width
        return {
            "activation_widths": {"tanh": [], "relu": []},
            "outputs_type": "float",
            "outputs_declaration": f"float outputs[{count}]",
            "outputs_reference": "outputs",
            "outputs_values": "outputs",
        }
    sizes = [layer.width for layer in policy.layers]
    if prepares:
        sizes.append(features.count)
    widths = set(widths_of(sizes, lanes))
    sums: set[int] = set()
    activation_widths: dict[str, set[int]] = {"tanh": set(), "relu": set()}
    for layer in layers:
        for stripe in layer.stripes:
            width = stripe.lanes
            while width >= 4:  # every half down to four numbers
                sums.add(width)
                width //= 2
        for block in layer.blocks:
            if layer.activation != "identity":
                activation_widths[layer.activation].add(block.lanes)
    widths |= sums
    types = {
        padded(size, lanes): tuple(
            sorted({stripe.lanes for stripe in stripes_of(size, lanes)}, reverse=True)
        )
        for size in sizes
    }
    outputs = layers[-1].result_type
    return {
        "feature_macro": _FEATURE_MACROS.get(target.name),
        "widths": sorted(widths, reverse=True),
        "limited": sorted(activation_widths["tanh"] | activation_widths["relu"], reverse=True),
        **_INTRINSICS[target.architecture],
        "sums": sorted(sums),
        "activation_widths": {
            kind: sorted(found, reverse=True) for kind, found in activation_widths.items()
        },
        "value_types": sorted(types.items()),
        "input_type": f"values{padded(features.count, lanes)}",
        "input_size": padded(features.count, lanes),
        "outputs_type": outputs,
        "outputs_declaration": f"{outputs} outputs",
        "outputs_reference": "&outputs",
        "outputs_values": "outputs.value",
    }


def stack_bytes(
    policy: Policy,
    layers: tuple[LayerView, ...],
    target: NativeTarget,
    features: Features,
    prepares: bool,
) -> int:
    """An upper bound of what one call uses, checked against the compiler's own count.

    Where the guard repairs, the deepest call is ``act`` with the outputs of a valid observation,
    and below it ``act_on_invalid`` with those of the repaired one. A network that is part of its
    callers is in both.
    """
    frames = 2 if policy.guard.repairs and is_inlined(policy, target) else 1
    values = sum(layer.result_size for layer in layers)
    if prepares:
        values += padded(features.count, target.lanes)
    spills = _SPILL_BYTES
    if target.lanes > 1:
        # Vectors are aligned, and every register may be spilled once.
        alignment = 4 * target.lanes
        spills += (len(layers) + 2) * alignment + target.registers * alignment
        widest = max(layer.result_size for layer in layers)
        if widest > target.registers * target.lanes:
            spills += 4 * widest  # more sums than registers: they lie beside the result
    size = frames * (4 * values + spills) + 4 * policy.observation.size
    if policy.guard.repairs and frames == 1:
        size += 4 * layers[-1].result_size
    return -(-size // 16) * 16


def is_inlined(policy: Policy, target: NativeTarget) -> bool:
    """Whether the network becomes a part of each function that calls it."""
    return target.lanes > 1 and policy.counts.weights <= _INLINED
