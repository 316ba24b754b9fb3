"""The comparison of generated C: what it compares, and that its figures are what they say."""

import ctypes
from pathlib import Path

import numpy as np
import pytest

from dspctl.benchmarks.native import __main__ as command
from dspctl.benchmarks.native.accuracy import measure_accuracy, random_observations
from dspctl.benchmarks.native.contenders import (
    compile_contender,
    compile_race,
    dspctl_fast,
    emx,
    recommended,
)
from dspctl.benchmarks.native.policies import SHAPES, fixed_policies
from dspctl.benchmarks.native.timing import EMX, NATIVE, ORT, OURS, STRICT, Timing, c_block
from dspctl.benchmarks.stats import Interval


def timing(policy: str, contender: str, value: float) -> Timing:
    return Timing(policy, contender, value, value, [value] * 20)


def test_ratios_divide_the_slower_by_ours() -> None:
    costs = {OURS: 10.0, STRICT: 20.0, EMX: 30.0, ORT: 4000.0, NATIVE: 400.0}
    timings = [timing("8-9-9-4", name, cost) for name, cost in costs.items()]
    timings += [timing(command.UNPRUNED, name, 10 * cost) for name, cost in costs.items()]
    ratios = {(each.slower, each.faster): each.ratio for each in command.ratios_of(timings)}
    ours = ("8-9-9-4", OURS)
    assert ratios[(command.UNPRUNED, ORT), ours] == Interval(4000, 4000, 4000)
    assert ratios[("8-9-9-4", EMX), ours].estimate == pytest.approx(3)
    assert ratios[("8-9-9-4", ORT), ("8-9-9-4", NATIVE)].estimate == pytest.approx(10)
    assert all(slower != faster for slower, faster in ratios)


def test_contenders_compute_the_same_actions(tmp_path: Path) -> None:
    for shape, (policy, observations) in fixed_policies(8).items():
        wanted = policy.act(observations.astype(np.float64))
        for generate in (dspctl_fast, emx):
            folder = tmp_path / f"{shape}-{generate.__name__}"
            folder.mkdir()
            library = compile_contender(generate, policy, recommended(), folder)
            function = ctypes.CDLL(str(library)).contender
            kind = np.int32 if policy.action.discrete else np.float32
            for row, action in zip(observations, wanted, strict=True):
                buffer = np.zeros(64, kind)
                function(ctypes.c_void_p(row.ctypes.data), ctypes.c_void_p(buffer.ctypes.data))
                np.testing.assert_allclose(buffer[: np.size(action)], action, atol=1e-6)


def test_the_race_times_the_calls_it_was_asked_for(tmp_path: Path) -> None:
    policy, observations = fixed_policies(8)["8-9-9-4"]
    library = compile_contender(dspctl_fast, policy, recommended(), tmp_path)
    race = ctypes.CDLL(str(compile_race(tmp_path)))
    race.race.restype = ctypes.c_int64
    assert c_block(race, library, observations)() > 0


def test_fixed_policies_have_the_shapes_they_are_named_after() -> None:
    policies = fixed_policies(4)
    assert set(policies) == set(SHAPES)
    for shape, (policy, observations) in policies.items():
        sizes = [policy.observation.size, *(layer.width for layer in policy.layers)]
        assert "-".join(map(str, sizes)) == shape
        assert observations.shape == (4, sizes[0])


def test_random_observations_stay_in_range() -> None:
    policy, observations = fixed_policies(64)["8-9-9-4"]
    drawn = random_observations(observations, policy, 1000)
    assert drawn.shape == (1000, 8)
    assert (policy.guard.status(drawn, policy.inputs) == 0).all()
    assert drawn.std() > 2 * observations.std()


def test_accuracy_sees_every_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dspctl.benchmarks.native.accuracy.OBSERVATIONS", 500)
    policy, observations = fixed_policies(64)["17-14-4-6"]
    found = {each.backend: each for each in measure_accuracy("net", policy, observations)}
    assert set(found) == {"C, fast", "C, strict", "ONNX Runtime"}
    for each in found.values():
        assert each.observations == 500
        assert 0 < each.largest_error < 1e-5
