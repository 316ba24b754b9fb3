"""Episodes that do not end."""

from dspctl.errors import EnvironmentProblem

MOST_STEPS = 1_000_000
"""Of one episode: a hundred times the longest that gymnasium's environments have, and hours of a
simulator. Without a limit a policy that survives would be played for ever, and no return come of
it."""


def check_end(environment: str, steps: int) -> None:
    """Look at an episode that goes on after *steps* steps.

    Raises:
        EnvironmentProblem: it went on for too long.
    """
    if steps >= MOST_STEPS:
        raise EnvironmentProblem(
            f"an episode of {environment} had not ended after {MOST_STEPS} steps, so it has no "
            "return: register the environment with max_episode_steps"
        )
