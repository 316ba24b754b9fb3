"""Policy → C99: one header and one source, laid out for one target.

The same policy, name, target and mode give the same bytes. What the code does in which order is
in the templates, one per operator; how sums are laid out in registers is in `layout`.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

from dspctl.exporter.c.describe import action_terms, guard_terms, identity
from dspctl.exporter.c.features import features_of
from dspctl.exporter.c.layers import LayerView, layer_views, layouts_of
from dspctl.exporter.c.literals import float_literal, initialiser, wrapped
from dspctl.exporter.c.names import check_identifier, comment_text
from dspctl.exporter.c.rational_tanh import DENOMINATOR, NUMERATOR, TANH_BOUND, TANH_LIMIT
from dspctl.exporter.c.vectors import is_inlined, stack_bytes, vector_terms
from dspctl.exporter.native.targets import NativeTarget
from dspctl.exporter.templating import template_environment
from dspctl.runtime.policy import Policy


@dataclass(frozen=True)
class CSource:
    """Generated code.

    Attributes:
        name: prefix of its functions, and the files' stem.
        header: text of ``NAME.h``.
        source: text of ``NAME.c``.
        stack_bytes: the bound that the header states.
    """

    name: str
    header: str
    source: str
    stack_bytes: int


def c_from_policy(
    policy: Policy, name: str, target: NativeTarget, *, strict: bool = False
) -> CSource:
    """Generate the C code of *policy*.

    Args:
        policy: what to generate; float32 weights, masks multiplied through (DSP Eq 8).
        name: prefix of the functions, see `names.check_identifier`.
        target: the machine that it is laid out for.
        strict: one order of additions and no fused operations, for the same bits everywhere.

    Raises:
        InvalidName: *name* is no usable C identifier.
        MissingExtra: jinja2 is not installed.
        PolicyProblem: the policy cannot be stored as float32.
    """
    check_identifier(name)
    context = _context(policy, name, target, strict)
    return CSource(
        name=name,
        header=_render("header.h.jinja", context),
        source=_render("source.c.jinja", context),
        stack_bytes=context["stack_bytes"],
    )


@cache
def _environment() -> Any:
    return template_environment(
        "dspctl.exporter.c",
        {
            "literal": float_literal,
            "wrapped": wrapped,
            "initialiser": initialiser,
            "comment": comment_text,
        },
    )


def _render(template: str, context: dict[str, Any]) -> str:
    text: str = _environment().get_template(template).render(context)
    lines = [line.rstrip() for line in text.splitlines()]
    kept = [
        line for index, line in enumerate(lines) if line or (index > 0 and lines[index - 1])
    ]  # templates leave several empty lines where a part is left out
    return "\n".join(kept).rstrip("\n") + "\n"


def _context(policy: Policy, name: str, target: NativeTarget, strict: bool) -> dict[str, Any]:
    vector = target.lanes > 1
    layouts = layouts_of(policy, target, strict=strict)
    features = features_of(policy, layouts[0])
    loads_vectors = bool(layouts[0].rows)
    prepares = features.gathers or loads_vectors or policy.normalizer is not None
    layers = layer_views(policy, target, layouts, features, prepares=prepares)
    return {
        **identity(policy, name, strict=strict),
        **guard_terms(policy, features),
        **action_terms(policy),
        **vector_terms(policy, layers, target, features, prepares),
        "target": target,
        "strict": strict,
        "vector": vector,
        "layers": layers,
        "features": features,
        "looped": any(not block.unrolled for block in layouts[0].columns),
        "prepares": prepares,
        "clears_input": loads_vectors,
        "normalizer": policy.normalizer,
        "scalar_tanh": _scalar_tanh(policy, layers),
        "scalar_relu": any(
            layer.activation == "relu" and (not vector or layer.layout.rows) for layer in layers
        ),
        "tanh_limit": TANH_LIMIT,
        "tanh_bound": TANH_BOUND,
        "numerator": NUMERATOR,
        "denominator": DENOMINATOR,
        "stack_bytes": stack_bytes(policy, layers, target, features, prepares),
        **_functions(vector, inlined=is_inlined(policy, target)),
    }


def _scalar_tanh(policy: Policy, layers: tuple[LayerView, ...]) -> bool:
    return policy.action.kind == "tanh_unscale" or any(
        layer.activation == "tanh" and (not layer.vector or bool(layer.layout.rows))
        for layer in layers
    )


def _functions(vector: bool, *, inlined: bool) -> dict[str, str]:
    """How functions are declared: the hot path in one piece, the rest out of its way."""
    if not vector:
        plain = "static "
        return dict.fromkeys(("fast_function", "cold_function", "network_function"), plain)
    return {
        "fast_function": "INLINE ",
        "cold_function": "static __attribute__((noinline, cold)) ",
        "network_function": "INLINE " if inlined else "static __attribute__((noinline)) ",
    }
