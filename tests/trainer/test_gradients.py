"""The fused gradients and the optimiser against torch."""

import numpy as np
import pytest
import torch

from dspctl.trainer import TrainConfig
from dspctl.trainer.ppo.adam import Adam
from dspctl.trainer.ppo.autograd import AutogradGradients
from dspctl.trainer.ppo.heads import Categorical, Gaussian, Head
from dspctl.trainer.ppo.network import Layout, Network
from dspctl.trainer.ppo.update import ActorBatch, CriticBatch, FusedGradients
from dspctl.trainer.pruning.regularizers import OmegaRegularizer

ROWS, INPUTS, OUTPUTS = 37, 5, 3
CONFIG = TrainConfig("CartPole-v1", penalty=1e-2, entropy=0.03, clip_range=0.2)


def network(activation: str, *, biases: bool, extra: int = 0, outputs: int = OUTPUTS) -> Network:
    rng = np.random.default_rng(3)
    result = Network.initialise(
        Layout((INPUTS, 11, 7, outputs), biases=biases, extra=extra),
        activation,
        rng,
        hidden_gain=1.3,
        output_gain=1.0,
        extra=-0.3,
    )
    result.parameters += rng.normal(scale=0.1, size=result.parameters.size).astype(np.float32)
    return result


DISTILLATION = 1.7


def actor_batch(head: Head, actor: Network) -> ActorBatch:
    rng = np.random.default_rng(4)
    observations = rng.normal(size=(ROWS, INPUTS)).astype(np.float32)
    outputs = actor.forward(observations).copy()
    noise = head.noise(1, ROWS, rng)[0]
    actions = head.sample(outputs, actor.extra, noise)
    # Old log-probabilities of a policy a little off, so that some ratios are clipped on each side.
    old = head.log_prob(outputs, actor.extra, actions)
    old = old + rng.normal(scale=0.3, size=ROWS).astype(np.float32)
    targets = rng.dirichlet(np.ones(OUTPUTS), ROWS).astype(np.float32)
    return ActorBatch(observations, actions, old, rng.normal(size=ROWS).astype(np.float32), targets)


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("discrete", [True, False])
def test_actor_gradient_equals_autograd(discrete: bool, activation: str, biases: bool) -> None:
    bound = np.full(OUTPUTS, 0.5, np.float32)
    head: Head = Categorical(OUTPUTS) if discrete else Gaussian(-bound, bound)
    actor = network(activation, biases=biases, extra=0 if discrete else OUTPUTS)
    batch = actor_batch(head, actor)
    regularizer = OmegaRegularizer()

    expected = AutogradGradients().actor(actor, head, batch, CONFIG, regularizer, DISTILLATION)
    reference = actor.gradients.copy()
    actor.gradients[:] = np.nan
    fused = FusedGradients().actor(actor, head, batch, CONFIG, regularizer, DISTILLATION)

    assert 0.05 < expected.surrogate.clip_fraction < 0.95, "the batch must exercise the clipping"
    assert np.abs(reference).max() > 1e-2
    np.testing.assert_allclose(actor.gradients, reference, rtol=2e-4, atol=2e-6)
    np.testing.assert_allclose(fused.surrogate, expected.surrogate, rtol=1e-4, atol=1e-6)
    assert fused.penalty == pytest.approx(expected.penalty, rel=1e-4)
    assert fused.distillation == pytest.approx(expected.distillation, rel=1e-4)
    assert expected.penalty > 0
    assert expected.distillation > 0.1


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_critic_gradient_equals_autograd(activation: str) -> None:
    critic = network(activation, biases=True, outputs=1)
    rng = np.random.default_rng(5)
    batch = CriticBatch(
        rng.normal(size=(ROWS, INPUTS)).astype(np.float32),
        rng.normal(size=ROWS).astype(np.float32),
    )
    expected = AutogradGradients().critic(critic, batch)
    reference = critic.gradients.copy()
    loss = FusedGradients().critic(critic, batch)
    np.testing.assert_allclose(critic.gradients, reference, rtol=2e-4, atol=2e-6)
    assert loss == pytest.approx(expected, rel=1e-5)


def test_network_without_hidden_layers() -> None:
    critic = Network.initialise(
        Layout((INPUTS, 1), biases=True),
        "tanh",
        np.random.default_rng(0),
        hidden_gain=1.0,
        output_gain=1.0,
    )
    x = np.random.default_rng(1).normal(size=(ROWS, INPUTS)).astype(np.float32)
    target = np.ones(ROWS, np.float32)
    FusedGradients().critic(critic, CriticBatch(x, target))
    # d/dw of the mean of half squared errors of a linear map: X' (X w + b - y) / n
    error = x @ critic.weights[0][0] - target
    np.testing.assert_allclose(critic.gradients[:INPUTS], x.T @ error / ROWS, rtol=1e-4, atol=1e-6)
    assert critic.gradients[INPUTS] == pytest.approx(error.mean(), rel=1e-4)


def test_adam_equals_torch() -> None:
    rng = np.random.default_rng(6)
    parameters = rng.normal(size=50).astype(np.float32)
    reference = torch.tensor(parameters.copy(), requires_grad=True)
    peer = torch.optim.Adam([reference], lr=0.01, eps=1e-5)
    optimiser = Adam(50)
    for step in range(25):
        gradient = rng.normal(scale=0.02 if step % 2 else 2.0, size=50).astype(np.float32)
        reference.grad = torch.tensor(gradient.copy())
        norm = torch.nn.utils.clip_grad_norm_([reference], 0.5)
        peer.step()
        ours = optimiser.step(parameters, gradient, learning_rate=0.01, max_norm=0.5)
        assert ours == pytest.approx(float(norm), rel=1e-5)
    np.testing.assert_allclose(parameters, reference.detach().numpy(), rtol=1e-4, atol=1e-6)


def test_gumbel_noise_samples_the_softmax() -> None:
    head = Categorical(3)
    logits = np.log(np.array([0.6, 0.3, 0.1], np.float32))
    noise = head.noise(1, 200_000, np.random.default_rng(7))[0]
    actions = head.sample(np.tile(logits, (200_000, 1)), np.zeros(0, np.float32), noise)
    shares = np.bincount(actions, minlength=3) / 200_000
    np.testing.assert_allclose(shares, [0.6, 0.3, 0.1], atol=0.005)


def test_orthogonal_initialisation() -> None:
    wide = network("tanh", biases=True)
    fresh = Network.initialise(
        Layout((4, 16, 2), biases=True),
        "tanh",
        np.random.default_rng(0),
        hidden_gain=2.0,
        output_gain=0.5,
    )
    assert wide.hidden == (11, 7)
    np.testing.assert_allclose(fresh.weights[0].T @ fresh.weights[0], 4 * np.eye(4), atol=1e-5)
    np.testing.assert_allclose(fresh.weights[1] @ fresh.weights[1].T, 0.25 * np.eye(2), atol=1e-5)
