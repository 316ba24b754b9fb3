"""Settings that are known to work, per environment; anything else gets the default of its kind.

Returns that each recipe reached are in ``docs/recipes.md``.
"""

from typing import Any

from dspctl.trainer.environments import describe
from dspctl.trainer.pruning import method_named
from dspctl.trainer.settings.config import TrainConfig

_DISCRETE: dict[str, Any] = {
    "steps": 500_000,
    "environments": 16,
    "rollout_steps": 128,
    "epochs": 6,
    "entropy": 0.01,
}
_CONTINUOUS: dict[str, Any] = {
    "steps": 1_000_000,
    "environments": 16,
    "rollout_steps": 256,
    "epochs": 10,
}
_LANDER: dict[str, Any] = {
    "steps": 1_000_000,
    "environments": 16,
    "rollout_steps": 256,
    "epochs": 4,
    "gamma": 0.999,
    "gae_lambda": 0.98,
    "entropy": 0.01,
    "target_kl": 0.0,
}

RECIPES: dict[str, dict[str, Any]] = {
    "CartPole-v1": {
        "steps": 200_000,
        "environments": 8,
        "rollout_steps": 128,
        "epochs": 10,
        "normalize_observations": False,
        "normalize_rewards": False,
        "target_kl": 0.0,
    },
    "LunarLander-v3": _LANDER,
    "LunarLanderContinuous-v3": {**_LANDER, "entropy": 0.0, "epochs": 10, "target_kl": 0.02},
    "Hopper-v5": {**_CONTINUOUS, "learning_rate": 5e-4},
    "Walker2d-v5": {**_CONTINUOUS, "steps": 2_000_000},
}

# Versions that older papers report learn with the same settings.
_SAME_AS = {
    "LunarLander-v2": "LunarLander-v3",
    "LunarLanderContinuous-v2": "LunarLanderContinuous-v3",
    **{f"{name}-v{n}": f"{name}-v5" for name in ("Hopper", "Walker2d") for n in (3, 4)},
}

# A student knows the task from its teacher, and needs less exploration.
_STUDENT: dict[str, Any] = {"learning_rate_schedule": "hold-linear", "initial_log_std": -1.0}
_STEPS = {"dsp-kd": 0.55}
"""Share of an unpruned policy's steps that a method takes, where it is not all of them."""

_CONTINUOUS_STEPS = {"pops": 3.0}
"""The same where actions are continuous. PoPS divides its steps among ten stages, of which it does
two to four; a tenth of an unpruned run is too short for one of them there."""

_STEPS_OF = {"kd-small": "dsp-kd"}
"""A control has the steps of what it is compared with."""

# It starts from nothing: imitation is quick, and what is left out of a small network by it has to
# come from rewards.
_DISTILLED: dict[str, Any] = {**_STUDENT, "learning_rate_hold": 0.3, "imitation_end": 0.25}

# What a method changes in every recipe. The rate is held while units leave, so that what is left
# can still adapt, and falls to 0 over the recovery.
_HELD: dict[str, Any] = {"learning_rate_schedule": "hold-linear", "learning_rate_hold": 0.5}
_METHOD_SETTINGS: dict[str, dict[str, Any]] = {
    "dsp": _HELD,
    "ssl": {**_HELD, "penalty": 1e-4},
    "sgs": {**_HELD, "penalty": 1e-4},
    "l1": {**_HELD, "penalty": 1e-5},
    "dropout": _HELD,
    # It starts as its teacher, which leaves most of the steps for what pruning breaks.
    "dsp-kd": {**_STUDENT, "learning_rate_hold": 0.35, "prune_start": 0.02, "prune_end": 0.35},
    "kd": _DISTILLED,
    "kd-small": _DISTILLED,
    "pops": {"initial_log_std": -1.0},
}


# Where one task asks for something else of a method.
_TASK_SETTINGS: dict[tuple[str, str], dict[str, Any]] = {
    # Rewards need longer here to make up for what pruning took.
    ("Walker2d-v5", "dsp-kd"): {
        "steps": 1_200_000,
        "prune_end": 0.2,
        "imitation_end": 0.3,
        "learning_rate_hold": 0.5,
    },
    # More steps earn nothing here, and trials and imitation take what these leave of 0.7 of an
    # unpruned run's time.
    ("LunarLander-v3", "dsp-kd"): {"steps": 450_000},
}


def recipe(environment: str, **overrides: Any) -> TrainConfig:
    """The settings for *environment*, with *overrides* on top; an override of None is ignored.

    Raises:
        UnknownEnvironment, UnsupportedSpace, EnvironmentProblem: see `describe`.
        UnknownMethod: no such pruning method.
        ConfigProblem: a setting is out of range, or the combination cannot work.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    method = given.get("method", TrainConfig.method)
    method_named(method)
    task = describe(environment)
    known = _SAME_AS.get(environment, environment)
    base = RECIPES.get(known, _DISCRETE if task.discrete else _CONTINUOUS)
    special = _TASK_SETTINGS.get((known, method), {})
    steps = _steps(known, _STEPS_OF.get(method, method), base["steps"], discrete=task.discrete)
    settings = {**base, **_METHOD_SETTINGS.get(method, {}), **special, "steps": steps, **given}
    return TrainConfig.from_json({"environment": environment, **settings})


def _steps(known: str, method: str, unpruned: int, *, discrete: bool) -> int:
    """Environment steps of *method*: those of the task, else its share of *unpruned*."""
    shares = _STEPS if discrete else {**_STEPS, **_CONTINUOUS_STEPS}
    own = _TASK_SETTINGS.get((known, method), {})
    return int(own.get("steps", round(shares.get(method, 1.0) * unpruned)))
