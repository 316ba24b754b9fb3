"""Writing a policy file; reading one is in `dspctl.runtime.policy.file`."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save as bytes_from_tensors

from dspctl.errors import PolicyFormat, PolicyNotFinite
from dspctl.runtime.files import check_output, write_bytes
from dspctl.runtime.policy import Policy
from dspctl.runtime.policy.file import KEY, SCHEMA, policy_from_bytes


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
    data = bytes_from_tensors(tensors, metadata={KEY: text})
    policy_from_bytes(data, name="the new policy file")
    return data


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
