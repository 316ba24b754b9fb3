"""Pruning's choices against hand-computed numbers."""

import numpy as np
import pytest

from dspctl.compactor.groups import UnitGroups
from dspctl.errors import ImpossibleWidths, UnknownMethod
from dspctl.trainer import TrainConfig
from dspctl.trainer.ppo.adam import Adam
from dspctl.trainer.ppo.network import Layout, Network
from dspctl.trainer.pruning import Pruner, method_named
from dspctl.trainer.pruning.regularizers import OmegaRegularizer
from dspctl.trainer.pruning.saliency import omega
from dspctl.trainer.pruning.schedule import Schedule
from dspctl.trainer.pruning.threshold import decide


def groups() -> UnitGroups:
    return UnitGroups(
        incoming=np.array([[1.0, 2.0], [0.0, 3.0]], np.float32),
        bias=None,
        outgoing=np.array([[1.0, 0.5], [2.0, 0.5]], np.float32),
    )


def test_importance_is_incoming_times_outgoing_energy() -> None:
    # (1 + 4)(1 + 4) and (0 + 9)(0.25 + 0.25), DSP Eq 12
    np.testing.assert_allclose(omega([groups()], np.random.default_rng())[0], [25.0, 4.5])


def test_regulariser_value_and_finite_differences() -> None:
    strength, step = 0.1, 1e-3
    group = groups()
    gradient = UnitGroups(np.zeros((2, 2), np.float32), None, np.zeros((2, 2), np.float32))
    value = OmegaRegularizer().add_gradient([group], [gradient], strength)
    assert value == pytest.approx(strength * 29.5)
    for array, slope in ((group.incoming, gradient.incoming), (group.outgoing, gradient.outgoing)):
        for index in np.ndindex(array.shape):
            energies = []
            for sign in (1, -1):
                array[index] += sign * step
                energies.append(strength * float(group.importance().astype(np.float64).sum()))
                array[index] -= sign * step
            numeric = (energies[0] - energies[1]) / (2 * step)
            assert slope[index] == pytest.approx(numeric, rel=1e-2, abs=1e-3)


def test_cubic_schedule() -> None:
    schedule = Schedule(first=10, last=20, every=5, initial=0.1, target=0.9)
    assert schedule.sparsity(9) == 0.0
    assert schedule.sparsity(10) == pytest.approx(0.1)
    # Eq 17 half way: p_f + (p_i - p_f) (1/2)^3
    assert schedule.sparsity(15) == pytest.approx(0.9 + (0.1 - 0.9) / 8)
    assert schedule.sparsity(20) == 0.9
    assert schedule.sparsity(1000) == 0.9
    assert [t for t in range(30) if schedule.due(t)] == [10, 15, 20]


SCORES = [np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.1, 0.2, 0.3, 0.4])]


def kept(
    reading: str, sparsity: float, *, ranking: str = "global-raw", floor: int = 1
) -> list[list[bool]]:
    decision = decide(
        SCORES,
        sparsity=sparsity,
        original_units=8,
        floor=floor,
        reading=reading,
        ranking=ranking,
    )
    return [mask.tolist() for mask in decision.keep]


def test_quantile_reading_removes_the_lowest_share() -> None:
    assert kept("quantile", 0.375) == [[True] * 4, [False, False, False, True]]


def test_floor_passes_the_pruning_on_to_the_other_layer() -> None:
    assert kept("quantile", 0.625, floor=1) == [[False, False, True, True], [False] * 3 + [True]]
    assert kept("quantile", 0.5, floor=2) == [
        [False, False, True, True],
        [False, False, True, True],
    ]


def test_global_ranking_makes_layers_comparable() -> None:
    # Both layers have the same proportions, so each loses its two lowest.
    assert kept("quantile", 0.5, ranking="global") == [[False, False, True, True]] * 2
    assert kept("quantile", 0.5, ranking="per-layer") == [[False, False, True, True]] * 2


def test_mass_reading_removes_while_the_sum_is_below_psi() -> None:
    # psi = 11 * 0.2 = 2.2; sorted sums 0.1, 0.3, 0.6, 1.0, 2.0, 4.0: five units, floor saves one
    assert kept("mass", 0.2) == [[False, False, True, True], [False, False, False, True]]


def test_literal_reading_removes_almost_everything() -> None:
    # psi = 11 * 0.93 = 10.2 exceeds every importance; only the floor is left
    assert kept("literal", 0.93) == [[False, False, False, True], [False, False, False, True]]


@pytest.mark.parametrize("hidden", [(128, 128), (64,), (50, 30, 20)])
@pytest.mark.parametrize("sparsity", [0.5, 0.8, 0.93, 0.95])
def test_the_quantile_reading_reaches_the_sparsity_exactly(
    hidden: tuple[int, ...], sparsity: float
) -> None:
    config = TrainConfig("CartPole-v1", hidden=hidden, sparsity=sparsity, steps=100_000)
    rng = np.random.default_rng(0)
    network = Network.initialise(
        Layout((4, *hidden, 2), biases=True), "tanh", rng, hidden_gain=1.0, output_gain=0.01
    )
    optimiser = Adam(network.layout.length)
    pruner = Pruner(method_named("dsp"), config, network, sparsity)
    for iteration in range(config.iterations):
        pruner.step(iteration, network, optimiser, np.zeros((3, 4), np.float32))
        network.parameters += rng.normal(size=network.parameters.size).astype(np.float32)
        assert sum(network.hidden) >= sum(hidden) - round(sparsity * sum(hidden))
    assert sum(network.hidden) == sum(hidden) - round(sparsity * sum(hidden))
    assert optimiser.first.shape == network.parameters.shape


def test_ninety_three_percent_of_two_layers_of_128_leaves_18_units() -> None:
    config = TrainConfig("CartPole-v1", steps=50_000)
    network = Network.initialise(
        Layout((4, 128, 128, 2), biases=True),
        "tanh",
        np.random.default_rng(0),
        hidden_gain=1.0,
        output_gain=0.01,
    )
    pruner = Pruner(method_named("dsp"), config, network, config.sparsity)
    optimiser = Adam(network.layout.length)
    for iteration in range(config.iterations):
        pruner.step(iteration, network, optimiser, np.zeros((1, 4), np.float32))
    assert sum(network.hidden) == 18
    assert pruner.sparsity == pytest.approx(1 - 18 / 256)


def test_shrinking_keeps_the_function_of_the_masked_network() -> None:
    rng = np.random.default_rng(2)
    network = Network.initialise(
        Layout((4, 9, 8, 3), biases=True, extra=3), "tanh", rng, hidden_gain=1.0, output_gain=1.0
    )
    network.parameters += rng.normal(scale=0.3, size=network.parameters.size).astype(np.float32)
    weights = [w.astype(np.float64).copy() for w in network.weights]
    biases = [b.astype(np.float64).copy() for b in network.biases if b is not None]
    keep = [rng.random(9) < 0.5, rng.random(8) < 0.5]
    x = rng.normal(size=(6, 4)).astype(np.float32)
    h = np.tanh(x @ weights[0].T + biases[0]) * keep[0]
    h = np.tanh(h @ weights[1].T + biases[1]) * keep[1]
    expected = h @ weights[2].T + biases[2]
    extra = network.extra.copy()
    moments = Adam(network.layout.length)
    moments.first[:] = network.parameters  # so that the moments' own shrinking can be seen
    moments.shrink(network.shrink(keep))
    np.testing.assert_allclose(network.forward(x), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(network.extra, extra)
    np.testing.assert_array_equal(moments.first, network.parameters)


def test_folding_means_keeps_the_mean_input_of_the_next_layer() -> None:
    rng = np.random.default_rng(4)
    config = TrainConfig("CartPole-v1", hidden=(12,), sparsity=0.5, steps=10_000)
    network = Network.initialise(
        Layout((4, 12, 2), biases=True), "relu", rng, hidden_gain=1.0, output_gain=1.0
    )
    x = rng.normal(size=(200, 4)).astype(np.float32)
    before = network.forward(x).mean(axis=0).copy()
    pruner = Pruner(method_named("dsp"), config, network, 0.5)
    removed = sum(
        pruner.step(t, network, Adam(network.layout.length), x) for t in [pruner.schedule.last]
    )
    assert removed == 6
    np.testing.assert_allclose(network.forward(x).mean(axis=0), before, rtol=1e-4, atol=1e-5)


def test_floor_that_cannot_hold_is_refused() -> None:
    with pytest.raises(ImpossibleWidths, match="floor of 8 per layer"):
        TrainConfig("CartPole-v1", hidden=(32, 32), sparsity=0.93, floor=8)


def test_the_default_floor_is_half_of_an_equal_share() -> None:
    config = TrainConfig("CartPole-v1")
    assert config.layer_floor(0.93) == 4  # 18 units, 9 a layer
    assert config.layer_floor(0.992) == 1  # 2 units, 1 a layer
    assert TrainConfig("CartPole-v1", hidden=(128, 8), sparsity=0.5).layer_floor(0.5) == 17
    assert TrainConfig("CartPole-v1", floor=2).layer_floor(0.93) == 2


def test_unknown_method_names_the_nearest() -> None:
    with pytest.raises(UnknownMethod, match="did you mean dsp"):
        method_named("dps")
