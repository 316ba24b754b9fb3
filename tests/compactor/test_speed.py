"""A full-size network with as many observations as the command line passes."""

import time

import numpy as np

from dspctl.compactor import compact
from tests.compactor.strategies import dense, normalizer_of, policy_of


def test_two_layers_of_256_and_10000_observations_take_seconds() -> None:
    rng = np.random.default_rng(5)
    half = rng.random((2, 256)) < 0.5
    policy = policy_of(
        dense(rng.normal(size=(256, 17)) / 4, rng.normal(size=256), "tanh", half[0]),
        dense(rng.normal(size=(256, 256)) / 16, rng.normal(size=256), "tanh", half[1]),
        dense(rng.normal(size=(6, 256)) / 16, rng.normal(size=6)),
        normalizer=normalizer_of([0.0] * 17, [1.0] * 17, 10.0),
        discrete=False,
    )
    observations = rng.normal(size=(10_000, 17)) * 3
    start_s = time.perf_counter()
    result = compact(policy, observations=observations)
    assert time.perf_counter() - start_s < 30
    assert result.after.units == tuple(half.sum(axis=1))
    assert result.proof.recorded == 10_000
    # What rounding explains here is far below any use: a loose bound would prove nothing.
    assert result.proof.max_error < result.proof.tolerance < 1e-9
