"""One environment as a control loop sees it: something to observe and something to act on."""

from typing import Any

from dspctl.errors import ConfigProblem
from dspctl.runtime import Policy
from dspctl.trainer.environments import describe, make
from dspctl.trainer.environments.inside import clip_into


class Episodes:
    """Episodes of an environment, one after the other, behind ``observe`` and ``apply``.

    An environment that raised is reset before it is observed again: what state it is in nobody
    knows, and the episode is not counted.

    Args:
        environment: gymnasium id.
        policy: what will act.
        seed: of the first episode; the others follow one by one.

    Attributes:
        finished: episodes that ended by themselves.
        last_return: undiscounted return of the newest of them; 0 before.
        mean_return: of all of them; 0 before.

    Raises:
        ConfigProblem: the policy's observations or actions are not the environment's.
        UnknownEnvironment, UnsupportedSpace, EnvironmentProblem: see `describe`.
    """

    def __init__(self, environment: str, policy: Policy, seed: int) -> None:
        task = describe(environment)
        wanted = (policy.observation.size, policy.action.discrete, policy.layers[-1].width)
        if (task.observation.size, task.discrete, task.outputs) != wanted:
            raise ConfigProblem(
                f"{environment} observes {task.observation.size} features and takes "
                f"{task.outputs} {'choices' if task.discrete else 'numbers'}, which this policy "
                f"for {policy.environment} does not: give another --env"
            )
        self._environment = make(environment, disable_env_checker=True)
        self._clip = clip_into(self._environment)
        self._seed, self._sum = seed, 0.0
        self._observation: Any = None
        self.finished = 0
        self.last_return = self.mean_return = 0.0
        self._reset()

    def observe(self) -> Any:
        """The raw observation, [obs_dim]; raises what the environment raises."""
        if self._observation is None:
            self._reset()
        return self._observation

    def apply(self, action: Any) -> None:
        """Make one step; a new episode begins where one ends. Raises as the environment does."""
        if self._observation is None:
            self._reset()
        self._observation = None  # until the environment has given the next one
        following, reward, terminated, truncated, _ = self._environment.step(self._clip(action))
        self._sum += float(reward)
        if not (terminated or truncated):
            self._observation = following
            return
        self.finished += 1
        self.last_return = self._sum
        self.mean_return += (self._sum - self.mean_return) / self.finished
        self._reset()

    def close(self) -> None:
        """Free what the environment holds."""
        self._environment.close()

    def __enter__(self) -> "Episodes":
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def _reset(self) -> None:
        self._sum = 0.0
        self._observation, _ = self._environment.reset(seed=self._seed)
        self._seed += 1
