"""A policy file: one safetensors file, tensors plus JSON metadata. Read here, written in `writing`.

No third module knows the keys. Never pickle: opening a policy runs no code from it. The format is
described in ``docs/policy-format.md``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from dspctl.runtime.on_demand import errors
from dspctl.runtime.policy import (
    ACTION_KINDS,
    ActionKind,
    ActionRule,
    Activation,
    Layer,
    Normalizer,
    ObservationSpec,
    Policy,
)
from dspctl.runtime.policy.guard import Guard, OnInvalid
from dspctl.runtime.strict_json import Fields, fields_from_json, shown_names
from dspctl.runtime.tensors import (
    HeaderProblem,
    NotSafetensors,
    UnusualType,
    tensors_from_bytes,
)
from dspctl.runtime.untrusted import check_name, read_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from dspctl.runtime.policy.writing import bytes_from_policy, save_policy

__all__ = [
    "SCHEMA",
    "SUFFIX",
    "bytes_from_policy",
    "load_policy",
    "policy_from_bytes",
    "save_policy",
]

SCHEMA = 1
SUFFIX = ".safetensors"
KEY = "dspctl.policy"
"""The metadata's one entry."""
# Policies are kilobytes. The limit keeps a wrong path (a disk image, a language model) from being
# read into memory before it is refused.
_FILE_LIMIT_BYTES = 1 << 28
_MOST_LAYERS = 256


def __getattr__(name: str) -> Any:
    """What writes a policy, loaded on first use: a vehicle only reads (PEP 562)."""
    if name in ("bytes_from_policy", "save_policy"):
        return getattr(import_module("dspctl.runtime.policy.writing"), name)
    raise AttributeError(f"module 'dspctl.runtime.policy.file' has no attribute {name!r}")


def load_policy(path: Path, *, links: bool = True) -> Policy:
    """Read a policy file and check everything in it.

    Args:
        path: the file.
        links: whether it may be reached by a link, as what a person names may.

    Raises:
        PolicyNotFound: there is no such file, or it may not be read.
        PolicyTruncated: the file is not a whole safetensors file.
        PolicyFormat: metadata missing, malformed or of another schema.
        PolicyShape: tensors missing, unexpected or not fitting together.
        PolicyNotFinite: a weight is NaN or infinite.
        UnknownActivation: an activation no backend runs.
    """
    try:
        if not path.is_file():
            raise errors.PolicyNotFound(
                f"there is no policy file at {path}: write one with  dspctl compact RUN -o {path}"
            )
        data = read_bytes(path, _FILE_LIMIT_BYTES, links=links)
    except OSError as error:
        raise errors.PolicyNotFound.unreadable(path, error) from error
    except ValueError as error:
        raise errors.PolicyFormat(
            f"{path} is larger than any policy: give the path of a policy file"
        ) from error
    return policy_from_bytes(data, name=str(path))


def policy_from_bytes(data: bytes, *, name: str) -> Policy:
    """Parse a policy file's bytes; *name* is used in error messages. Raises as `load_policy`."""
    try:
        tensors, meta = _split(data)
        return _assemble(meta, tensors)
    except errors.DspctlError as error:
        raise type(error)(f"{name}: {error}") from error
    except ValueError as error:
        raise errors.PolicyFormat(f"{name}: {error}: export the policy again") from error


def _split(data: bytes) -> tuple[dict[str, NDArray[Any]], Fields]:
    """The tensors, and the fields of our metadata."""
    try:
        tensors, metadata = tensors_from_bytes(data)
    except NotSafetensors as error:
        raise errors.PolicyTruncated(
            f"this is not a whole policy file ({error}): copy it again, or write it again with  "
            "dspctl compact"
        ) from error
    except HeaderProblem as error:
        raise errors.PolicyFormat(
            f"this is not a policy file ({error}): give the path of a policy file"
        ) from error
    except UnusualType as error:
        raise errors.PolicyShape(
            f"a tensor has the type {error}, which policies do not use: export the policy again"
        ) from error
    if KEY not in metadata:
        raise errors.PolicyFormat(
            f"a safetensors file but not a dspctl policy (no '{KEY}'): give the path of a file "
            "that dspctl wrote"
        )
    if len(metadata) > 1:
        raise ValueError(f"the header has unknown metadata {shown_names(set(metadata) - {KEY})}")
    return tensors, fields_from_json(metadata[KEY], "the metadata")


def _assemble(meta: Fields, tensors: dict[str, NDArray[Any]]) -> Policy:
    schema = meta.integer("schema")
    if schema != SCHEMA:
        raise errors.PolicyFormat(
            f"policy schema {schema}, but this dspctl reads {SCHEMA}: install the dspctl that "
            "wrote it, or export the policy again"
        )
    left = dict(tensors)

    def take(key: str, dtype: type[np.generic]) -> NDArray[Any]:
        if key not in left:
            raise errors.PolicyShape(f"the tensor '{key}' is missing: export the policy again")
        tensor = left.pop(key)
        if tensor.dtype != dtype:
            raise errors.PolicyShape(
                f"tensor '{key}' is {tensor.dtype}, not {dtype.__name__}: export the policy again"
            )
        return tensor

    def take_layer(index: int, activation: str) -> Layer:
        weight = take(f"layers.{index}.weight", np.float32)
        bias, mask = f"layers.{index}.bias", f"layers.{index}.mask"
        return Layer(
            weight=weight,
            bias=take(bias, np.float32) if bias in left else None,
            activation=cast(Activation, activation),  # Layer refuses any other
            mask=_bools(take(mask, np.uint8), mask) if mask in left else None,
        )

    observation = ObservationSpec(
        low=take("observation.low", np.float32),
        high=take("observation.high", np.float32),
        names=meta.names("observation_names"),
    )
    clip = meta.number_or_none("normalizer_clip")
    normalizer = None
    if "normalizer.mean" in left:
        mean = take("normalizer.mean", np.float32)
        normalizer = Normalizer(mean, take("normalizer.scale", np.float32), clip)
    elif clip is not None:
        raise ValueError("the metadata has a 'normalizer_clip' but there is no normaliser")
    rule = meta.fields("action")
    kind, start = rule.text("kind"), rule.integer("start")
    rule.finish()
    bounds = {}
    if kind != "argmax" and kind in ACTION_KINDS:  # ActionRule refuses an unknown one
        bounds = {end: take(f"action.{end}", np.float32) for end in ("low", "high")}
    action = ActionRule(cast(ActionKind, kind), start=start, **bounds)
    guard = Guard(
        low=take("guard.low", np.float32),
        high=take("guard.high", np.float32),
        safe_action=take("guard.safe_action", np.int64 if action.discrete else np.float32),
        on_invalid=cast(OnInvalid, meta.text("on_invalid")),  # Guard refuses any other
    )
    activations = meta.texts("activations")
    if len(activations) > _MOST_LAYERS:
        raise ValueError(f"the metadata names {len(activations)} layers, more than {_MOST_LAYERS}")
    lineage = meta.entries("lineage")
    for entry in lineage:
        check_name(entry, "the metadata: an entry of 'lineage'")
    policy = Policy(
        environment=meta.name("environment"),
        observation=observation,
        layers=tuple(take_layer(index, activation) for index, activation in enumerate(activations)),
        action=action,
        inputs=take("inputs", np.int64),
        normalizer=normalizer,
        lineage=lineage,
        guard=guard,
    )
    meta.finish()
    if left:
        raise errors.PolicyShape(f"unexpected tensors {shown_names(left)}: export the policy again")
    return policy


def _bools(mask: NDArray[np.uint8], key: str) -> NDArray[np.bool_]:
    if (mask > 1).any():
        raise errors.PolicyFormat(f"tensor '{key}' must hold 0 and 1 only: export the policy again")
    return mask.astype(bool)
