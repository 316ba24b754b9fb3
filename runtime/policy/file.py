"""Reading and writing a policy file: one safetensors file, tensors plus JSON metadata.

No other module knows the keys. Never pickle: opening a policy runs no code from it. The format is
described in ``docs/policy-format.md``.
"""

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as tensors_from_bytes
from safetensors.numpy import save as bytes_from_tensors

from dspctl.errors import (
    DspctlError,
    PolicyFormat,
    PolicyNotFinite,
    PolicyNotFound,
    PolicyShape,
    PolicyTruncated,
)
from dspctl.runtime.files import check_output, write_bytes
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
from dspctl.runtime.strict_json import Fields, fields_from_json, value_from_json

SCHEMA = 1
SUFFIX = ".safetensors"
_KEY = "dspctl.policy"
# Policies are kilobytes. The limits keep a wrong path (a disk image, a language model) from being
# read into memory before it is refused.
_HEADER_LIMIT_BYTES = 1 << 20
_FILE_LIMIT_BYTES = 1 << 30


def save_policy(policy: Policy, path: Path, *, force: bool = False) -> Path:
    """Write *policy* to *path* atomically; the same policy gives the same bytes.

    Weights are stored as float32.

    Raises:
        OutputExists: *path* exists and ``force`` is False.
        WriteFailed: the file could not be written; an old one is intact.
        PolicyProblem: the policy could not be loaded again; nothing was written.
    """
    check_output(path, force=force)
    write_bytes(path, bytes_from_policy(policy))
    return path


def bytes_from_policy(policy: Policy) -> bytes:
    """The policy file's exact bytes, proved to be readable.

    Raises:
        PolicyNotFinite: a weight is too large for float32.
        PolicyFormat: the lineage holds something that JSON cannot, or is too large.
    """
    tensors: dict[str, NDArray[Any]] = {
        "observation.low": _float32(policy.observation.low),
        "observation.high": _float32(policy.observation.high),
        "inputs": policy.inputs.astype(np.int64),
        "guard.low": _float32(policy.guard.low),
        "guard.high": _float32(policy.guard.high),
        "guard.safe_action": np.ascontiguousarray(policy.guard.safe_action),
    }
    if policy.normalizer is not None:
        tensors["normalizer.mean"] = _float32(policy.normalizer.mean)
        tensors["normalizer.scale"] = _float32(policy.normalizer.scale)
    if not policy.action.discrete:
        tensors["action.low"] = _float32(policy.action.low)
        tensors["action.high"] = _float32(policy.action.high)
    for index, layer in enumerate(policy.layers):
        tensors[f"layers.{index}.weight"] = _float32(layer.weight)
        if layer.bias is not None:
            tensors[f"layers.{index}.bias"] = _float32(layer.bias)
        if layer.mask is not None:
            tensors[f"layers.{index}.mask"] = layer.mask.astype(np.uint8)
    clip = None if policy.normalizer is None else policy.normalizer.clip
    meta = {
        "schema": SCHEMA,
        "environment": policy.environment,
        "observation_names": list(policy.observation.names),
        "activations": [layer.activation for layer in policy.layers],
        "normalizer_clip": None if clip is None else float(clip),
        "action": {"kind": policy.action.kind, "start": int(policy.action.start)},
        "on_invalid": policy.guard.on_invalid,
        "lineage": policy.lineage,
    }
    try:
        text = json.dumps(meta, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise PolicyFormat(
            f"the policy's lineage cannot be stored ({error}): keep only text, numbers, lists and "
            "objects in it"
        ) from error
    data = bytes_from_tensors(tensors, metadata={_KEY: text})
    policy_from_bytes(data, name="the new policy file")
    return data


def load_policy(path: Path) -> Policy:
    """Read a policy file and check everything in it.

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
            raise PolicyNotFound(
                f"there is no policy file at {path}: write one with  dspctl compact RUN -o {path}"
            )
        if path.stat().st_size > _FILE_LIMIT_BYTES:
            raise PolicyFormat(f"{path} is larger than any policy: give the path of a policy file")
        data = path.read_bytes()
    except OSError as error:
        raise PolicyNotFound(
            f"{path} cannot be read ({error.strerror or error}): check its permissions"
        ) from error
    return policy_from_bytes(data, name=str(path))


def policy_from_bytes(data: bytes, *, name: str) -> Policy:
    """Parse a policy file's bytes; *name* is used in error messages. Raises as `load_policy`."""
    try:
        tensors, meta = _split(data)
        return _assemble(meta, tensors)
    except DspctlError as error:
        raise type(error)(f"{name}: {error}") from error
    except ValueError as error:
        raise PolicyFormat(f"{name}: {error}: export the policy again") from error


def _float32(values: NDArray[Any]) -> NDArray[np.float32]:
    """C-ordered float32: safetensors would write a transposed view scrambled."""
    with np.errstate(over="ignore"):
        stored = np.ascontiguousarray(values, np.float32)
    if (np.isfinite(values) & ~np.isfinite(stored)).any():
        raise PolicyNotFinite(
            f"a value of {np.abs(values).max():.3g} does not fit float32: the training run "
            "diverged, train again"
        )
    return stored


def _split(data: bytes) -> tuple[dict[str, NDArray[Any]], Fields]:
    """The tensors, and the fields of our metadata."""
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or (size <= _HEADER_LIMIT_BYTES and len(data) < 8 + size):
        raise PolicyTruncated(
            "the file is cut off: copy it again, or write it again with  dspctl compact"
        )
    if size > _HEADER_LIMIT_BYTES:
        raise PolicyFormat("this is not a policy file: give the path of a policy file")
    header = value_from_json(data[8 : 8 + size], "the header")
    try:
        tensors = tensors_from_bytes(data)
    except SafetensorError as error:
        raise PolicyTruncated(
            f"this is not a whole policy file ({error}): copy it again, or write it again with  "
            "dspctl compact"
        ) from error
    except KeyError as error:  # a tensor type that NumPy lacks
        raise PolicyShape(
            f"a tensor has the type {error}, which policies do not use: export the policy again"
        ) from error
    metadata = header.get("__metadata__") or {}
    if _KEY not in metadata:
        raise PolicyFormat(
            f"a safetensors file but not a dspctl policy (no '{_KEY}'): give the path of a file "
            "that dspctl wrote"
        )
    if len(metadata) > 1:
        raise ValueError(f"the header has unknown metadata {sorted(set(metadata) - {_KEY})}")
    return tensors, fields_from_json(metadata[_KEY], "the metadata")


def _assemble(meta: Fields, tensors: dict[str, NDArray[Any]]) -> Policy:
    schema = meta.integer("schema")
    if schema != SCHEMA:
        raise PolicyFormat(
            f"policy schema {schema}, but this dspctl reads {SCHEMA}: install the dspctl that "
            "wrote it, or export the policy again"
        )
    left = dict(tensors)

    def take(key: str, dtype: type[np.generic]) -> NDArray[Any]:
        if key not in left:
            raise PolicyShape(f"the tensor '{key}' is missing: export the policy again")
        tensor = left.pop(key)
        if tensor.dtype != dtype:
            raise PolicyShape(
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
        names=meta.texts("observation_names"),
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
    policy = Policy(
        environment=meta.text("environment"),
        observation=observation,
        layers=tuple(
            take_layer(index, activation)
            for index, activation in enumerate(meta.texts("activations"))
        ),
        action=action,
        inputs=take("inputs", np.int64),
        normalizer=normalizer,
        lineage=meta.entries("lineage"),
        guard=guard,
    )
    meta.finish()
    if left:
        raise PolicyShape(f"unexpected tensors {sorted(left)}: export the policy again")
    return policy


def _bools(mask: NDArray[np.uint8], key: str) -> NDArray[np.bool_]:
    if (mask > 1).any():
        raise PolicyFormat(f"tensor '{key}' must hold 0 and 1 only: export the policy again")
    return mask.astype(bool)
