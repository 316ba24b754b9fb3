"""From scores and p_t to the units, or single weights, that leave: the three readings of Eq 16.

Read to the letter, Eq 16 compares each unit with the sum of all, which removes everything at once
(docs/method.md). ``quantile`` removes the lowest p_t share of units, and is the only reading
whose target *is* the sparsity that is reported; ``mass`` removes the least important units while
their summed importance stays under psi; ``literal`` is Eq 16 and 18 as printed.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dspctl.compactor.groups import FloatArray
from dspctl.errors import ConfigProblem
from dspctl.trainer.settings.config import units_kept


class Decision(NamedTuple):
    """Which units stay.

    Attributes:
        keep: bool [units] for each hidden layer.
        threshold: the score under which units left, in the units of the ranking.
    """

    keep: list[NDArray[np.bool_]]
    threshold: float


def decide(
    scores: Sequence[FloatArray],
    *,
    sparsity: float,
    original_units: int,
    floor: int,
    reading: str,
    ranking: str,
) -> Decision:
    """Choose the survivors among the units that are still alive.

    Args:
        scores: one float [units] per hidden layer, the alive units only.
        sparsity: p_t, the share of *original_units* to be gone by now.
        original_units: hidden units before any was removed.
        floor: fewest units a layer keeps.
        reading: ``quantile``, ``mass`` or ``literal``.
        ranking: ``global`` (scores divided by their layer's mean), ``global-raw`` or
            ``per-layer`` (each layer gives up the same share).
    """
    kept = units_kept(original_units, sparsity)
    order, wanted, psi = _leaving(scores, sparsity, kept, reading, ranking)
    layer_of = np.repeat(np.arange(len(scores)), [score.size for score in scores])
    return Decision(_remove(order, layer_of, scores, wanted, floor), psi)


def decide_weights(
    scores: Sequence[FloatArray],
    alive: Sequence[NDArray[np.bool_]],
    *,
    sparsity: float,
    original_weights: int,
    reading: str,
    ranking: str,
) -> Decision:
    """Choose the survivors among the single weights that are still there.

    Every layer keeps its highest score, so that something passes through it, and every output its
    own highest.

    Args:
        scores: one float [out, in] per layer, the output layer's last.
        alive: bool [out, in] alike, False for weights that were removed before.
        sparsity: p_t, the share of *original_weights* to be gone by now.
        original_weights: weights before any was removed.
        reading: as for `decide`.
        ranking: as for `decide`.

    Returns:
        ``keep`` is bool [out, in] for each layer.
    """
    present = [score[there] for score, there in zip(scores, alive, strict=True)]
    kept = units_kept(original_weights, sparsity)
    order, wanted, psi = _leaving(present, sparsity, kept, reading, ranking)
    needed = np.concatenate(
        [
            _needed(score, there, every_row=layer == len(scores) - 1)[there]
            for layer, (score, there) in enumerate(zip(scores, alive, strict=True))
        ]
    )
    stays = np.ones(order.size, bool)
    stays[order[~needed[order]][:wanted]] = False
    keep = []
    for there, part in zip(
        alive, np.split(stays, np.cumsum([each.size for each in present])[:-1]), strict=True
    ):
        mask = np.zeros(there.shape, bool)
        mask[there] = part
        keep.append(mask)
    return Decision(keep, psi)


def _needed(score: FloatArray, alive: NDArray[np.bool_], *, every_row: bool) -> NDArray[np.bool_]:
    """Bool [out, in]: the highest score that is there, of the layer or of each of its rows."""
    result = np.zeros(score.shape, bool)
    present = np.where(alive, score, -1)
    if every_row:
        result[np.arange(len(score)), present.argmax(axis=1)] = True
    else:
        result[np.unravel_index(present.argmax(), score.shape)] = True
    return result


def _leaving(
    scores: Sequence[FloatArray], sparsity: float, kept: int, reading: str, ranking: str
) -> tuple[NDArray[np.int64], int, float]:
    """The order in which things leave, how many of them should, and the threshold."""
    flat = np.concatenate([_comparable(score, ranking) for score in scores])
    # A stable order makes ties, and so whole runs, reproducible.
    order = np.argsort(flat, kind="stable")
    if reading == "quantile":
        alive = flat.size
        wanted = max(0, alive - kept)
        return order, wanted, float(flat[order[min(wanted, alive - 1)]])
    raw = np.concatenate([np.asarray(score, np.float64) for score in scores])
    order = np.argsort(raw, kind="stable")
    psi = float(raw.sum()) * sparsity
    if reading == "mass":
        wanted = int(np.count_nonzero(np.cumsum(raw[order]) <= psi))
    elif reading == "literal":
        wanted = int(np.count_nonzero(raw < psi))
    else:
        raise ConfigProblem(f"unknown reading of the threshold: {reading!r}")
    return order, wanted if sparsity else 0, psi


def _comparable(score: FloatArray, ranking: str) -> NDArray[np.float64]:
    wide = np.asarray(score, np.float64)
    if ranking == "global-raw":
        return wide
    if ranking == "global":
        # The layers' importances differ by orders of magnitude; without this one layer would be
        # emptied to its floor before the other loses a unit.
        return wide / (wide.mean() or 1.0)
    # Ranks within the layer, as shares of it: every layer gives up the same share.
    ranks = np.empty(wide.size)
    ranks[np.argsort(wide, kind="stable")] = (np.arange(wide.size) + 0.5) / wide.size
    return ranks


def _remove(
    order: NDArray[np.int64],
    layer_of: NDArray[np.int64],
    scores: Sequence[FloatArray],
    wanted: int,
    floor: int,
) -> list[NDArray[np.bool_]]:
    """Drop the first *wanted* units of *order*, passing over layers that are at their floor."""
    left = [score.size for score in scores]
    keep = np.ones(len(order), bool)
    for unit in order:
        if wanted == 0:
            break
        layer = int(layer_of[unit])
        if left[layer] > floor:
            keep[unit] = False
            left[layer] -= 1
            wanted -= 1
    return np.split(keep, np.cumsum([score.size for score in scores])[:-1])
