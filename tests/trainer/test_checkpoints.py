"""Checkpoints that are damaged, and what a run does then."""

import itertools
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dspctl.errors import CheckpointDamaged, RunIncomplete, TrainingDiverged
from dspctl.trainer import load_run, selection, train
from dspctl.trainer.environments import describe
from dspctl.trainer.runs import checkpoint_file
from dspctl.trainer.runs.checkpoint import RunFolder
from dspctl.trainer.runs.checkpoint_file import ASIDE, BEFORE, NEWEST, Parts
from tests.trainer.outcomes import assert_same
from tests.trainer.tiny import tiny

CONFIG = tiny(steps=4_096, environments=4, trials=3, checkpoint_seconds=0.0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(CONFIG, tmp_path_factory.mktemp("whole") / "run").run


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stopped after six of eight iterations; the checkpoint before the last is of the fifth."""
    run = tmp_path_factory.mktemp("stopped") / "run"
    counter = itertools.count(1)
    train(CONFIG, run, should_stop=lambda: next(counter) == 6)
    return run


@pytest.fixture
def run(stopped: Path, tmp_path: Path) -> Path:
    shutil.copytree(stopped, tmp_path / "run")
    return tmp_path / "run"


def damage(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how.startswith("cut"):
        data = data[: {"cut 0": 0, "cut 7": 7, "cut 100": 100, "cut end": -1}[how]]
    else:
        data[{"early": 40, "middle": len(data) // 2, "last": -1}[how]] ^= 1
    path.write_bytes(data)


def steps(run: Path) -> int:
    return RunFolder.reopen(run, {}).load_state(describe("CartPole-v1")).steps


@pytest.mark.parametrize("how", ["cut 0", "cut 7", "cut 100", "cut end", "early", "middle", "last"])
def test_a_damaged_newest_is_set_aside_and_the_one_before_is_used(
    run: Path, whole: Path, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    assert steps(run) == 6 * 512
    damage(run / NEWEST, how)
    damaged = (run / NEWEST).read_bytes()
    assert train(CONFIG, run, resume=True).finished
    assert f"{run / NEWEST} is damaged" in caplog.text
    assert f"set aside as {ASIDE}" in caplog.text
    assert "of step 2560, is used" in caplog.text
    assert (run / ASIDE).read_bytes() == damaged
    assert_same(run, whole)


def test_reading_a_damaged_run_changes_nothing(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    damage(run / NEWEST, "middle")
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    assert steps(run) == 5 * 512
    assert "is damaged" in caplog.text
    assert "set aside" not in caplog.text
    assert {p.name: p.read_bytes() for p in run.iterdir() if p.is_file()} == before


def test_a_newest_that_is_missing_is_no_damage(
    run: Path, whole: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A kill between the two renames leaves this."""
    caplog.set_level(logging.WARNING)
    (run / NEWEST).unlink()
    assert train(CONFIG, run, resume=True).finished
    assert caplog.text == ""
    assert_same(run, whole)


def test_both_damaged_says_what_to_do(run: Path) -> None:
    damage(run / NEWEST, "cut 100")
    damage(run / BEFORE, "middle")
    with pytest.raises(CheckpointDamaged) as caught:
        train(CONFIG, run, resume=True)
    sentence = str(caught.value)
    assert f"{NEWEST}: cut off" in sentence
    assert f"{BEFORE}: its contents are not those" in sentence
    assert f"dspctl train --like {run} -o NEW" in sentence
    assert issubclass(CheckpointDamaged, RunIncomplete), "studies begin such a cell again"
    assert (run / NEWEST).exists(), "nothing was set aside: whoever repairs one finds it"


def test_any_changed_byte_is_noticed(run: Path) -> None:
    """Or changes nothing that is read: padding is all that the hash leaves out."""
    path = run / NEWEST
    whole = path.read_bytes()
    expected = checkpoint_file.read_newest(run, lambda parts: parts).state
    (run / BEFORE).unlink()
    rng = np.random.default_rng(0)
    header = 8 + int.from_bytes(whole[:8], "little")
    places = [*range(0, header, 7), *rng.integers(header, len(whole), 150).tolist()]
    noticed = 0
    for place in places:
        data = bytearray(whole)
        data[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(data)
        try:
            found = checkpoint_file.read_newest(run, lambda parts: parts).state
        except CheckpointDamaged:
            noticed += 1
            continue
        assert found.meta == expected.meta
        assert set(found.tensors) == set(expected.tensors)
        for name, array in expected.tensors.items():
            np.testing.assert_array_equal(found.tensors[name], array)
    assert noticed >= len(places) - 10


def test_a_checkpoint_of_another_network_is_not_used(run: Path, tmp_path: Path) -> None:
    other = train(tiny(steps=1_024, hidden=(16, 16)), tmp_path / "other").run
    for name in (NEWEST, BEFORE):
        shutil.copy(other / NEWEST, run / name)
    with pytest.raises(CheckpointDamaged, match=r"actor\.archive' is not float32"):
        train(CONFIG, run, resume=True)


def edited(name: str, change: Callable[[Any], Any]) -> Callable[[Parts], None]:
    """Change an array, or a field of what the checkpoint says of the loop, by a path of names."""

    def edit(parts: Parts) -> None:
        if name in parts.tensors:
            parts.tensors[name] = change(parts.tensors[name])
            return
        *path, last = name.split("/")
        inside = parts.meta["carry"]
        for step in path:
            inside = inside[int(step) if step.isdigit() else step]
        inside[last] = change(inside.get(last))

    return edit


@pytest.mark.parametrize(
    "edit",
    [
        edited("running.observations", lambda array: array[:, :3]),
        edited("running.just_done", lambda array: array[:2]),
        edited("running.discounted", lambda array: array.astype(np.float32)),
        edited("running.lengths", lambda array: array[:2]),
        edited("carry.recorded", lambda array: array[:, :3]),
        edited("carry.returns", lambda array: array[None]),
        edited("carry.lengths", lambda array: array.astype(np.int32)),
        edited("recorded", lambda _: [1, "2"]),
        edited("recorded", lambda _: [1]),
        edited("value_loss", lambda _: "small"),
        edited("collapsed", lambda _: -1),
        edited("unheard_of", lambda _: 1),
        edited("memory_next", lambda _: 0),
        edited("clip", lambda _: 10.0),
        edited("environments", lambda _: 3),
        edited("environments", lambda each: each[:2]),
        edited("environments/0/class", lambda _: "PendulumEnv"),
        edited("environments/0/class", lambda _: None),
        edited("environments/0/elapsed", lambda _: "many"),
        edited("environments/0/resets", lambda _: 2),
        edited("environments/0/rng", lambda _: {"bit_generator": "X"}),
        edited("environments/1/attributes/more", lambda _: 1),
        edited("environments/1/attributes/state", lambda _: None),
        edited("environments/1/attributes/state", lambda _: {"tuple": [1.0, 2.0, 3.0]}),
        edited("environments/1/attributes/state", lambda _: {"tuple": [1.0, 2.0, 3.0, "4"]}),
        edited("environments/1/attributes/state", lambda _: {"array": [[1.0]] * 4, "dtype": "<f8"}),
        edited("environments/1/attributes/state", lambda _: {"array": [1.0] * 4, "dtype": "O"}),
        edited("environments/1/attributes/steps_beyond_terminated", lambda _: {"list": []}),
    ],
)
def test_what_is_said_of_the_loop_must_fit_the_run(
    run: Path, edit: Callable[[Parts], None]
) -> None:
    found = checkpoint_file._read(run / NEWEST)
    parts = Parts(dict(found.tensors), {k: v for k, v in found.meta.items() if k != "schema"})
    assert parts.meta["carry"]["environments"][1]["attributes"]["state"]
    edit(parts)
    checkpoint_file.write(run, parts)
    assert steps(run) == 6 * 512, "the one before is used"
    (run / BEFORE).unlink()
    with pytest.raises(RunIncomplete, match="no checkpoint of"):
        train(CONFIG, run, resume=True)


def test_a_number_that_is_not_finite_replaces_nothing(run: Path) -> None:
    before = {name: (run / name).read_bytes() for name in (NEWEST, BEFORE)}
    for bad in (np.nan, np.inf, -np.inf):
        parts = Parts({"actor.first": np.array([1.0, bad], np.float32)}, {})
        with pytest.raises(TrainingDiverged, match=r"actor\.first"):
            checkpoint_file.write(run, parts)
    with pytest.raises(ValueError, match="JSON"):
        checkpoint_file.write(run, Parts({}, {"value_loss": float("nan")}))
    assert {name: (run / name).read_bytes() for name in (NEWEST, BEFORE)} == before


def test_candidates_of_both_checkpoints_stay(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one before the last may need a policy that was displaced since."""
    scores = iter([5.0, 6.0, 7.0, 8.0, 9.0, 4.0])
    monkeypatch.setattr(selection, "play_once", lambda *_, **__: np.full(1, next(scores)))
    folder = RunFolder.reopen(run, {})
    folder.info.pop("trials")
    folder.keep_candidates([])
    task, policy = describe("CartPole-v1"), load_run(run).policy()
    trials = selection.Selection(folder, CONFIG, task, first=0, iteration=0)
    kept = []
    for saved in ((1, 2, 3), (4, 5), (6,)):
        for iteration in saved:
            trials.consider(iteration, policy)
        trials.forget(saved[-1])
        kept.append(sorted(int(path.stem) for path in (run / "candidates").iterdir()))
    # The best three of 1 to 3 and of 1 to 5; then those of 1 to 5 and of all.
    assert kept == [[1, 2, 3], [1, 2, 3, 4, 5], [3, 4, 5]]


def test_damage_in_a_run_of_stages_costs_a_stage_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    teacher = train(tiny(method="ppo"), tmp_path / "teacher").run
    config = tiny(
        method="pops",
        teacher=str(teacher),
        environments=4,
        rollout_steps=64,
        steps=10 * 2 * 4 * 64,
        objective=0.3,
        trials=2,
    )
    whole = train(config, tmp_path / "whole").run
    counter = itertools.count(1)
    run = train(config, tmp_path / "run", should_stop=lambda: next(counter) == 1).run
    for name in (NEWEST, BEFORE):
        damage(run / "stages" / "1-prune" / name, "middle")
    assert train(config, run, resume=True).finished
    assert "a stage, which begins again" in caplog.text
    assert_same(run, whole)
