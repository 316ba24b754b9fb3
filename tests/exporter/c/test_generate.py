"""Generated C computes what the policy says, in every mode, on every layout."""

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dspctl.errors import InvalidName
from dspctl.exporter.c import c_from_policy
from dspctl.exporter.c.error_bound import output_error_bound
from dspctl.exporter.c.names import identifier_from_environment
from dspctl.exporter.c.strict import strict_outputs
from dspctl.exporter.native.targets import NATIVE_TARGETS, NativeTarget
from tests.exporter.c.compiled import (
    UNTOUCHED,
    WARNINGS,
    Compiled,
    awkward_observations,
    compile_all,
    guarded,
    scalar_and_runnable,
    shapes,
)
from tests.runtime.policies import make_policy, plain_outputs

MODES: tuple[Any, ...] = ("flag", "hold", "zero", "clamp")
CASES = [
    guarded(make_policy(index, **arguments), MODES[index % 4])
    for index, arguments in enumerate(shapes())
]


@pytest.fixture(scope="module", params=scalar_and_runnable(), ids=lambda target: target.name)
def fast(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[Compiled]:
    target: NativeTarget = request.param
    return compile_all(CASES, target, tmp_path_factory.mktemp("fast"))


@pytest.fixture(scope="module", params=scalar_and_runnable(), ids=lambda target: target.name)
def strict(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[Compiled]:
    target: NativeTarget = request.param
    return compile_all(CASES, target, tmp_path_factory.mktemp("strict"), strict=True)


def test_outputs_are_those_of_the_plain_statement(fast: list[Compiled]) -> None:
    for net in fast:
        observations = awkward_observations(net.policy, 40)
        repaired = net.policy.guard.repair(observations, net.policy.inputs)
        for observation, seen in zip(observations, repaired, strict=True):
            status, outputs = net.outputs(observation)
            exact = np.array(plain_outputs(net.policy, seen.astype(np.float64)))
            assert np.abs(outputs - exact).max() <= output_error_bound(net.policy)
            assert np.abs(outputs - exact).max() <= 2e-5 * max(1.0, np.abs(exact).max())
            assert status == net.policy.guard.status(observation, net.policy.inputs)


def test_actions_follow_the_guard(fast: list[Compiled]) -> None:
    invalid = 0
    for net in fast:
        policy, guard = net.policy, net.policy.guard
        for observation in awkward_observations(policy, 200):
            status, action = net.act(observation)
            assert status == guard.status(observation, policy.inputs)
            invalid += status != 0
            if status == 0 or guard.repairs:
                _, outputs = net.outputs(observation)
                expected = policy.action.apply(outputs.astype(np.float64))
                if policy.action.discrete:
                    assert action[0] == expected
                else:
                    reach = np.abs(policy.action.low) + np.abs(policy.action.high)
                    assert (np.abs(action - expected) <= 2e-6 * (1 + reach)).all()
                    assert (action >= policy.action.low).all()
                    assert (action <= policy.action.high).all()
            elif guard.on_invalid == "flag":
                np.testing.assert_array_equal(action, guard.safe_action)
            else:
                assert (action == UNTOUCHED).all()
    assert invalid > 500  # otherwise the above has hardly looked at them


def test_a_batch_is_its_rows(fast: list[Compiled]) -> None:
    for net in fast:
        observations = awkward_observations(net.policy, 33)
        combined, statuses, actions = net.act_batch(observations)
        singles = [net.act(row) for row in observations]
        np.testing.assert_array_equal(statuses, [status for status, _ in singles])
        np.testing.assert_array_equal(actions, np.stack([action for _, action in singles]))
        assert combined == np.bitwise_or.reduce(statuses)
        assert net.act_batch(observations[:0])[0] == 0


def test_strict_code_gives_the_bits_of_float32_arithmetic_in_order(strict: list[Compiled]) -> None:
    for net in strict:
        observations = awkward_observations(net.policy, 100)
        expected = strict_outputs(net.policy, observations)
        got = np.stack([net.outputs(row)[1] for row in observations])
        assert got.tobytes() == expected.tobytes()


def test_extreme_but_finite_observations_give_valid_actions(fast: list[Compiled]) -> None:
    """Float32 overflows there; what comes out must still be an action."""
    for net in fast:
        policy = net.policy
        observations = np.zeros((4, policy.observation.size), np.float32)
        observations[:, -1] = np.array([1, -1, 0.5, -0.5]) * np.finfo(np.float32).max
        for row in observations:
            _, action = net.act(row)
            if policy.action.discrete:
                assert 0 <= action[0] - policy.action.start < policy.layers[-1].width
            else:
                assert (action >= policy.action.low).all()
                assert (action <= policy.action.high).all()


def test_the_library_needs_nothing(fast: list[Compiled]) -> None:
    nm = shutil.which("nm")
    assert nm is not None
    undefined = subprocess.run(
        [nm, "--undefined-only", "--dynamic", fast[0].library._name],
        capture_output=True,
        text=True,
        check=True,
    )
    assert undefined.stdout == ""


@pytest.mark.parametrize("target", NATIVE_TARGETS.values(), ids=lambda target: target.name)
def test_zig_compiles_every_target_without_a_warning(target: NativeTarget, tmp_path: Path) -> None:
    pytest.importorskip("ziglang")
    policy = make_policy(3, sizes=(40, 64, 20, 2), rule="tanh_unscale", unread=3)
    source = c_from_policy(policy, "net", target)
    (tmp_path / "net.h").write_text(source.header)
    (tmp_path / "net.c").write_text(source.source)
    command = [sys.executable, "-m", "ziglang", "cc", *WARNINGS, "-O1", "-c", "net.c"]
    command += ["-target", target.zig_target, f"-mcpu={target.zig_cpu}", "-o", "net.o"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_the_same_policy_gives_the_same_text() -> None:
    target = NATIVE_TARGETS["x86-64-v4"]
    policy = make_policy(3)
    first, second = (c_from_policy(policy, "net", target) for _ in range(2))
    assert first == second
    assert c_from_policy(make_policy(4), "net", target) != first


def test_every_weight_is_in_the_source_exactly() -> None:
    policy = make_policy(1, sizes=(5, 8, 3))
    source = c_from_policy(policy, "net", NATIVE_TARGETS["x86-64-v3"]).source
    written = {np.float32(text) for text in re.findall(r"(-?[\d.]+(?:e[-+]\d+)?)F", source)}
    for layer in policy.layers:
        assert layer.bias is not None
        assert set(layer.weight.ravel()) | set(layer.bias) <= written


def test_the_header_says_what_the_policy_is() -> None:
    policy = replace(make_policy(2, sizes=(5, 8, 3)), environment="LunarLander-v3")
    header = c_from_policy(policy, "lander", NATIVE_TARGETS["x86-64-v3"]).header
    assert "#define LANDER_OBSERVATION_SIZE 5" in header
    assert "#define LANDER_OUTPUT_SIZE 3" in header
    assert '#define LANDER_ENVIRONMENT "LunarLander-v3"' in header
    assert 'LANDER_OBSERVATION_NAMES {"x0", "x1", "x2", "x3", "x4"}' in header
    assert "int lander_act(const float observation[5], int32_t action[1]);" in header


def included(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if line.lstrip().startswith("#include")]
    assert lines
    return lines


def test_names_from_a_policy_file_cannot_reach_the_code() -> None:
    evil = '*/ int x; /* " #include "/etc/passwd" \\ ??/'
    policy = make_policy(2, sizes=(2, 3))
    spec = replace(policy.observation, names=(evil, "é"))
    policy = replace(
        policy,
        environment=evil,
        observation=spec,
        lineage={"method": f"{evil}\n{evil}", "seed": evil},
    )
    generated = c_from_policy(policy, "net", NATIVE_TARGETS["cortex-m4"])
    text = generated.header + generated.source
    assert all(line.startswith(("#include <", '#include "net.h"')) for line in included(text))
    comments_removed = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    assert "int x;" not in re.sub(r'"[^"\n]*"', "", comments_removed)
    assert "??" not in comments_removed
    assert r"\303\251" in generated.header


def test_a_hostile_header_still_compiles(tmp_path: Path) -> None:
    evil = '*/ int x; /* " #error \\ ??/'
    lineage = {"method": f"{evil}\n{evil}"}
    policy = replace(make_policy(2, sizes=(2, 3)), environment=evil, lineage=lineage)
    compile_all([policy], NATIVE_TARGETS["cortex-m4"], tmp_path)


@pytest.mark.parametrize("name", ["", "Net", "1net", "a b", "int", "x" * 41, "a;b", "é"])
def test_an_unusable_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidName, match="cannot prefix C functions"):
        c_from_policy(make_policy(), name, NATIVE_TARGETS["cortex-m4"])


@pytest.mark.parametrize("name", ["time", "json", "policy_golden", "policy_bindings", "arm_neon"])
def test_a_header_of_that_name_would_be_hidden(name: str) -> None:
    with pytest.raises(InvalidName, match=f"the name of a header.*such as {name}_policy"):
        c_from_policy(make_policy(), name, NATIVE_TARGETS["cortex-m4"])


@pytest.mark.parametrize(
    ("environment", "name"),
    [("Time", "time_"), ("Clock!", "clock_"), ("Test", "test_"), ("Time-v0", "time_v0")],
)
def test_an_environment_with_such_a_name_still_gives_one(environment: str, name: str) -> None:
    assert identifier_from_environment(environment) == name
    c_from_policy(make_policy(), name, NATIVE_TARGETS["cortex-m4"])


def test_wide_layers_are_loops() -> None:
    """Unrolled, 128 x 128 would be a thousand lines and fall out of the instruction cache."""
    wide, small = (
        c_from_policy(make_policy(0, sizes=sizes), "net", NATIVE_TARGETS["x86-64-v4"]).source
        for sizes in ((8, 128, 128, 4), (8, 9, 9, 4))
    )
    assert wide.count("+= WEIGHTS") < 100
    assert small.count("+= WEIGHTS") == 8 + 9 + 9  # one vector of lanes per input: no loop at all
