"""Whole runs: what they leave on disk, how they stop and go on, and that they learn."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dspctl.errors import OutputExists, RunIncomplete, RunNotFound, RunVersion, TrainingDiverged
from dspctl.runtime import Policy
from dspctl.trainer import Progress, TrainConfig, evaluate, load_run, recipe, train
from tests.trainer.tiny import tiny


def same(one: Policy, other: Policy) -> bool:
    return all(
        np.array_equal(a.weight, b.weight) and np.array_equal(a.kept, b.kept)
        for a, b in zip(one.layers, other.layers, strict=True)
    )


def test_a_run_leaves_everything_behind(tmp_path: Path) -> None:
    seen: list[Progress] = []
    result = train(tiny(), tmp_path / "run", on_progress=seen.append)
    run = load_run(result.run)
    assert result.finished
    assert run.finished
    assert run.config == tiny()
    assert result.steps == 8_192
    assert sum(result.units) == 16
    assert [progress.phase for progress in seen] == ["pruning"] * 4 + ["recovery"] * 4

    policy = run.policy()
    assert policy.masked
    assert [layer.width for layer in policy.hidden] == [32, 32]
    assert tuple(int(layer.kept.sum()) for layer in policy.hidden) == result.units
    assert run.observations().shape[1] == 4
    assert len(run.observations()) > 7_000

    rows = run.metrics()
    assert [row["iteration"] for row in rows] == list(range(1, 9))
    assert rows[-1]["unit_sparsity"] == pytest.approx(0.75)
    first, second = result.units
    weights = 4 * first + first * second + second * 2
    assert rows[-1]["weight_sparsity"] == pytest.approx(1 - weights / (4 * 32 + 32 * 32 + 32 * 2))
    flops = 7 * first + (2 * first - 1) * second + (2 * second - 1) * 2
    assert rows[-1]["flops_sparsity"] == pytest.approx(1 - flops / (7 * 32 + 63 * 32 + 63 * 2))
    assert rows[0]["value_loss"] is None, "the first critic update has not ended by then"
    assert list((tmp_path / "run" / "tensorboard").iterdir())


@pytest.mark.parametrize("normalize", [False, True])
def test_the_masked_policy_is_the_network_that_was_trained(tmp_path: Path, normalize: bool) -> None:
    config = tiny(normalize_observations=normalize, activation="relu")
    result = train(config, tmp_path / "run")
    policy = load_run(result.run).policy()
    checkpoint = load_run(result.run)
    x = checkpoint.observations()[:50]
    # By hand, from the live weights alone: delete the masked rows and columns.
    h = x if policy.normalizer is None else policy.normalizer.apply(x)
    alive = np.ones(4, bool)
    for layer in policy.layers:
        kept = layer.kept
        weight = layer.weight[kept][:, alive]
        h = h @ weight.T + (0 if layer.bias is None else layer.bias[kept])
        if layer.activation == "relu":
            h = np.maximum(h, 0)
        alive = kept
    np.testing.assert_allclose(policy.outputs(x), h, rtol=1e-4, atol=1e-5)
    assert (policy.normalizer is not None) == normalize


@pytest.mark.parametrize("environment", ["Pendulum-v1", "CartPole-v1"])
def test_threads_and_repetition_change_nothing(tmp_path: Path, environment: str) -> None:
    config = tiny(environment, steps=4_096, critic_sparsity=0.5)
    runs = [
        train(replace(config, threads=threads), tmp_path / f"run{index}")
        for index, threads in enumerate((1, 2, 2))
    ]
    policies = [load_run(result.run).policy() for result in runs]
    assert same(policies[0], policies[1])
    assert same(policies[1], policies[2])
    other = train(replace(config, seed=1), tmp_path / "other")
    assert not same(policies[0], load_run(other.run).policy())


def test_autograd_and_fused_updates_train_alike(tmp_path: Path) -> None:
    config = tiny(steps=2_048, epochs=2)
    policies = []
    for update in ("fused", "autograd"):
        result = train(replace(config, update=update), tmp_path / update)
        policies.append(load_run(result.run).policy())
    packages = [set(policy.lineage["packages"]) for policy in policies]
    assert packages == [{"gymnasium", "numpy"}, {"gymnasium", "numpy", "torch"}]
    for one, other in zip(policies[0].layers, policies[1].layers, strict=True):
        np.testing.assert_array_equal(one.kept, other.kept)
        np.testing.assert_allclose(one.weight, other.weight, rtol=5e-3, atol=5e-4)


def test_stop_and_resume(tmp_path: Path) -> None:
    calls = iter([False, False, True])
    stopped = train(tiny(), tmp_path / "run", should_stop=lambda: next(calls))
    assert not stopped.finished
    assert stopped.steps == 3 * 1024
    run = load_run(tmp_path / "run")
    assert run.info["status"] == "interrupted"
    # A record that the kill left after the checkpoint is made again, not kept twice.
    with (tmp_path / "run" / "metrics.jsonl").open("a") as handle:
        handle.write(json.dumps({**run.metrics()[-1], "iteration": 4}) + '\n{"iteration": 5, "torn')

    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(tmp_path / "run"), str(copy)], check=True)
    results = [train(run.config, path, resume=True) for path in (tmp_path / "run", copy)]
    assert [result.steps for result in results] == [8_192, 8_192]
    assert [row["iteration"] for row in load_run(copy).metrics()] == list(range(1, 9))
    assert sum(results[0].units) == 16
    assert same(load_run(tmp_path / "run").policy(), load_run(copy).policy())


def test_resuming_restores_every_part_of_the_state(tmp_path: Path) -> None:
    from dspctl.trainer.environments import describe
    from dspctl.trainer.runs.checkpoint import RunFolder

    result = train(tiny(normalize_observations=True, critic_sparsity=0.5), tmp_path / "run")
    folder = RunFolder.reopen(result.run, {})
    state = folder.load_state(describe("CartPole-v1"))
    before = (result.run / "checkpoint.safetensors").read_bytes()
    folder.save_state(state)
    assert (result.run / "checkpoint.safetensors").read_bytes() == before
    assert state.critic.network.hidden != (32, 32)


def test_killed_training_resumes(tmp_path: Path) -> None:
    run = tmp_path / "run"
    program = (
        "from pathlib import Path\nfrom tests.trainer.tiny import tiny\n"
        "from dspctl.trainer import train\n"
        f"train(tiny(steps=10_000_000, checkpoint_seconds=0.05), Path({str(run)!r}))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        # The first checkpoint is of the start; run.json counts seconds from the second one on.
        # The settings are written after it, and nothing can be read before.
        while not (run / "config.json").exists() or "seconds" not in load_run(run).info:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with pytest.raises(RunIncomplete, match="--resume"):
        load_run(run).policy()
    resumed = train(tiny(), run, resume=True, should_stop=lambda: True)
    assert resumed.steps > 1024
    assert load_run(run).policy().environment == "CartPole-v1"


def test_a_run_cut_off_before_its_first_checkpoint_starts_again(run: Path) -> None:
    (run / "checkpoint.safetensors").unlink()
    (run / "policy.safetensors").unlink()
    info = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**info, "status": "running"}))
    with pytest.raises(RunIncomplete, match="--resume"):
        load_run(run).policy()
    assert train(tiny(), run, resume=True).finished
    rows = load_run(run).metrics()
    assert [row["iteration"] for row in rows] == list(range(1, len(rows) + 1))


def test_time_adds_up_over_resumptions(tmp_path: Path) -> None:
    calls = iter([False, True])
    train(tiny(), tmp_path / "run", should_stop=lambda: next(calls))
    first = load_run(tmp_path / "run").info
    train(tiny(), tmp_path / "run", resume=True)
    last = load_run(tmp_path / "run").info
    for part, seconds in first["time_split_s"].items():
        assert last["time_split_s"][part] > seconds > 0
    assert sum(last["time_split_s"].values()) == pytest.approx(last["seconds"], rel=0.05)


def test_bad_folders(tmp_path: Path, run: Path) -> None:
    with pytest.raises(RunNotFound, match="there is no run"):
        load_run(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunNotFound):
        load_run(tmp_path / "empty")
    with pytest.raises(OutputExists, match="--resume"):
        train(tiny(), run)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").write_text("meow")
    with pytest.raises(RunNotFound, match="name the folder of a run"):
        load_run(tmp_path / "photos")
    with pytest.raises(OutputExists, match="choose another"):  # no offer to resume or replace it
        train(tiny(), tmp_path / "photos")
    with pytest.raises(OutputExists, match="not a run"):
        train(tiny(), tmp_path / "photos", force=True)
    assert (tmp_path / "photos" / "cat.png").read_text() == "meow"


@pytest.mark.parametrize(
    ("name", "change", "error"),
    [
        ("run.json", None, RunIncomplete),
        ("config.json", "{", RunIncomplete),
        ("config.json", "[]", RunIncomplete),
        ("config.json", '{"schema": 1}', RunIncomplete),
        ("config.json", '{"schema": 1, "config": {}}', RunIncomplete),
        ("config.json", '{"schema": 99, "config": {}}', RunVersion),
        ("run.json", '{"schema": 0, "status": "finished"}', RunVersion),
    ],
)
def test_half_written_and_foreign_runs(
    run: Path, name: str, change: str | None, error: type[Exception]
) -> None:
    if change is None:
        (run / name).unlink()
    else:
        (run / name).write_text(change)
    with pytest.raises(error, match="--force"):
        load_run(run)


@pytest.mark.parametrize("force", [False, True])
def test_a_run_that_never_began_is_begun_again(tmp_path: Path, force: bool) -> None:
    """A kill before the settings were written leaves the other file, and what was not finished."""
    never = tmp_path / "never"
    never.mkdir()
    (never / "run.json").write_text('{"schema": 1, "status": "running"}')
    (never / ".config.json.0123abcd.tmp").write_text('{"sche')
    with pytest.raises(RunIncomplete, match="cut off before it began"):
        load_run(never)
    assert train(tiny(steps=1_024), never, force=force).finished
    assert list(never.glob("*.tmp")) == []
    # The same name in somebody else's folder is somebody else's.
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "run.json").write_text('{"laps": 3}')
    with pytest.raises(OutputExists):
        train(tiny(steps=1_024), tmp_path / "other")
    assert json.loads((tmp_path / "other" / "run.json").read_text()) == {"laps": 3}


def test_a_run_without_settings_is_replaced_with_force_only(run: Path) -> None:
    """It may be a kill while an old run was removed, or a lost file: nobody but its owner knows."""
    (run / "config.json").unlink()
    before = (run / "policy.safetensors").read_bytes()
    with pytest.raises(OutputExists, match="--force"):
        train(tiny(steps=1_024), run)
    assert (run / "policy.safetensors").read_bytes() == before
    assert train(tiny(steps=1_024, seed=1), run, force=True).finished
    assert (run / "policy.safetensors").read_bytes() != before


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return train(tiny(steps=1_024), tmp_path / "run").run


def test_divergence_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dspctl.trainer.ppo.adam import Adam

    def explode(self: Adam, parameters: np.ndarray, *_: object, **__: object) -> float:
        parameters[0] = np.nan
        return 0.0

    monkeypatch.setattr(Adam, "step", explode)
    with pytest.raises(TrainingDiverged, match="lower --learning-rate"):
        train(tiny(), tmp_path / "run")


def test_evaluation_uses_each_seed_once_and_is_repeatable() -> None:
    starts: list[np.ndarray] = []

    def push_left(observations: np.ndarray) -> np.ndarray:
        starts.extend(row for row in observations.copy())
        return np.zeros(len(observations), np.int64)

    one = evaluate(push_left, "CartPole-v1", episodes=30, seed=5)
    other = evaluate(push_left, "CartPole-v1", episodes=30, seed=5)
    assert one == other
    assert one.mean == pytest.approx(np.mean(one.returns))
    assert one.std == pytest.approx(np.std(one.returns, ddof=1))
    assert one.ci_low < one.mean < one.ci_high
    assert one.returns == tuple(float(length) for length in one.lengths)
    # Episode k is the environment reset with seed 5 + k, whichever lane plays it.
    import gymnasium

    env = gymnasium.make("CartPole-v1")
    for k in (0, 24, 29):
        env.reset(seed=5 + k)
        over, steps = False, 0
        while not over:
            _, _, terminated, truncated, _ = env.step(0)
            over, steps = terminated or truncated, steps + 1
        assert one.lengths[k] == steps


@pytest.mark.parametrize("environment", ["Acrobot-v1", "BipedalWalker-v3", "HalfCheetah-v5"])
def test_environments_without_a_recipe_train(tmp_path: Path, environment: str) -> None:
    config = recipe(environment, steps=4_096, hidden=(16, 16), epochs=1)
    result = train(config, tmp_path / "run")
    policy = load_run(result.run).policy()
    assert np.isfinite(policy.outputs(load_run(result.run).observations())).all()


def test_pruning_to_the_end_reaches_both_sparsities(tmp_path: Path) -> None:
    config = tiny(prune_end=1.0, critic_sparsity=0.5, steps=4_096)
    rows = load_run(train(config, tmp_path / "run").run).metrics()
    assert sum(rows[-1]["units"]) == 16
    assert sum(rows[-1]["critic_units"]) == 32


@pytest.mark.parametrize("hidden", [(), (24,), (20, 16, 12)])
def test_any_number_of_layers_trains(tmp_path: Path, hidden: tuple[int, ...]) -> None:
    method = "dsp" if hidden else "ppo"
    config = tiny(hidden=hidden, method=method, sparsity=0.5, biases=False, steps=2_048)
    policy = load_run(train(config, tmp_path / "run").run).policy()
    assert [layer.width for layer in policy.layers] == [*hidden, 2]
    assert sum(int(layer.kept.sum()) for layer in policy.hidden) == sum(hidden) // 2
    assert all(layer.bias is None for layer in policy.layers)


@pytest.mark.parametrize(
    ("schedule", "hold", "expected"),
    [
        ("constant", 0.5, [1.0, 1.0, 1.0, 1.0]),
        ("linear", 0.5, [1.0, 0.75, 0.5, 0.25]),
        ("hold-linear", 0.5, [1.0, 1.0, 1.0, 0.5]),
        ("hold-linear", 1.0, [1.0, 1.0, 1.0, 1.0]),
    ],
)
def test_learning_rate(schedule: Any, hold: float, expected: list[float]) -> None:
    from dspctl.trainer.ppo.learning_rate import learning_rate_at

    config = tiny(
        steps=4_096, learning_rate=1.0, learning_rate_schedule=schedule, learning_rate_hold=hold
    )
    assert [learning_rate_at(iteration, config) for iteration in range(4)] == expected


def test_config_survives_json() -> None:
    config = recipe("Hopper-v5", hidden=(64, 32), sparsity=0.5)
    assert TrainConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_cartpole_is_solved_at_93_percent(tmp_path: Path) -> None:
    result = train(recipe("CartPole-v1"), tmp_path / "run")
    run = load_run(result.run)
    assert sum(result.units) == 18
    evaluation = evaluate(run.policy().act, "CartPole-v1", episodes=100)
    assert evaluation.mean >= 490


def test_tensorboard_holds_the_same_figures(tmp_path: Path) -> None:
    from tensorboardX.proto.event_pb2 import Event

    result = train(tiny(steps=2_048), tmp_path / "run")
    found: dict[tuple[str, int], float] = {}
    for path in (result.run / "tensorboard").iterdir():
        data, at = path.read_bytes(), 0
        while at < len(data):  # TFRecord: length, its checksum, the record, its checksum
            length = int.from_bytes(data[at : at + 8], "little")
            event = Event.FromString(data[at + 12 : at + 12 + length])
            found |= {(value.tag, event.step): value.simple_value for value in event.summary.value}
            at += 12 + length + 4
    rows = load_run(result.run).metrics()
    for row in rows:
        assert found["loss/kl", row["steps"]] == pytest.approx(row["kl"], rel=1e-6)
        assert found["units/units_1", row["steps"]] == row["units"][0]
        assert found["sparsity/unit_sparsity", row["steps"]] == pytest.approx(row["unit_sparsity"])
    assert ("loss/value_loss", rows[0]["steps"]) not in found


def test_a_full_disk_stops_training_with_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensorboardX.event_file_writer import EventsWriter

    from dspctl.errors import WriteFailed

    write_event = EventsWriter.write_event

    def full(self: EventsWriter, event: Any) -> None:
        if event.summary.value:
            raise OSError(28, "No space left on device")
        write_event(self, event)

    run = train(tiny(), tmp_path / "run", should_stop=lambda: True).run
    with monkeypatch.context() as patch:
        patch.setattr(EventsWriter, "write_event", full)
        with pytest.raises(WriteFailed, match=r"No space left.*--resume"):
            train(tiny(), run, resume=True)
    assert train(tiny(), run, resume=True).finished


def test_resuming_at_the_very_end_keeps_what_was_written(tmp_path: Path) -> None:
    run = train(tiny(), tmp_path / "run").run
    kept = ("policy.safetensors", "observations.safetensors")
    before = [(run / name).read_bytes() for name in kept]
    # A kill between the last checkpoint and the status leaves exactly this.
    info = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**info, "status": "running"}))
    assert train(tiny(), run, resume=True).finished
    assert [(run / name).read_bytes() for name in kept] == before
    assert load_run(run).finished
