"""A student that starts from a policy reads what that reads, and computes what that computes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dspctl.compactor import compact
from dspctl.runtime import Layer, Normalizer, Policy, save_policy
from dspctl.trainer import load_run, train
from dspctl.trainer.distillation import Teacher
from dspctl.trainer.distillation.inheritance import take_over
from dspctl.trainer.environments import describe
from dspctl.trainer.runs.state import TrainState
from tests.benchmarks.networks import network
from tests.benchmarks.shrink.teachers import balancing_policy
from tests.trainer.tiny import tiny

RNG = np.random.default_rng(0)
STATISTICS = Normalizer(
    np.array([0.1, -0.5, 0.02, 0.3], np.float32), np.array([2, 1.5, 8, 3], np.float32), 10.0
)


def student(*inputs: int, normalizer: Normalizer | None = None) -> Policy:
    """Eight units that read some features of CartPole."""
    layers = network((len(inputs), 8, 2)).layers
    return replace(
        balancing_policy(), layers=layers, inputs=np.array(inputs), normalizer=normalizer
    )


def begun(teacher: Policy, start: Policy, folder: Path, method: str = "kd") -> TrainState:
    path = save_policy(start, folder / "start.safetensors")
    config = tiny(method=method, hidden=(16,), actor_hidden=(8,), start=str(path))
    config = replace(config, normalize_observations=teacher.normalizer is not None)
    state = TrainState.initial(config, describe("CartPole-v1"))
    take_over(state, Teacher(teacher, "nowhere"), config, describe("CartPole-v1"))
    return state


def folded(policy: Policy, normalizer: Normalizer) -> Policy:
    """The same function with the normaliser put into the first layer, by hand."""
    first = policy.layers[0]
    assert first.bias is not None
    weight = first.weight * normalizer.scale[policy.inputs]
    bias = first.bias - weight @ normalizer.mean[policy.inputs]
    layer = Layer(weight, bias, first.activation)
    return replace(policy, layers=(layer, *policy.layers[1:]), normalizer=None)


@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize("fold", [False, True])
def test_the_start_is_the_function_that_the_policy_is(
    tmp_path: Path, *, normalised: bool, fold: bool
) -> None:
    inputs = (0, 2, 3)
    own = STATISTICS if normalised else None
    part = replace(STATISTICS, mean=STATISTICS.mean[[*inputs]], scale=STATISTICS.scale[[*inputs]])
    start = student(*inputs, normalizer=part)
    if fold:
        start = folded(start, STATISTICS)
    teacher = replace(balancing_policy(), normalizer=own)
    state = begun(teacher, start, tmp_path)
    raw = RNG.normal(size=(50, 4)).astype(np.float32) / 4
    seen = (raw if own is None else np.asarray(own.apply(raw))).astype(np.float32)
    ours, theirs = state.actor.network.forward(seen), np.asarray(start.outputs(raw))
    assert np.allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_only_what_is_not_read_is_held(tmp_path: Path) -> None:
    state = begun(balancing_policy(), student(1, 3), tmp_path)
    mask = state.actor.optimiser.mask
    assert mask is not None
    first, last = state.actor.network.layout.weights(mask)
    assert first.tolist() == [[0, 1, 0, 1]] * 8
    assert (last == 1).all()
    assert mask.size - mask.sum() == 16
    assert state.critic.optimiser.mask is None


def test_who_reads_all_or_prunes_is_held_nowhere(tmp_path: Path) -> None:
    assert begun(balancing_policy(), student(0, 1, 2, 3), tmp_path).actor.optimiser.mask is None
    (tmp_path / "start.safetensors").unlink()
    pruned = begun(balancing_policy(), student(1, 3), tmp_path, method="dsp-kd")
    assert pruned.actor.optimiser.mask is None


def test_training_leaves_them_unread_after_a_stop_too(tmp_path: Path) -> None:
    teacher = save_policy(balancing_policy(), tmp_path / "teacher.safetensors")
    start = save_policy(student(1, 2, 3), tmp_path / "start.safetensors")
    config = tiny(
        method="kd", hidden=(16,), actor_hidden=(8,), start=str(start), teacher=str(teacher)
    )
    asked = iter([False, False, True])
    assert not train(config, tmp_path / "run", should_stop=lambda: next(asked)).finished
    train(config, tmp_path / "run", resume=True)
    run = load_run(tmp_path / "run")
    first = run.policy().layers[0].weight
    assert not first[:, 0].any()
    assert (first[:, 1:] != 0).all()
    assert not np.array_equal(first[:, 1:], student(1, 2, 3).layers[0].weight)
    assert compact(run.policy(), observations=run.observations()).policy.inputs.tolist() == [
        *(1, 2, 3)
    ]
