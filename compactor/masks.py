"""Reading, attaching and counting unit masks: bool [units] per hidden layer, False is removed."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dspctl.errors import PolicyShape
from dspctl.runtime import Policy

Mask = NDArray[np.bool_]


def masks_from_policy(policy: Policy) -> tuple[Mask, ...]:
    """One mask per hidden layer; all True where the policy stores none."""
    return tuple(layer.kept.astype(bool) for layer in policy.hidden)


def policy_with_masks(policy: Policy, masks: Sequence[ArrayLike]) -> Policy:
    """*policy* with its hidden layers' masks exchanged.

    Args:
        policy: what to mask.
        masks: one vector per hidden layer, bool or 0/1 of any numeric type.

    Raises:
        PolicyShape: wrong number or length of masks, or an entry other than 0 and 1.
    """
    if len(masks) != len(policy.hidden):
        raise PolicyShape(
            f"{len(masks)} masks for {len(policy.hidden)} hidden layers: give one per layer"
        )
    hidden = tuple(
        replace(layer, mask=_mask_from_array(mask, layer.width))
        for layer, mask in zip(policy.hidden, masks, strict=True)
    )
    return replace(policy, layers=(*hidden, policy.layers[-1]))


def kept_counts(masks: Sequence[Mask]) -> tuple[int, ...]:
    """Units left per layer, ``||m^(l)||_0`` (DSP Eq 22 is their sum)."""
    return tuple(int(mask.sum()) for mask in masks)


def unit_sparsity(masks: Sequence[Mask]) -> float:
    """Share of hidden units removed, 0 where there are no hidden units."""
    units = sum(mask.size for mask in masks)
    return 1.0 - sum(kept_counts(masks)) / units if units else 0.0


def kept_indices(masks: Sequence[Mask]) -> tuple[NDArray[np.int64], ...]:
    """Int64 indices of the units left, per layer, ascending."""
    return tuple(np.flatnonzero(mask).astype(np.int64) for mask in masks)


def _mask_from_array(values: ArrayLike, width: int) -> Mask:
    array: NDArray[Any] = np.asarray(values)
    if array.shape != (width,):
        raise PolicyShape(f"a mask for {width} units has shape {array.shape}: give one per unit")
    if not np.isin(array, (0, 1)).all():
        raise PolicyShape("a mask holds something other than 0 and 1: threshold it first")
    return array.astype(bool)
