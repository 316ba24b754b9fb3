"""Reading and writing a policy file: one safetensors file, tensors plus JSON metadata.

No other module knows the keys. Never pickle: opening a policy runs no code from it. The format is
described in ``docs/policy-format.md``.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as tensors_from_bytes
from safetensors.numpy import save as bytes_from_tensors

from dspctl.errors import PolicyFormat, PolicyNotFound, PolicyShape, PolicyTruncated
from dspctl.runtime.files import check_output, write_bytes
from dspctl.runtime.policy import ActionRule, Layer, Normalizer, ObservationSpec, Policy

SCHEMA = 1
SUFFIX = ".safetensors"
_KEY = "dspctl.policy"
_HEADER_LIMIT_BYTES = 1 << 20


def save_policy(policy: Policy, path: Path, *, force: bool = False) -> Path:
    """Write *policy* to *path* atomically; the same policy gives the same bytes.

    Weights are stored as float32.

    Raises:
        OutputExists: *path* exists and ``force`` is False.
        WriteFailed: the file could not be written; an old one is intact.
    """
    check_output(path, force=force)
    write_bytes(path, bytes_from_policy(policy))
    return path


def bytes_from_policy(policy: Policy) -> bytes:
    """The policy file's exact bytes."""
    tensors: dict[str, NDArray[Any]] = {
        "observation.low": policy.observation.low,
        "observation.high": policy.observation.high,
        "inputs": policy.inputs,
    }
    if policy.normalizer is not None:
        tensors["normalizer.mean"] = policy.normalizer.mean
        tensors["normalizer.scale"] = policy.normalizer.scale
    if not policy.action.discrete:
        tensors["action.low"] = policy.action.low
        tensors["action.high"] = policy.action.high
    for index, layer in enumerate(policy.layers):
        tensors[f"layers.{index}.weight"] = layer.weight.astype(np.float32)
        if layer.bias is not None:
            tensors[f"layers.{index}.bias"] = layer.bias.astype(np.float32)
        if layer.mask is not None:
            tensors[f"layers.{index}.mask"] = layer.mask.astype(np.uint8)
    meta = {
        "schema": SCHEMA,
        "environment": policy.environment,
        "observation_names": list(policy.observation.names),
        "activations": [layer.activation for layer in policy.layers],
        "normalizer_clip": None if policy.normalizer is None else policy.normalizer.clip,
        "action": {"kind": policy.action.kind, "start": policy.action.start},
        "lineage": policy.lineage,
    }
    text = json.dumps(meta, sort_keys=True, allow_nan=False)
    # safetensors wants C-ordered memory: a transposed view would be written scrambled.
    contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    return bytes_from_tensors(contiguous, metadata={_KEY: text})


def load_policy(path: Path) -> Policy:
    """Read a policy file and check everything in it.

    Raises:
        PolicyNotFound: there is no such file.
        PolicyTruncated: the file is not a whole safetensors file.
        PolicyFormat: metadata missing, malformed or of another schema.
        PolicyShape: tensors missing, unexpected or not fitting together.
        PolicyNotFinite: a weight is NaN or infinite.
        UnknownActivation: an activation no backend runs.
    """
    if not path.is_file():
        raise PolicyNotFound(
            f"there is no policy file at {path}: write one with  dspctl compact RUN -o {path}"
        )
    return policy_from_bytes(path.read_bytes(), name=str(path))


def policy_from_bytes(data: bytes, *, name: str) -> Policy:
    """Parse a policy file's bytes; *name* is used in error messages. Raises as `load_policy`."""
    try:
        tensors = tensors_from_bytes(data)
        header = int.from_bytes(data[:8], "little")
        if header > _HEADER_LIMIT_BYTES:
            raise PolicyFormat(f"{name} has a header of {header} bytes: not a policy file")
        metadata = json.loads(data[8 : 8 + header]).get("__metadata__", {})
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise PolicyTruncated(
            f"{name} is not a whole policy file ({error}): copy it again or export it again"
        ) from error
    if _KEY not in metadata:
        raise PolicyFormat(f"{name} is a safetensors file but not a dspctl policy: no '{_KEY}'")
    try:
        meta = json.loads(metadata[_KEY])
        if meta["schema"] != SCHEMA:
            raise PolicyFormat(
                f"{name} has policy schema {meta['schema']}, this dspctl reads {SCHEMA}: "
                "install the dspctl that wrote it, or export the policy again"
            )
        return _assemble(meta, tensors, name)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PolicyFormat(
            f"{name} has malformed metadata ({type(error).__name__}: {error}): "
            "export the policy again"
        ) from error


def _assemble(meta: dict[str, Any], tensors: dict[str, NDArray[Any]], name: str) -> Policy:
    left = dict(tensors)

    def take(key: str, dtype: type[np.generic], *, optional: bool = False) -> Any:
        if key not in left:
            if optional:
                return None
            raise PolicyShape(f"{name} lacks the tensor '{key}': export the policy again")
        tensor = left.pop(key)
        if tensor.dtype != dtype:
            raise PolicyShape(f"{name}: tensor '{key}' is {tensor.dtype}, not {dtype.__name__}")
        return tensor

    observation = ObservationSpec(
        low=take("observation.low", np.float32),
        high=take("observation.high", np.float32),
        names=tuple(str(entry) for entry in meta["observation_names"]),
    )
    normalizer = None
    if "normalizer.mean" in left:
        normalizer = Normalizer(
            mean=take("normalizer.mean", np.float32),
            scale=take("normalizer.scale", np.float32),
            clip=meta["normalizer_clip"],
        )
    bounds = {}
    if meta["action"]["kind"] != "argmax":
        bounds = {end: take(f"action.{end}", np.float32) for end in ("low", "high")}
    layers = []
    for index, activation in enumerate(meta["activations"]):
        mask = take(f"layers.{index}.mask", np.uint8, optional=True)
        layers.append(
            Layer(
                weight=take(f"layers.{index}.weight", np.float32),
                bias=take(f"layers.{index}.bias", np.float32, optional=True),
                activation=activation,
                mask=None if mask is None else mask.astype(bool),
            )
        )
    inputs = take("inputs", np.int64)
    if left:
        raise PolicyShape(f"{name} holds unexpected tensors {sorted(left)}: export it again")
    return Policy(
        environment=str(meta["environment"]),
        observation=observation,
        layers=tuple(layers),
        action=ActionRule(meta["action"]["kind"], start=int(meta["action"]["start"]), **bounds),
        inputs=inputs,
        normalizer=normalizer,
        lineage=dict(meta["lineage"]),
    )
