"""Every regulariser by hand and against autograd."""

from dataclasses import replace

import numpy as np
import pytest

from dspctl.compactor.groups import UnitGroups
from dspctl.trainer.ppo.autograd import AutogradGradients
from dspctl.trainer.ppo.heads import Categorical
from dspctl.trainer.ppo.update import FusedGradients
from dspctl.trainer.pruning import METHODS
from dspctl.trainer.pruning.regularizers import GroupLasso, L1Regularizer, Regularizer
from tests.trainer.test_gradients import CONFIG, OUTPUTS, actor_batch, network


def two_layers() -> tuple[list[UnitGroups], list[UnitGroups]]:
    """Groups of a 2-2-1-1 network, and gradients that are zero."""
    first = np.array([[3.0, 4.0], [0.0, 0.0]], np.float32)
    second = np.array([[5.0, -12.0]], np.float32)
    last = np.array([[-2.0]], np.float32)

    def groups(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> list[UnitGroups]:
        return [UnitGroups(a, None, b), UnitGroups(b, None, c)]

    zeros = [np.zeros_like(each) for each in (first, second, last)]
    return groups(first, second, last), groups(*zeros)


def test_group_lasso_by_hand() -> None:
    groups, gradients = two_layers()
    # norms 5, 0 and 13; each row is divided by its norm, a row of zeros gives 0
    assert GroupLasso().add_gradient(groups, gradients, 0.5) == pytest.approx(0.5 * 18)
    np.testing.assert_allclose(gradients[0].incoming, [[0.3, 0.4], [0.0, 0.0]])
    np.testing.assert_allclose(gradients[1].incoming, [[2.5 / 13, -6 / 13]], rtol=1e-6)
    np.testing.assert_array_equal(gradients[1].outgoing, 0)


def test_group_lasso_on_the_first_layer_alone() -> None:
    groups, gradients = two_layers()
    assert GroupLasso(first_only=True).add_gradient(groups, gradients, 0.5) == pytest.approx(2.5)
    np.testing.assert_allclose(gradients[0].incoming, [[0.3, 0.4], [0.0, 0.0]])
    np.testing.assert_array_equal(gradients[1].incoming, 0)


def test_l1_by_hand() -> None:
    groups, gradients = two_layers()
    # 3 + 4 + 5 + 12 + 2, every matrix once although two groups share the middle one
    assert L1Regularizer().add_gradient(groups, gradients, 0.5) == pytest.approx(0.5 * 26)
    np.testing.assert_array_equal(gradients[0].incoming, [[0.5, 0.5], [0.0, 0.0]])
    np.testing.assert_array_equal(gradients[1].incoming, [[0.5, -0.5]])
    np.testing.assert_array_equal(gradients[1].outgoing, [[-0.5]])


REGULARIZERS = {
    each.regularizer.name: each.regularizer for each in METHODS.values() if each.regularizer
}


@pytest.mark.parametrize("regularizer", REGULARIZERS.values(), ids=REGULARIZERS)
def test_every_regulariser_equals_autograd(regularizer: Regularizer) -> None:
    actor = network("tanh", biases=True)
    actor.weights[0][2] = 0  # where a norm and an absolute value have no derivative
    actor.weights[1][:, 3] = 0
    batch = actor_batch(Categorical(OUTPUTS), actor)
    config = replace(CONFIG, penalty=0.1)
    expected = AutogradGradients().actor(actor, Categorical(OUTPUTS), batch, config, regularizer)
    reference = actor.gradients.copy()
    fused = FusedGradients().actor(actor, Categorical(OUTPUTS), batch, config, regularizer)
    np.testing.assert_allclose(actor.gradients, reference, rtol=2e-4, atol=2e-6)
    assert fused.penalty == pytest.approx(expected.penalty, rel=1e-4)
    assert expected.penalty > 0.1

    FusedGradients().actor(actor, Categorical(OUTPUTS), batch, config, None)
    assert np.abs(actor.gradients - reference).max() > 1e-2, "the penalty must have shown"


def test_there_are_four() -> None:
    assert sorted(REGULARIZERS) == ["group-lasso", "group-lasso-first", "l1", "omega"]
