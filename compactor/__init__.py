"""From a masked policy to the dense minimal network, exactly and with a proof."""

from dspctl.compactor.groups import UnitGroups, unit_groups
from dspctl.compactor.masks import (
    kept_counts,
    kept_indices,
    masks_from_policy,
    policy_with_masks,
    unit_sparsity,
)
from dspctl.compactor.network import INPUT_LAYER, REASONS, Reason, Removal
from dspctl.compactor.pipeline import compact
from dspctl.compactor.report import Compaction, SummaryRow, layer_name, summary_rows
from dspctl.compactor.verify import Proof, Rounding

__all__ = [
    "INPUT_LAYER",
    "REASONS",
    "Compaction",
    "Proof",
    "Reason",
    "Removal",
    "Rounding",
    "SummaryRow",
    "UnitGroups",
    "compact",
    "kept_counts",
    "kept_indices",
    "layer_name",
    "masks_from_policy",
    "policy_with_masks",
    "summary_rows",
    "unit_groups",
    "unit_sparsity",
]
