"""The report's numbers, against the paper's formulas worked out by hand."""

import json

import numpy as np
import pytest

from dspctl.compactor import SummaryRow, compact, layer_name, policy_with_masks
from dspctl.runtime import Policy
from tests.compactor.strategies import dense, normalizer_of, observations_for, policy_of


@pytest.fixture(scope="module")
def cartpole_like() -> Policy:
    """4 inputs, 2×128, 2 outputs, no biases; 9 units of each layer kept (docs/method.md)."""
    rng = np.random.default_rng(1)
    mask = np.zeros(128, bool)
    mask[:9] = True
    return policy_of(
        dense(rng.normal(size=(128, 4)), None, "relu", mask),
        dense(rng.normal(size=(128, 128)), None, "relu", mask[::-1]),
        dense(rng.normal(size=(2, 128))),
    )


def test_sizes_and_sparsities_are_those_of_the_compact_network(cartpole_like: Policy) -> None:
    result = compact(cartpole_like, observations=observations_for(cartpole_like))
    assert result.before.units == (128, 128)
    assert result.before.weights == 17152  # 4*128 + 128*128 + 128*2
    assert result.before.flops == 34046  # 7*128 + 255*128 + 255*2
    assert result.after.units == (9, 9)
    assert result.after.weights == 135  # 4*9 + 9*9 + 9*2
    assert result.after.flops == 250  # 7*9 + 17*9 + 17*2
    assert result.after.size_bytes == 540
    assert result.unit_sparsity == pytest.approx(238 / 256)
    assert result.weight_sparsity == pytest.approx(0.992129, abs=1e-6)
    assert result.flop_sparsity == pytest.approx(0.992657, abs=1e-6)
    assert result.summary_rows() == (
        SummaryRow("masked", "hidden 1", 119),
        SummaryRow("masked", "hidden 2", 119),
    )


def test_the_json_holds_every_figure_and_no_nan() -> None:
    policy = policy_of(
        dense([[1, 0], [1, 0], [2, 0]], [1, 1, 1], "relu", [True, True, False]),
        dense([[1, 2, 3], [4, 5, 6]]),
        normalizer=normalizer_of([0, 0], [1, 1], None),
    )
    result = compact(policy, observations=observations_for(policy))
    value = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert value["environment"] == "Test-v0"
    assert value["before"] == {
        "units": [3],
        "weights": 12,
        "biases": 3,
        "flops": 19,
        "size_bytes": 60,
    }
    assert value["after"] == {
        "units": [1],
        "weights": 3,
        "biases": 1,
        "flops": 3,
        "size_bytes": 16,
    }
    assert value["sparsity"] == pytest.approx({"units": 2 / 3, "weights": 0.75, "flops": 16 / 19})
    assert value["inputs"] == [0]
    assert value["summary"] == [
        {"reason": "masked", "layer": "hidden 1", "removed": 1},
        {"reason": "duplicate", "layer": "hidden 1", "removed": 1},
        {"reason": "unread-input", "layer": "input", "removed": 1},
        {"reason": "normaliser-folded", "layer": "input", "removed": 1},
    ]
    assert value["removals"] == [
        {"layer": 0, "unit": 2, "reason": "masked"},
        {"layer": 0, "unit": 1, "reason": "duplicate"},
        {"layer": -1, "unit": 1, "reason": "unread-input"},
        {"layer": -1, "unit": 0, "reason": "normaliser-folded"},
    ]
    assert value["relies_on_bounds"] is False
    assert value["proof"]["recorded"] == 40
    assert value["proof"]["differing_actions"] == 0
    assert value["rounding"]["max_error"] == 0.0


def test_lineage_keeps_what_was_there_and_names_the_source() -> None:
    policy = policy_of(dense([[1, 2]], None, "tanh"), dense([[1]]), discrete=False)
    result = compact(policy.with_lineage(method="dsp", seed=3), observations=None)
    assert result.policy.lineage["method"] == "dsp"
    assert result.policy.lineage["seed"] == 3
    compacted = result.policy.lineage["compacted"]
    assert len(compacted["source_sha256"]) == 64
    other = compact(policy.with_lineage(method="dsp", seed=4), observations=None)
    assert other.policy.lineage["compacted"]["source_sha256"] != compacted["source_sha256"]


def test_a_second_compaction_keeps_what_the_first_one_said() -> None:
    # -0.5 at most within ±1, so the first unit leaves only where bounds are trusted.
    policy = policy_of(
        dense([[1.0], [2.0], [3.0]], [-1.5, 0.0, 0.0], "relu"),
        dense([[1.0, 1.0, 1.0]]),
        low=[-1],
        high=[1],
        discrete=False,
    )
    first = compact(policy, observations=np.zeros((1, 1)))
    masked = policy_with_masks(first.policy, [[True, False]])
    second = compact(masked, observations=None)
    assert first.relies_on_bounds
    assert not second.relies_on_bounds
    assert second.policy.lineage["compacted"]["before"]["units"] == [2]
    assert second.policy.lineage["compacted"]["earlier"] == first.policy.lineage["compacted"]


def test_layers_are_named_from_one() -> None:
    assert [layer_name(layer) for layer in (-1, 0, 1)] == ["input", "hidden 1", "hidden 2"]
