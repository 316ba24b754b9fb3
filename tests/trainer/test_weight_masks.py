"""Single weights that leave: which, that they stay away, and what is written of them."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from dspctl.compactor import compact
from dspctl.trainer import TrainConfig, load_run, train
from dspctl.trainer.environments import describe
from dspctl.trainer.ppo.adam import Adam
from dspctl.trainer.ppo.network import Layout, Network
from dspctl.trainer.pruning import Pruner, method_named
from dspctl.trainer.pruning.threshold import decide_weights
from dspctl.trainer.runs.checkpoint import RunFolder
from tests.trainer.tiny import tiny

WEIGHTS = 4 * 32 + 32 * 32 + 32 * 2


def keep(scores: list[np.ndarray], sparsity: float, **changes: object) -> list[list[list[int]]]:
    settings: dict[str, object] = {"reading": "quantile", "ranking": "global-raw", **changes}
    alive = settings.pop("alive", [np.ones(each.shape, bool) for each in scores])
    count = sum(each.size for each in scores)
    decision = decide_weights(
        scores,
        alive,  # type: ignore[arg-type]
        sparsity=sparsity,
        original_weights=count,
        **settings,  # type: ignore[arg-type]
    )
    return [mask.astype(int).tolist() for mask in decision.keep]


def test_the_smallest_share_leaves() -> None:
    scores = [np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[5.0, 0.5]])]
    assert keep(scores, 0.5) == [[[0, 0], [1, 1]], [[1, 0]]]


def test_layers_are_made_comparable_by_their_mean() -> None:
    # Shares of their means: 2/3, 1, 4/3 and 0.15, 1.35, 1.5.
    lower = [np.array([[2.0, 3.0, 4.0]]), np.array([[0.1, 0.9, 1.0]])]
    assert keep(lower, 1 / 3, ranking="global") == [[[0, 1, 1]], [[0, 1, 1]]]
    assert keep(lower, 1 / 3, ranking="global-raw") == [[[1, 1, 1]], [[0, 0, 1]]]


def test_something_always_passes() -> None:
    scores = [np.array([[1.0, 2.0]]), np.array([[9.0], [3.0], [0.1]])]
    # Each layer its highest; each of the three outputs its own.
    assert keep(scores, 0.99) == [[[0, 1]], [[1], [1], [1]]]


def test_what_left_does_not_come_back() -> None:
    scores = [np.array([[9.0, 2.0, 3.0]]), np.array([[5.0]])]
    alive = [np.array([[False, True, True]]), np.ones((1, 1), bool)]
    assert keep(scores, 0.25, alive=alive) == [[[0, 1, 1]], [[1]]]
    assert keep(scores, 0.5, alive=alive) == [[[0, 0, 1]], [[1]]]


def test_held_weights_stay_exactly_zero_under_adam() -> None:
    rng = np.random.default_rng(0)
    parameters = rng.normal(size=40).astype(np.float32)
    optimiser, free = Adam(40), Adam(20)
    for _ in range(3):
        gradient = rng.normal(size=40).astype(np.float32)
        optimiser.step(parameters, gradient, learning_rate=0.01, max_norm=1e9)
    mask = (np.arange(40) % 2).astype(np.float32)
    parameters *= mask
    optimiser.hold(mask)
    # The others move as if the held ones did not exist.
    kept = mask == 1
    alone = parameters[kept].copy()
    free.restore(optimiser.first[kept], optimiser.second[kept], optimiser.step_count)
    for _ in range(50):
        gradient = rng.normal(size=40).astype(np.float32)
        free.step(alone, gradient[kept].copy(), learning_rate=0.01, max_norm=0.5)
        optimiser.step(parameters, gradient, learning_rate=0.01, max_norm=0.5)
    for vector in (parameters, optimiser.first, optimiser.second):
        assert not vector[~kept].any()
    np.testing.assert_allclose(parameters[kept], alone, rtol=1e-5, atol=1e-7)


def test_a_pruner_reaches_the_share_of_weights() -> None:
    config = TrainConfig("CartPole-v1", method="l1", sparsity=0.93, steps=100_000)
    rng = np.random.default_rng(0)
    network = Network.initialise(
        Layout((4, 128, 128, 2), biases=True), "tanh", rng, hidden_gain=1.0, output_gain=0.01
    )
    optimiser = Adam(network.layout.length)
    pruner = Pruner(method_named("l1"), config, network, 0.93)
    total = 4 * 128 + 128 * 128 + 128 * 2
    for iteration in range(config.iterations):
        before = network.parameters == 0
        removed = pruner.step(iteration, network, optimiser, np.zeros((3, 4), np.float32))
        assert removed >= 0
        assert not network.parameters[before & (pruner.weight_mask == 0)].any()
        noise = rng.normal(size=network.parameters.size).astype(np.float32)
        optimiser.step(network.parameters, noise, learning_rate=0.1, max_norm=1.0)
    left = sum(int(np.count_nonzero(weight)) for weight in network.weights)
    assert left == total - round(0.93 * total)
    assert pruner.weights_removed == total - left
    assert pruner.sparsity == pytest.approx(1 - left / total)
    assert network.hidden == (128, 128)


@pytest.fixture(scope="module")
def lasso(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tiny(method="l1", sparsity=0.9), tmp_path_factory.mktemp("l1") / "run").run


def test_the_policy_holds_zeros_and_the_metrics_count_them(lasso: Path) -> None:
    policy = load_run(lasso).policy()
    left = sum(int(np.count_nonzero(layer.weight)) for layer in policy.layers)
    assert left == WEIGHTS - round(0.9 * WEIGHTS)
    assert not policy.masked
    last = load_run(lasso).metrics()[-1]
    assert last["weight_sparsity"] == pytest.approx(1 - left / WEIGHTS)
    assert last["unit_sparsity"] == 0
    assert last["flops_sparsity"] == 0, "zeros are computed with all the same"


def test_masks_survive_a_checkpoint(lasso: Path) -> None:
    folder = RunFolder.reopen(lasso, {})
    before = (lasso / "checkpoint.safetensors").read_bytes()
    state = folder.load_state(describe("CartPole-v1"))
    actor = state.actor
    assert actor.pruner.weights_removed == round(0.9 * WEIGHTS)
    assert actor.optimiser.mask is actor.pruner.weight_mask
    held = actor.pruner.weight_mask == 0
    for vector in (actor.network.parameters, actor.optimiser.first, actor.optimiser.second):
        assert not vector[held].any()
    folder.save_state(state)
    assert (lasso / "checkpoint.safetensors").read_bytes() == before


def test_a_run_that_goes_on_removes_the_same_weights(tmp_path: Path) -> None:
    config = tiny(method="l1", sparsity=0.9, steps=4_096)
    calls = iter([False, True])
    train(config, tmp_path / "run", should_stop=lambda: next(calls))
    policies = []
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    for name in ("run", "copy"):
        train(config, tmp_path / name, resume=True)
        policies.append(load_run(tmp_path / name).policy())
    for one, other in zip(policies[0].layers, policies[1].layers, strict=True):
        np.testing.assert_array_equal(one.weight, other.weight)
        assert (one.weight == 0).any()


def test_compaction_removes_what_zeros_cut_off(lasso: Path) -> None:
    run = load_run(lasso)
    policy, observations = run.policy(), run.observations()
    result = compact(policy, observations=observations)
    # By hand: a hidden unit without a weight in or without one out computes nothing that varies.
    first, second, last = (layer.weight for layer in policy.layers)
    dead = int((~first.any(axis=1) | ~second.any(axis=0)).sum())
    assert dead > 0
    assert result.after.units[0] <= 32 - dead
    np.testing.assert_allclose(
        result.policy.outputs(observations[:200]),
        policy.outputs(observations[:200]),
        rtol=1e-4,
        atol=1e-5,
    )
    stored = sum(layer.weight.size for layer in result.policy.layers)
    nonzero = sum(int(np.count_nonzero(layer.weight)) for layer in result.policy.layers)
    assert result.zero_weights == stored - nonzero > 0
    assert result.to_json()["zero_weights"] == result.zero_weights
    assert last.shape == (2, 32)
