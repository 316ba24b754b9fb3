"""From a rollout to what actor and critic learn from."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dspctl.trainer.ppo.gae import advantages
from dspctl.trainer.ppo.rollout import Rollout
from dspctl.trainer.ppo.update import ActorBatch, CriticBatch
from dspctl.trainer.runs.state import TrainState
from dspctl.trainer.settings.config import TrainConfig


class Batches(NamedTuple):
    """The valid transitions of one rollout, ready to learn from.

    Attributes:
        actor: for `update_actor`.
        critic: for `update_critic`.
        explained_variance: ``1 - Var(returns - values) / Var(returns)``, or None where the
            returns do not vary.
    """

    actor: ActorBatch
    critic: CriticBatch
    explained_variance: float | None


def batches_from_rollout(rollout: Rollout, state: TrainState, config: TrainConfig) -> Batches:
    """Value the states, scale the rewards, estimate advantages, drop what is no transition.

    Updates the running statistics in *state*; copies everything it returns, so that the next
    rollout may overwrite this one while the critic still learns.
    """
    state.observations.update(rollout.raw[:-1][rollout.valid])
    values = _values(rollout, state)
    rewards = rollout.rewards
    if config.normalize_rewards:
        rewards = state.scaler(rewards, rollout.done)
    advantage = advantages(
        rewards,
        values,
        rollout.terminated,
        rollout.done,
        gamma=config.gamma,
        gae_lambda=config.gae_lambda,
    )[rollout.valid]
    old_values = values[:-1][rollout.valid]
    returns = advantage + old_values
    observations = rollout.observations[:-1][rollout.valid]
    actions = rollout.actions[rollout.valid]
    log_prob = state.head.log_prob(
        rollout.outputs[rollout.valid], state.actor.network.extra, actions
    )
    return Batches(
        ActorBatch(observations, actions, log_prob, advantage),
        CriticBatch(observations, returns),
        _explained_variance(old_values, returns),
    )


def _values(rollout: Rollout, state: TrainState) -> NDArray[np.float32]:
    """V of every observation, float32 [T + 1, N]."""
    observations = rollout.observations
    flat = observations.reshape(-1, observations.shape[-1])
    return state.critic.network.forward(flat).reshape(observations.shape[:2]).copy()


def _explained_variance(values: NDArray[np.float32], returns: NDArray[np.float32]) -> float | None:
    variance = float(returns.var())
    return None if variance == 0 else 1 - float((returns - values).var()) / variance
