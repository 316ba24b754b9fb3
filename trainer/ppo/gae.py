"""Generalised advantage estimation (Schulman 2016), correct at episode ends."""

import numpy as np
from numpy.typing import NDArray


def advantages(
    rewards: NDArray[np.float32],
    values: NDArray[np.float32],
    terminated: NDArray[np.bool_],
    done: NDArray[np.bool_],
    *,
    gamma: float,
    gae_lambda: float,
) -> NDArray[np.float32]:
    """Advantages of one rollout.

    ``delta_t = r_t + gamma V(s_{t+1}) (1 - terminated_t) - V(s_t)`` and
    ``A_t = delta_t + gamma lambda (1 - done_t) A_{t+1}``: a truncated episode bootstraps from the
    value of its true last observation, a terminated one does not, and nothing flows across either.

    Args:
        rewards: float32 [steps, num_envs].
        values: float32 [steps + 1, num_envs], V of the observation before each step and of the
            one after the last.
        terminated: bool [steps, num_envs].
        done: bool [steps, num_envs], terminated or truncated.
        gamma: discount per step.
        gae_lambda: 0 is one-step TD, 1 is Monte Carlo.

    Returns:
        float32 [steps, num_envs]; entries of the resetting step after an episode are meaningless
        and must be masked by the caller.
    """
    delta = rewards + np.float32(gamma) * values[1:] * ~terminated - values[:-1]
    carry = np.float32(gamma * gae_lambda) * ~done
    result = np.empty_like(delta)
    following = np.zeros_like(delta[0])
    for t in range(len(delta) - 1, -1, -1):
        following = delta[t] + carry[t] * following
        result[t] = following
    return result
