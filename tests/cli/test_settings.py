import dataclasses
import inspect
import json
import re
from pathlib import Path

import pytest

from dspctl.cli.settings import PANELS
from dspctl.trainer.settings import config as config_module
from dspctl.trainer.settings.config import TrainConfig
from tests.cli.conftest import Call

FIELDS = [field.name for field in dataclasses.fields(TrainConfig)]
# A value other than the recipe's for every setting that a flag can change.
OTHER = {
    "seed": 3,
    "steps": 2048,
    "method": "ppo",
    "environments": 4,
    "rollout_steps": 64,
    "vector_backend": "gymnasium",
    "threads": 1,
    "normalize_observations": True,
    "normalize_rewards": True,
    "minibatch": 32,
    "epochs": 2,
    "learning_rate": 5e-4,
    "learning_rate_schedule": "constant",
    "learning_rate_hold": 0.25,
    "gamma": 0.9,
    "gae_lambda": 0.5,
    "clip_range": 0.3,
    "entropy": 0.02,
    "target_kl": 0.05,
    "gradient_norm": 0.7,
    "normalize_advantages": False,
    "hidden": [12, 8],
    "actor_hidden": [6, 4],
    "activation": "relu",
    "biases": False,
    "initial_log_std": -0.5,
    "hidden_gain": 1.25,
    "update": "autograd",
    "sparsity": 0.5,
    "critic_sparsity": 0.25,
    "penalty": 1e-3,
    "threshold": "mass",
    "ranking": "per-layer",
    "initial_sparsity": 0.1,
    "prune_start": 0.2,
    "prune_end": 0.7,
    "prune_every": 2,
    "floor": 2,
    "fold_means": False,
    "distillation": 1.5,
    "imitation_end": 0.3,
    "distillation_end": 0.6,
    "memory": 5000,
    "imitation_rate": 0.05,
    "objective": 0.9,
    "trials": 2,
    "checkpoint_seconds": 5.0,
}


def flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def text(value: object) -> str:
    if isinstance(value, list):
        return "-".join(map(str, value))
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def test_panels_follow_the_sections_of_the_config() -> None:
    source = inspect.getsource(config_module.TrainConfig)
    sections = re.findall(r"# --- (\w+)\n    (\w+):", source)
    assert {field: title.lower() for field, title in PANELS.items() if field != "environment"} == {
        field: title.lower() for title, field in sections
    }


def test_every_field_is_a_flag_with_its_sentence(call: Call) -> None:
    shown = " ".join(call("train", "--help").stdout.replace("│", " ").split())
    for name in FIELDS:
        if name != "environment":
            assert f" {flag(name)} " in shown
            first = config_module.field_help(name).rstrip(".").split()[0]
            assert first in shown


@pytest.mark.filterwarnings("ignore")  # torch's own, from the autograd kernel
def test_every_flag_reaches_the_run(call: Call, tmp_path: Path) -> None:
    assert set(OTHER) == set(FIELDS) - {"environment", "teacher", "start"}
    words = [word for name, value in OTHER.items() for word in (flag(name), text(value))]
    done = call("train", "CartPole-v1", "-o", tmp_path / "run", "--no-eval", *words)
    assert done.code == 0, done.stderr
    stored = json.loads((tmp_path / "run" / "config.json").read_text())["config"]
    assert stored == {"environment": "CartPole-v1", "teacher": "", "start": "", **OTHER}


def test_a_teacher_reaches_the_run(call: Call, tmp_path: Path, trained: Path) -> None:
    few = ("--steps", "2048", "--trials", "0", "--hidden", "32-32", "--sparsity", "0.5")
    words = ("train", "CartPole-v1", "--no-eval", *few, "--teacher", trained)
    done = call(*words, "--method", "kd", "-o", tmp_path / "run")
    assert done.code == 0, done.stderr
    assert json.loads((tmp_path / "run" / "run.json").read_text())["teacher"]["source"] == str(
        trained
    )
    refused = call(*words, "--method", "dsp", "-o", tmp_path / "other")
    assert refused.code == 2
    assert "dsp learns from no teacher" in refused.stderr
    assert "--method dsp-kd" in refused.stderr
    assert not (tmp_path / "other").exists()


def test_a_setting_that_is_not_given_is_the_recipes(trained: Path) -> None:
    stored = json.loads((trained / "config.json").read_text())["config"]
    assert stored["environments"] == 8  # CartPole's recipe, not TrainConfig's default
    assert stored["normalize_observations"] is False


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--hidden", "many"], "'many' is not a list of widths such as 128-128"),
        (["--biases", "maybe"], "'maybe' is neither yes nor no"),
    ],
)
def test_a_malformed_flag_is_explained(call: Call, words: list[str], sentence: str) -> None:
    done = call("train", "CartPole-v1", *words)
    assert done.code == 2
    assert sentence in " ".join(done.stderr.replace("│", " ").split())


def test_an_actor_without_hidden_layers_can_be_named(call: Call, tmp_path: Path) -> None:
    words = ["--steps", "1024", "--method", "ppo", "--actor-hidden", "none", "--no-eval", "--json"]
    assert call("train", "CartPole-v1", "-o", tmp_path / "run", *words).json()["units"] == []
