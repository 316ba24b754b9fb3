"""GAE against closed forms and a plain double sum, none of which share its code."""

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from dspctl.trainer.ppo.gae import advantages

GAMMA, LAMBDA = 0.97, 0.9


def estimate(
    rewards: ArrayLike,
    values: ArrayLike,
    terminated: ArrayLike,
    done: ArrayLike,
    gae_lambda: float = LAMBDA,
) -> NDArray[np.float32]:
    return advantages(
        np.asarray(rewards, np.float32)[:, None],
        np.asarray(values, np.float32)[:, None],
        np.asarray(terminated, bool)[:, None],
        np.asarray(done, bool)[:, None],
        gamma=GAMMA,
        gae_lambda=gae_lambda,
    )[:, 0]


def test_constant_reward_and_value_is_a_geometric_series() -> None:
    # With r and V constant every delta is r + (gamma - 1) V, so A_t is a geometric series.
    steps, reward, value = 40, 0.5, 3.0
    result = estimate([reward] * steps, [value] * (steps + 1), [False] * steps, [False] * steps)
    delta = reward + (GAMMA - 1) * value
    left = np.arange(steps, 0, -1)
    expected = delta * (1 - (GAMMA * LAMBDA) ** left) / (1 - GAMMA * LAMBDA)
    np.testing.assert_allclose(result, expected, rtol=1e-5)


def test_lambda_one_is_the_discounted_return_minus_the_value() -> None:
    rng = np.random.default_rng(0)
    steps = 12
    rewards, values = rng.normal(size=steps), rng.normal(size=steps + 1)
    terminated = np.zeros(steps, bool)
    terminated[-1] = True  # a Monte Carlo return needs an end
    result = estimate(rewards, values, terminated, terminated, gae_lambda=1.0)
    discounts = GAMMA ** np.arange(steps)
    expected = [float(rewards[t:] @ discounts[: steps - t]) - values[t] for t in range(steps)]
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


def test_lambda_zero_is_the_one_step_error() -> None:
    rewards, values = [1.0, 2.0], [0.5, 0.25, -1.0]
    result = estimate(rewards, values, [False, False], [False, False], gae_lambda=0.0)
    np.testing.assert_allclose(
        result, [1.0 + GAMMA * 0.25 - 0.5, 2.0 + GAMMA * -1.0 - 0.25], rtol=1e-6
    )


@pytest.mark.parametrize(
    ("terminated", "expected"),
    [
        (True, 1.0 - 0.5),  # nothing follows
        (False, 1.0 + GAMMA * 7.0 - 0.5),  # truncated: the true last observation's value
    ],
)
def test_the_end_of_an_episode(terminated: bool, expected: float) -> None:
    # Step 0 ends the episode, step 1 is the reset, step 2 belongs to the next episode.
    result = estimate(
        [1.0, 0.0, 100.0],
        [0.5, 7.0, 40.0, 50.0],
        [terminated, False, False],
        [True, False, False],
    )
    assert result[0] == pytest.approx(expected, rel=1e-6)


def test_against_the_double_sum_over_many_environments() -> None:
    rng = np.random.default_rng(1)
    steps, count = 50, 7
    rewards = rng.normal(size=(steps, count))
    values = rng.normal(size=(steps + 1, count))
    terminated = rng.random((steps, count)) < 0.1
    done = terminated | (rng.random((steps, count)) < 0.1)
    result = advantages(
        rewards.astype(np.float32),
        values.astype(np.float32),
        terminated,
        done,
        gamma=GAMMA,
        gae_lambda=LAMBDA,
    )
    expected = np.zeros((steps, count))
    for env in range(count):
        for start in range(steps):
            total, weight = 0.0, 1.0
            for t in range(start, steps):
                following = 0.0 if terminated[t, env] else values[t + 1, env]
                total += weight * (rewards[t, env] + GAMMA * following - values[t, env])
                if done[t, env]:
                    break
                weight *= GAMMA * LAMBDA
            expected[start, env] = total
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)
