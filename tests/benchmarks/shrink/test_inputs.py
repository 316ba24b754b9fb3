"""Which inputs matter, by hand, and what is left of a policy without some."""

from dataclasses import replace

import numpy as np

from dspctl.benchmarks.shrink.inputs import ranked_inputs, without_inputs
from dspctl.runtime import Layer, Normalizer, Policy
from tests.benchmarks.shrink.teachers import balancing_policy

RNG = np.random.default_rng(0)


def policy(weight: list[list[float]]) -> Policy:
    """A linear one over features 0, 2 and 3 of CartPole."""
    layer = Layer(np.array(weight, np.float32), np.zeros(2, np.float32), "identity")
    return replace(balancing_policy(), layers=(layer,), inputs=np.array([0, 2, 3]))


def spread(*deviations: float) -> np.ndarray:
    """Observations whose features have these standard deviations, exactly."""
    return np.array([[sign * one for one in deviations] for sign in (-1, 1)], np.float32) + 7


def test_importance_is_energy_times_variance() -> None:
    # Energies 1 + 4 = 5, 9 and 1.
    found = policy([[1, 3, 0], [-2, 0, 1]])
    assert ranked_inputs(found, np.empty((0, 4), np.float32)) == (3, 0, 2)
    # Times 4, 1 and 25: 20, 9 and 25; the second feature is not read.
    assert ranked_inputs(found, spread(2, 100, 1, 5)) == (2, 0, 3)
    # Normalised by 2, 1 and 5 all are equally wide again.
    scale = np.array([1 / 2, 1, 1 / 5], np.float32)
    normalised = replace(found, normalizer=Normalizer(np.full(3, 7, np.float32), scale, 10.0))
    assert ranked_inputs(normalised, spread(2, 100, 1, 5)) == (3, 0, 2)
    # A clip makes a feature narrower: at 0.5 of one deviation, or of ten.
    normalised = replace(found, normalizer=Normalizer(np.full(3, 7, np.float32), scale, 0.5))
    assert ranked_inputs(normalised, spread(20, 1, 0.1, 5)) == (2, 3, 0)


def test_what_is_left_takes_the_others_for_their_mean() -> None:
    mean = RNG.normal(size=3).astype(np.float32)
    scale = RNG.uniform(0.5, 2, 3).astype(np.float32)
    whole = replace(policy([[1, 3, 0], [-2, 0, 1]]), normalizer=Normalizer(mean, scale, 10.0))
    less = without_inputs(whole, {2, 1})
    assert less.inputs.tolist() == [0, 3]
    assert less.counts.weights == 4
    raw = RNG.normal(size=(20, 4)).astype(np.float32)
    at_mean = raw.copy()
    at_mean[:, 2] = mean[1]
    np.testing.assert_allclose(less.outputs(raw), whole.outputs(at_mean), rtol=1e-5, atol=1e-6)
