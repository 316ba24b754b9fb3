"""What goes into a policy and what comes out, in words that need no policy to read them.

The manifest carries these, so that whoever wires a vehicle's sensors to the policy finds names,
units, ranges and the rate in one readable place. They are derived from the policy; only the units
and the rate, which no environment declares, are added.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dspctl.runtime.policy.guard import NO_BOUND, ON_INVALID
from dspctl.runtime.records import record
from dspctl.runtime.strict_json import Fields
from dspctl.runtime.untrusted import check_name

if TYPE_CHECKING:
    from dspctl.runtime.policy import Policy


@record(frozen=True)
class Feature:
    """One entry of the observation, or of the action.

    Attributes:
        name: what the environment calls it, or None.
        unit: its unit, or None where nobody stated one.
        low: the least valid value, or None where nothing bounds it.
        high: the largest valid value, or None where nothing bounds it.
    """

    name: str | None
    unit: str | None
    low: float | None
    high: float | None

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {"name": self.name, "unit": self.unit, "low": self.low, "high": self.high}


@record(frozen=True)
class ObservationSpecification:
    """The observation, raw: before any normalisation.

    Attributes:
        features: one per entry, in order.
        inputs: indices of the features that the network reads; the others may hold anything.
        on_invalid: what an invalid value in one of these does, one of `guard.ON_INVALID`.
        rate_hz: control steps per second, or None where nobody stated them.
    """

    features: tuple[Feature, ...]
    inputs: tuple[int, ...]
    on_invalid: str
    rate_hz: float | None

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            "dtype": "float32",
            "features": [feature.to_json() for feature in self.features],
            "inputs": list(self.inputs),
            "on_invalid": self.on_invalid,
            "rate_hz": self.rate_hz,
        }


@record(frozen=True)
class ActionSpecification:
    """The action, as the environment takes it.

    Attributes:
        rule: how outputs become the action, one of `policy.ACTION_KINDS`.
        components: one per entry, in order; a discrete action has one.
        safe_action: what mode ``flag`` answers to an invalid observation.
    """

    rule: str
    components: tuple[Feature, ...]
    safe_action: tuple[float, ...]

    @property
    def discrete(self) -> bool:
        """True when the action is one integer."""
        return self.rule == "argmax"

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            "dtype": "int32" if self.discrete else "float32",
            "rule": self.rule,
            "components": [component.to_json() for component in self.components],
            "safe_action": list(self.safe_action),
        }


def observation_specification(
    policy: Policy, *, rate_hz: float | None = None, units: tuple[str | None, ...] = ()
) -> ObservationSpecification:
    """The observation of *policy*; *units* has one entry per feature, or is empty."""
    size = policy.observation.size
    names: tuple[str | None, ...] = policy.observation.names or (None,) * size
    guard = policy.guard
    return ObservationSpecification(
        features=tuple(
            Feature(name, unit, _bound(low), _bound(high))
            for name, unit, low, high in zip(
                names, units or (None,) * size, guard.low.tolist(), guard.high.tolist(), strict=True
            )
        ),
        inputs=tuple(policy.inputs.tolist()),
        on_invalid=guard.on_invalid,
        rate_hz=rate_hz,
    )


def action_specification(policy: Policy) -> ActionSpecification:
    """The action of *policy*."""
    rule = policy.action
    safe: list[float] = policy.guard.safe_action.tolist()
    if rule.discrete:
        last = rule.start + policy.layers[-1].width - 1
        components: tuple[Feature, ...] = (Feature(None, None, float(rule.start), float(last)),)
    else:
        components = tuple(
            Feature(None, None, _bound(low), _bound(high))
            for low, high in zip(rule.low.tolist(), rule.high.tolist(), strict=True)
        )
    return ActionSpecification(rule.kind, components, tuple(safe))


def observation_from_json(fields: Fields) -> ObservationSpecification:
    """The inverse of `ObservationSpecification.to_json`. Raises ValueError on anything else."""
    _expect(fields, "dtype", "float32")
    inputs = fields.take("inputs")
    if not isinstance(inputs, list) or any(type(index) is not int for index in inputs):
        raise ValueError("the observation's inputs are not a list of integers")
    spec = ObservationSpecification(
        features=_features(fields, "features"),
        inputs=tuple(inputs),
        on_invalid=fields.text("on_invalid"),
        rate_hz=fields.number_or_none("rate_hz"),
    )
    fields.finish()
    if spec.on_invalid not in ON_INVALID:
        raise ValueError(f"the observation's on_invalid is {spec.on_invalid[:80]!r}")
    if spec.rate_hz is not None and spec.rate_hz <= 0:
        raise ValueError(f"the rate of {spec.rate_hz:g} Hz is not positive")
    return spec


def action_from_json(fields: Fields) -> ActionSpecification:
    """The inverse of `ActionSpecification.to_json`. Raises ValueError on anything else."""
    rule = fields.text("rule")
    _expect(fields, "dtype", "int32" if rule == "argmax" else "float32")
    safe = fields.take("safe_action")
    if not isinstance(safe, list) or any(type(each) not in (int, float) for each in safe):
        raise ValueError("the safe action is not a list of numbers")
    spec = ActionSpecification(
        check_name(rule, "'rule'"), _features(fields, "components"), tuple(safe)
    )
    fields.finish()
    return spec


def _features(fields: Fields, key: str) -> tuple[Feature, ...]:
    value = fields.take(key)
    if not isinstance(value, list):
        raise ValueError(f"'{key}' is not a list")
    return tuple(_feature(Fields(entry, f"'{key}'")) for entry in value)


def _feature(fields: Fields) -> Feature:
    feature = Feature(
        name=_text_or_none(fields, "name"),
        unit=_text_or_none(fields, "unit"),
        low=fields.number_or_none("low"),
        high=fields.number_or_none("high"),
    )
    fields.finish()
    return feature


def _text_or_none(fields: Fields, key: str) -> str | None:
    value = fields.take(key)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"'{key}' is neither null nor a text")
    return None if value is None else check_name(value, f"'{key}'")


def _expect(fields: Fields, key: str, wanted: str) -> None:
    if fields.text(key) != wanted:
        raise ValueError(f"'{key}' is not {wanted!r}")


def _bound(value: float) -> float | None:
    """A float32 bound as the shortest number that means the same; None where there is none."""
    if not -NO_BOUND < value < NO_BOUND:
        return None
    return float(str(np.float32(value)))
