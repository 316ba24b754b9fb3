"""What a compaction did: the compact policy, what left and why, sizes, and the proof."""

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from dspctl.compactor.network import INPUT_LAYER, REASONS, Reason, Removal
from dspctl.compactor.verify import Proof, Rounding
from dspctl.runtime import Counts, Policy


class SummaryRow(NamedTuple):
    """One line of the table of what left: how many left one layer for one reason."""

    reason: Reason
    layer: str
    removed: int


@dataclass(frozen=True, eq=False)
class Compaction:
    """A compact policy and everything there is to say about it.

    Attributes:
        policy: dense, float32, no masks.
        removals: what left, in order.
        before: size of the source as stored, masked units included.
        after: size of the compact policy.
        proof: float64 equality with the masked source.
        rounding: what storing float32 weights changes on top.
        relies_on_bounds: True if some rewrite holds only within the observation's declared
            bounds; False means that equality holds for every observation.
    """

    policy: Policy
    removals: tuple[Removal, ...]
    before: Counts
    after: Counts
    proof: Proof
    rounding: Rounding
    relies_on_bounds: bool

    @property
    def unit_sparsity(self) -> float:
        """Share of hidden units removed (DSP Eq 22)."""
        return _share_removed(self.before.total_units, self.after.total_units)

    @property
    def weight_sparsity(self) -> float:
        """Share of weights removed, counted on the compact network (DSP Eq 21)."""
        return _share_removed(self.before.weights, self.after.weights)

    @property
    def zero_weights(self) -> int:
        """Stored weights of the compact policy that are 0, left by methods without structure."""
        return sum(
            int(layer.weight.size - np.count_nonzero(layer.weight)) for layer in self.policy.layers
        )

    @property
    def flop_sparsity(self) -> float:
        """Share of FLOPs removed, counted on the compact network (DSP Eq 23)."""
        return _share_removed(self.before.flops, self.after.flops)

    def summary_rows(self) -> tuple[SummaryRow, ...]:
        """Removals counted by reason and layer, reasons in the order of `Reason`."""
        return summary_rows(self.removals)

    def to_json(self) -> dict[str, Any]:
        """Everything but the policy itself, JSON values only."""
        return {
            "environment": self.policy.environment,
            "before": json_from_counts(self.before),
            "after": json_from_counts(self.after),
            "zero_weights": self.zero_weights,
            "sparsity": {
                "units": self.unit_sparsity,
                "weights": self.weight_sparsity,
                "flops": self.flop_sparsity,
            },
            "inputs": self.policy.inputs.tolist(),
            "summary": [row._asdict() for row in self.summary_rows()],
            "removals": [removal._asdict() for removal in self.removals],
            "relies_on_bounds": self.relies_on_bounds,
            "proof": self.proof.to_json(),
            "rounding": self.rounding.to_json(),
        }


def summary_rows(removals: tuple[Removal, ...]) -> tuple[SummaryRow, ...]:
    """Count *removals* by reason and layer."""
    counts = Counter((removal.reason, removal.layer) for removal in removals)
    ordered = sorted(counts.items(), key=lambda entry: (REASONS.index(entry[0][0]), entry[0][1]))
    return tuple(SummaryRow(reason, layer_name(layer), count) for (reason, layer), count in ordered)


def layer_name(layer: int) -> str:
    """How a removal's layer is called in a table: ``input``, ``hidden 1``, ``hidden 2`` ..."""
    return "input" if layer == INPUT_LAYER else f"hidden {layer + 1}"


def json_from_counts(counts: Counts) -> dict[str, Any]:
    """*Counts* with JSON values only."""
    return {**asdict(counts), "units": list(counts.units)}


def _share_removed(before: int, after: int) -> float:
    return 1.0 - after / before if before else 0.0
