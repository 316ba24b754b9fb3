"""Every method of the table, from its choices to a compact policy."""

from pathlib import Path

import numpy as np
import pytest

from dspctl.compactor import compact
from dspctl.compactor.groups import UnitGroups
from dspctl.trainer import METHODS, load_run, train
from dspctl.trainer.pruning.saliency import chance, incoming_norm, magnitude
from dspctl.trainer.pruning.schedule import Schedule, static
from tests.trainer.tiny import tiny

GROUPS = [
    UnitGroups(np.array([[3.0, 4.0], [0.0, -2.0]]), None, np.array([[1.0, -0.5]])),
]


def test_incoming_norm() -> None:
    np.testing.assert_allclose(incoming_norm(GROUPS, np.random.default_rng())[0], [5.0, 2.0])


def test_magnitude_scores_every_weight() -> None:
    first, last = magnitude(GROUPS, np.random.default_rng())
    np.testing.assert_array_equal(first, [[3.0, 4.0], [0.0, 2.0]])
    np.testing.assert_array_equal(last, [[1.0, 0.5]])


def test_chance_is_seeded() -> None:
    one, same, other = (chance(GROUPS, np.random.default_rng(seed))[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    many = chance([UnitGroups(np.zeros((10_000, 1)), None, np.zeros((1, 10_000)))], rng())[0]
    assert many.mean() == pytest.approx(0.5, abs=0.02)


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def test_the_static_schedule_asks_once() -> None:
    schedule = Schedule(first=2, last=6, every=1, initial=0.0, target=0.9, curve=static)
    assert [schedule.sparsity(t) for t in range(8)] == [0, 0, 0, 0, 0, 0, 0.9, 0.9]


@pytest.mark.parametrize("initial", [0.0, 0.3])
def test_static_methods_prune_in_one_iteration(tmp_path: Path, initial: float) -> None:
    config = tiny(method="ssl", initial_sparsity=initial)
    rows = load_run(train(config, tmp_path / "run").run).metrics()
    assert [sum(row["units"]) for row in rows] == [64] * 3 + [16] * 5


def test_random_units_follow_the_seed(tmp_path: Path) -> None:
    kept = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        config = tiny(method="dropout", seed=seed, steps=4_096)
        policy = load_run(train(config, tmp_path / name).run).policy()
        kept.append(np.concatenate([layer.kept for layer in policy.hidden]))
    np.testing.assert_array_equal(kept[0], kept[1])
    assert not np.array_equal(kept[0], kept[2])


@pytest.mark.parametrize("method", [name for name in METHODS if not METHODS[name].teacher])
def test_every_method_trains_to_a_compact_policy(tmp_path: Path, method: str) -> None:
    result = train(tiny(method=method, steps=4_096), tmp_path / "run")
    assert result.finished
    run = load_run(result.run)
    policy, observations = run.policy(), run.observations()
    compaction = compact(policy, observations=observations)
    np.testing.assert_allclose(
        compaction.policy.outputs(observations), policy.outputs(observations), rtol=1e-3, atol=1e-5
    )
    if METHODS[method].prunes and METHODS[method].granularity == "unit":
        assert sum(compaction.after.units) == 16
        assert sum(result.units) == 16
    assert policy.lineage["method"] == method
