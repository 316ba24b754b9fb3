"""A run that was stopped and gone on with is the run that was never stopped."""

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dspctl.errors import ConfigProblem
from dspctl.trainer import METHODS, TrainConfig, load_run, train
from dspctl.trainer.environments import describe
from dspctl.trainer.environments.older import envpool_has
from dspctl.trainer.environments.vector import make_vector
from dspctl.trainer.runs.checkpoint import RunFolder
from dspctl.trainer.runs.resuming import ADJUSTABLE
from dspctl.trainer.runs.state import TrainState
from dspctl.trainer.training import _environment_seed
from tests.trainer.outcomes import assert_same
from tests.trainer.tiny import tiny


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tiny(method="ppo"), tmp_path_factory.mktemp("teacher") / "run").run


def short(method: str, teacher: Path, **overrides: Any) -> TrainConfig:
    """Eight iterations with trials; pops has ten stages of two."""
    settings: dict[str, Any] = {"steps": 4_096, "environments": 4, "trials": 3}
    if METHODS[method].teacher:
        settings["teacher"] = str(teacher)
    if method == "pops":
        settings |= {"rollout_steps": 64, "steps": 10 * 2 * 4 * 64, "objective": 0.3}
    return tiny(method=method, **{**settings, **overrides})


def after(calls: int) -> Callable[[], bool]:
    """Asks to stop at this call."""
    counter = itertools.count(1)
    return lambda: next(counter) == calls


def in_pieces(config: TrainConfig, run: Path, *pieces: int) -> None:
    """Train with a stop after each number of iterations, to the end."""
    for number, calls in enumerate(pieces):
        done = train(config, run, resume=number > 0, should_stop=after(calls))
        assert not done.finished
    assert train(config, run, resume=True).finished


@pytest.mark.parametrize("method", METHODS)
def test_a_resumed_run_is_the_uninterrupted_one(tmp_path: Path, teacher: Path, method: str) -> None:
    config = short(method, teacher)
    whole = train(config, tmp_path / "whole").run
    # With checkpoints in between too: they must not leave a trace.
    config = short(method, teacher, checkpoint_seconds=0.0)
    # Its first three stages are of two iterations each, and here the last of them.
    in_pieces(config, tmp_path / "pieces", *((1, 2) if method == "pops" else (1, 3, 2)))
    assert_same(tmp_path / "pieces", whole)
    resumptions = load_run(tmp_path / "pieces").info.get("resumptions", [])
    assert all(one["environments"] == "restored" for one in resumptions)
    assert all("differs" not in one for one in resumptions)


@pytest.mark.parametrize(
    ("environment", "overrides"),
    [
        ("Pendulum-v1", {}),
        ("Acrobot-v1", {"method": "ppo"}),
        ("MountainCar-v0", {"method": "ppo"}),
        ("MountainCarContinuous-v0", {"method": "ppo"}),
        ("CartPole-v1", {"normalize_observations": True, "normalize_rewards": True, "threads": 1}),
        ("CartPole-v1", {"critic_sparsity": 0.5, "update": "autograd"}),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, from the autograd kernel
def test_every_restorable_environment(
    tmp_path: Path, environment: str, overrides: dict[str, Any]
) -> None:
    # Long enough that episodes end (MountainCar's after 200 steps) before and after the stops.
    config = tiny(environment, **{"steps": 6_144, "trials": 2, **overrides})
    whole = train(config, tmp_path / "whole").run
    in_pieces(config, tmp_path / "pieces", 2, 2)
    assert_same(tmp_path / "pieces", whole)


@pytest.mark.parametrize("method", METHODS)
def test_resuming_twice_from_one_checkpoint_is_the_same(
    tmp_path: Path, teacher: Path, method: str
) -> None:
    """Where environments start anew too."""
    if not envpool_has("CartPole-v1"):
        pytest.skip("EnvPool is not installed")
    config = short(method, teacher, vector_backend="envpool")
    train(config, tmp_path / "one", should_stop=after(3))
    shutil.copytree(tmp_path / "one", tmp_path / "other")
    for name in ("one", "other"):
        assert train(config, tmp_path / name, resume=True).finished
    assert_same(tmp_path / "one", tmp_path / "other")


def test_environments_that_start_anew_play_other_episodes() -> None:
    task = describe("LunarLander-v3")
    state = TrainState.initial(tiny(), task)
    assert _environment_seed(state) == state.environment_seed
    seen = set[bytes]()
    for iteration in range(4):
        state.iteration = iteration
        vector = make_vector(task, count=8, seed=_environment_seed(state), backend="gymnasium")
        seen |= {first.tobytes() for first in vector.reset()}
        vector.close()
    assert len(seen) == 4 * 8


def test_environments_that_start_anew_are_noted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if not envpool_has("CartPole-v1"):
        pytest.skip("EnvPool is not installed")
    config = tiny(vector_backend="envpool", steps=4_096)
    train(config, tmp_path / "run", should_stop=after(2))
    assert "anew" not in caplog.text
    train(config, tmp_path / "run", resume=True)
    assert f"the environments of {tmp_path / 'run'} cannot be restored" in caplog.text
    (entry,) = load_run(tmp_path / "run").info["resumptions"]
    assert entry == {"steps": 2_048, "environments": "anew"}


def test_checkpoints_of_earlier_versions_are_gone_on_with(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from safetensors.numpy import save_file

    from dspctl.trainer.environments import describe
    from dspctl.trainer.runs.state_parts import pack

    config = tiny(normalize_observations=True, checkpoint_seconds=0.0)
    run = train(config, tmp_path / "run", should_stop=after(3)).run
    state = RunFolder.reopen(run, {}).load_state(describe("CartPole-v1"))
    state.carry = None
    tensors, meta = pack(state)
    (run / "checkpoint.before.safetensors").unlink()
    contiguous = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    text = json.dumps({"schema": 1, **meta})
    save_file(contiguous, run / "checkpoint.safetensors", {"dspctl.state": text})
    done = train(config, run, resume=True)
    assert done.finished
    assert "start anew at step 3072" in caplog.text
    assert [row["iteration"] for row in load_run(run).metrics()] == list(range(1, 9))


def test_a_run_resumed_at_its_very_end_delivers_its_policy(tmp_path: Path) -> None:
    """A kill between the last checkpoint of the loop and the delivery leaves this."""
    config = tiny(normalize_observations=True, trials=2)
    whole = train(config, tmp_path / "whole").run
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    for name in ("policy.safetensors", "observations.safetensors"):
        (run / name).unlink()
    info = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**info, "status": "running"}))
    assert train(config, run, resume=True).finished
    assert_same(run, whole)


def test_some_settings_may_change_on_the_way(tmp_path: Path) -> None:
    run = train(tiny(), tmp_path / "run", should_stop=after(3)).run
    shutil.copytree(run, tmp_path / "copy")
    train(tiny(), run, resume=True)
    train(tiny(), tmp_path / "copy", resume=True, changes={"learning_rate": 1e-5})
    slow = load_run(tmp_path / "copy")
    assert slow.config.learning_rate == 1e-5
    assert [row["learning_rate"] > 1e-5 for row in slow.metrics()] == [True] * 3 + [False] * 5
    (entry,) = slow.info["resumptions"]
    assert entry["settings"] == {"learning_rate": [tiny().learning_rate, 1e-5]}
    assert entry["steps"] == 3_072
    one, other = (load_run(each).policy().layers[0].weight for each in (run, slow.path))
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("changes", [{"hidden": (8, 8)}, {"seed": 3}, {"steps": 9_000}])
def test_what_a_checkpoint_depends_on_may_not_change(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    run = train(tiny(), tmp_path / "run", should_stop=after(1)).run
    before = (run / "config.json").read_bytes()
    (name,) = changes
    with pytest.raises(ConfigProblem, match=f"its own {name}: .*--like"):
        train(tiny(), run, resume=True, changes=changes)
    with pytest.raises(ConfigProblem, match="learning_rate must be positive"):
        train(tiny(), run, resume=True, changes={"learning_rate": -1.0})
    assert (run / "config.json").read_bytes() == before


def test_stages_keep_their_settings(tmp_path: Path, teacher: Path) -> None:
    config = short("pops", teacher)
    run = train(config, tmp_path / "run", should_stop=after(1)).run
    with pytest.raises(ConfigProblem, match="--like"):
        train(config, run, resume=True, changes={"learning_rate": 1e-4})
    assert set(ADJUSTABLE) <= set(config.to_json())
