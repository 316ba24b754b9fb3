"""Training that stops working ends with a name, the last good checkpoint and what to change."""

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dspctl.errors import TrainingDiverged
from dspctl.runtime import load_policy
from dspctl.trainer import evaluate, load_run, recipe, train
from dspctl.trainer.environments import describe
from dspctl.trainer.loop import Loop
from dspctl.trainer.ppo.adam import Adam
from dspctl.trainer.ppo.update import ActorStats
from dspctl.trainer.settings.recipes import RECIPES
from dspctl.trainer.watch import LARGEST_KL, LEAST_ENTROPY, PATIENCE, Watch
from tests.trainer.outcomes import assert_same
from tests.trainer.tiny import tiny

GOOD = ActorStats(-0.01, 0.5, 0.01, 0.1, 0.0, 0.0, 10)._asdict()
WEIGHTS = np.ones(3, np.float32)
CONFIG = tiny(checkpoint_seconds=0.0, method="ppo", trials=0)


def from_call(number: int, strike: Callable[..., Any], usual: Callable[..., Any]) -> Any:
    """What *usual* does until this call, then *strike*."""
    counter = itertools.count(1)

    def call(*args: Any, **options: Any) -> Any:
        return (usual if next(counter) < number else strike)(*args, **options)

    return call


def actor_figures(**changed: float) -> Callable[..., dict[str, float]]:
    return lambda *_, **__: {**GOOD, **changed}


@pytest.mark.parametrize("name", ["policy_loss", "entropy", "kl", "penalty", "distillation_loss"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_figure_that_is_not_finite(name: str, value: float) -> None:
    watch = Watch(CONFIG, describe("CartPole-v1"))
    words = "KL" if name == "kl" else name.replace("_", " ")
    with pytest.raises(TrainingDiverged, match=rf"the actor's {words} was .*lower --learning-rate"):
        watch.actor({**GOOD, name: value}, WEIGHTS)
    with pytest.raises(TrainingDiverged, match=r"critic's loss"):
        watch.critic(value, WEIGHTS)
    with pytest.raises(TrainingDiverged, match="returns grew"):
        watch.values(-value)


def test_weights_that_are_not_finite() -> None:
    watch = Watch(CONFIG, describe("CartPole-v1"))
    for bad in (np.nan, np.inf):
        weights = np.array([1.0, bad], np.float32)
        with pytest.raises(TrainingDiverged, match="the actor's weights"):
            watch.actor(GOOD, weights)
        with pytest.raises(TrainingDiverged, match="the critic's weights"):
            watch.critic(0.1, weights)


def test_the_bounds_themselves_pass() -> None:
    watch = Watch(CONFIG, describe("CartPole-v1"))
    for _ in range(3 * PATIENCE):
        watch.actor({**GOOD, "kl": LARGEST_KL, "entropy": LEAST_ENTROPY}, WEIGHTS)
        assert not watch.suspicious
    watch.values(None)
    with pytest.raises(TrainingDiverged, match=r"KL of one update was 5\.1.*--target-kl"):
        watch.actor({**GOOD, "kl": 5.1}, WEIGHTS)


def test_entropy_may_come_back() -> None:
    watch = Watch(CONFIG, describe("CartPole-v1"))
    for _ in range(3):
        for _ in range(PATIENCE - 1):
            watch.actor({**GOOD, "entropy": 0.0}, WEIGHTS)
            assert watch.suspicious
        watch.actor(GOOD, WEIGHTS)
        assert not watch.suspicious
    # What imitation reports has no entropy, and none can collapse.
    for _ in range(2 * PATIENCE):
        watch.actor({"distillation_loss": 0.1, "penalty": 0.0}, WEIGHTS)
    for _ in range(PATIENCE - 1):
        watch.actor({**GOOD, "entropy": 0.0}, WEIGHTS)
    with pytest.raises(TrainingDiverged, match="raise --entropy"):
        watch.actor({**GOOD, "entropy": 0.0}, WEIGHTS)


def test_continuous_entropies_are_negative_long_before_they_collapse() -> None:
    watch = Watch(CONFIG, describe("Hopper-v5"))
    normal = 0.5 * (1 + math.log(2 * math.pi))
    for deviation, collapses in ((1e-3, False), (1e-4, False), (1e-5, True)):
        figures = {**GOOD, "entropy": 3 * (math.log(deviation) + normal)}
        watch.actor(figures, WEIGHTS)
        assert watch.suspicious == collapses


@pytest.mark.parametrize(
    ("figures", "call", "quantity"),
    [
        ({"kl": 7.0}, 4, "the KL of one update was 7"),
        ({"policy_loss": math.nan}, 4, "the actor's policy loss was nan"),
        ({"entropy": 0.0}, 4, "the policy's entropy was 0"),
    ],
)
def test_the_run_ends_at_its_last_good_checkpoint(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    figures: dict[str, float],
    call: int,
    quantity: str,
) -> None:
    config = tiny(steps=20_480, checkpoint_seconds=0.0, method="ppo", normalize_observations=True)
    counter = itertools.count(1)
    good = tmp_path / "good"
    train(config, good, should_stop=lambda: next(counter) == call - 1)
    with monkeypatch.context() as patch:
        strike = actor_figures(**figures)
        patch.setattr(Loop, "_update_actor", from_call(call, strike, Loop._update_actor))
        with pytest.raises(TrainingDiverged) as caught:
            train(config, tmp_path / "run")
    sentence, run = str(caught.value), tmp_path / "run"
    lasted = PATIENCE - 1 if "entropy" in figures else 0
    assert f"after step {(call - 1 + lasted) * 1024}: {quantity}" in sentence
    assert f"dspctl train --resume {run} --learning-rate 0.0003" in sentence
    opened = load_run(run)
    assert opened.info["status"] == "diverged"
    assert quantity in opened.info["diverged"]["reason"]
    assert opened.info["steps"] == 3 * 1024
    # What is delivered is what a run that was stopped there delivers.
    for name in ("policy.safetensors", "observations.safetensors"):
        assert (run / name).read_bytes() == (good / name).read_bytes()
    assert evaluate(opened.policy().act, "CartPole-v1", episodes=3).mean > 0
    # And it can be gone on with: as it was, or with another rate.
    train(config, good, resume=True)
    assert train(config, run, resume=True, changes={"checkpoint_seconds": 9.0}).finished
    assert_same(run, good)


def test_a_stop_while_it_looks_bad_keeps_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = tiny(steps=20_480, checkpoint_seconds=0.0, method="ppo")
    good, run = tmp_path / "good", tmp_path / "run"
    train(config, good, should_stop=from_call(3, lambda: True, lambda: False))
    for resume in (False, True):  # whoever stops again and again does not lose it either
        with monkeypatch.context() as patch:
            patch.setattr(
                Loop,
                "_update_actor",
                from_call(1 if resume else 4, actor_figures(entropy=0.0), Loop._update_actor),
            )
            stop = from_call(3 if resume else 6, lambda: True, lambda: False)
            assert not train(config, run, resume=resume, should_stop=stop).finished
        assert "(updates in a row: 3), so the checkpoint of step 3072 stays" in caplog.text
        opened = load_run(run)
        assert opened.info["status"] == "interrupted"
        assert opened.info["steps"] == 3 * 1024
        for name in ("policy.safetensors", "observations.safetensors", "checkpoint.safetensors"):
            assert same_numbers(run / name, good / name)
    train(config, good, resume=True)
    assert train(config, run, resume=True).finished
    assert_same(run, good)


def test_the_count_goes_on_where_a_run_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ended early, with a policy that was good enough, is saved whatever its entropy."""
    config = tiny(steps=20_480, checkpoint_seconds=0.0, method="ppo", trials=4)
    run, first = tmp_path / "run", 8
    strike = from_call(first, actor_figures(entropy=0.0), Loop._update_actor)
    monkeypatch.setattr(Loop, "_update_actor", strike)
    train(config, run, on_trial=lambda trial, policy: True)
    ended = load_run(run).info["trials"][0]["iteration"]
    assert first < ended < first + PATIENCE - 1
    last = (first + PATIENCE - 2) * 1024
    with pytest.raises(TrainingDiverged, match=rf"after step {last}: .*entropy"):
        train(config, run, resume=True, on_trial=lambda trial, policy: False)


def same_numbers(one: Path, other: Path) -> bool:
    """Of all but the clock, which a checkpoint has in its metadata."""
    from safetensors.numpy import load_file

    a, b = load_file(one), load_file(other)
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def poison(self: Adam, parameters: Any, *_: object, **__: object) -> float:
    parameters[0] = np.nan
    return 0.0


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("method", ["dsp", "ppo"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_nan_is_in_no_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int, method: str
) -> None:
    """Whichever network it begins in; the critic learns in a thread of its own."""
    config = tiny(checkpoint_seconds=0.0, threads=threads, method=method)
    # With one thread an iteration is 40 steps of the critic's Adam and then 40 of the actor's.
    for number in (190, 210, 311, 575):
        with monkeypatch.context() as patch:
            patch.setattr(Adam, "step", from_call(number, poison, Adam.step))
            with pytest.raises(TrainingDiverged, match=r"finite|nan"):
                train(config, tmp_path / str(number))
        run = tmp_path / str(number)
        for name in ("checkpoint.safetensors", "checkpoint.before.safetensors"):
            assert_finite(run / name)
        assert load_policy(run / "policy.safetensors").lineage["steps"] >= 1_024
        for row in load_run(run).metrics():
            json.dumps(row, allow_nan=False)
        assert train(config, run, resume=True).finished


def assert_finite(path: Path) -> None:
    from safetensors.numpy import load_file

    for array in load_file(path).values():
        assert array.dtype.kind != "f" or np.isfinite(array).all()


def test_a_learning_rate_far_too_large_is_caught(tmp_path: Path) -> None:
    """No injected figure: training that really diverges."""
    config = tiny(method="ppo", learning_rate=30.0, steps=20_480, entropy=0.0, gradient_norm=1e9)
    with pytest.raises(TrainingDiverged, match="lower --learning-rate") as caught:
        train(config, tmp_path / "run")
    assert "the checkpoint of the start is good" in str(caught.value)
    assert not (tmp_path / "run" / "policy.safetensors").exists(), "nothing was learnt by then"
    slower = {"learning_rate": 1e-3, "gradient_norm": 0.5}
    assert train(config, tmp_path / "run", resume=True, changes=slower).finished


def test_a_run_inside_names_both_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RECIPES["CartPole-v1"], "steps", 4_096)
    monkeypatch.setattr(
        Loop, "_update_actor", from_call(2, actor_figures(kl=9.0), Loop._update_actor)
    )
    config = recipe("CartPole-v1", method="dsp-kd", hidden=(32, 32), vector_backend="gymnasium")
    run = tmp_path / "run"
    with pytest.raises(TrainingDiverged) as caught:
        train(config, run)
    commands = str(caught.value).split("  dspctl train ")[1:]
    assert commands[0].startswith(f"--resume {run / 'teacher'} --learning-rate")
    assert commands[1] == f"--resume {run}"
