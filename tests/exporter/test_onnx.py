import hashlib
import itertools
import subprocess
import sys
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings

from dspctl.errors import MissingExtra, UnsupportedOpset
from dspctl.exporter.onnx import OPSET, bytes_from_model, onnx_from_policy
from dspctl.runtime import ActionRule, Policy
from dspctl.runtime.backends.onnx_runner import OnnxRunner
from dspctl.runtime.policy import ACTION_KINDS
from dspctl.runtime.policy.file import bytes_from_policy
from dspctl.runtime.reference.edges import edge_observations, invalid_observations
from dspctl.runtime.reference.golden import golden_from_policy
from dspctl.runtime.reference.parity import measure_parity
from tests.runtime.policies import (
    make_policy,
    observations_of,
    plain_action,
    plain_outputs,
    policies,
)


def runner_of(policy: Policy) -> OnnxRunner:
    return OnnxRunner(policy, bytes_from_model(onnx_from_policy(policy)))


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize("batch", [1, 7, 256])
@pytest.mark.parametrize("activation", ["tanh", "relu", "identity"])
@pytest.mark.parametrize("rule", ACTION_KINDS)
def test_every_combination_agrees_with_the_reference(
    rule: str, activation: str, batch: int
) -> None:
    for bias, normalizer, masks, unread in itertools.product(
        (True, False), (True, False), (True, False), (0, 3)
    ):
        policy = make_policy(
            batch,
            rule=rule,
            activation=activation,
            bias=bias,
            normalizer=normalizer,
            masks=masks,
            unread=unread,
            start=4 if rule == "argmax" else 0,
        )
        x = observations_of(policy, batch)
        with runner_of(policy) as runner:
            outputs, actions = runner.outputs(x), runner(x)
            expected = policy.outputs(x.astype(np.float64))
            np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-5)
            if rule == "argmax":
                chosen = expected[np.arange(batch), actions - 4]
                np.testing.assert_allclose(chosen, expected.max(axis=1), atol=1e-5)
                assert actions.dtype == np.int64
            else:
                np.testing.assert_allclose(
                    actions, policy.action.apply(expected), rtol=1e-5, atol=1e-5
                )
                assert (actions >= policy.action.low).all()
                assert (actions <= policy.action.high).all()
            if batch == 1:
                np.testing.assert_allclose(runner(x[0]), actions[0], atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(policies(guarded=True))
def test_any_policy_agrees_on_its_edges(policy: Policy) -> None:
    rng = np.random.default_rng(1)
    observations = np.concatenate(
        [edge_observations(policy, rng), invalid_observations(policy, rng)]
    )
    with runner_of(policy) as runner:
        parity = measure_parity(runner, golden_from_policy(policy, observations))
    assert parity.passed, parity


def test_agrees_with_plain_python() -> None:
    policy = make_policy(rule="tanh_unscale", masks=True, unread=2, activation="tanh")
    with runner_of(policy) as runner:
        for x in observations_of(policy, 20):
            np.testing.assert_allclose(runner.outputs(x), plain_outputs(policy, x), atol=2e-6)
            np.testing.assert_allclose(runner(x), plain_action(policy, x), atol=2e-6)


def test_the_graph_is_what_is_documented() -> None:
    policy = make_policy(unread=2, rule="argmax", start=1, masks=True)
    model = onnx_from_policy(policy)
    assert operators(model) == [
        *["Gather", "Clip", "Equal", "Where", "Not", "Cast", "ReduceMax", "Cast", "Cast"],
        *["Sub", "Mul", "Clip"],
        *["Gemm", "Tanh", "Gemm", "Tanh", "Gemm", "ArgMax", "Add", "Where"],
    ]
    assert [(each.domain, each.version) for each in model.opset_import] == [("", OPSET)]
    assert model.ir_version == 8

    def described(values: Any) -> dict[str, Any]:
        return {
            each.name: (
                each.type.tensor_type.elem_type,
                [d.dim_param or d.dim_value for d in each.type.tensor_type.shape.dim],
            )
            for each in values
        }

    assert described(model.graph.input) == {"observation": (onnx.TensorProto.FLOAT, ["batch", 7])}
    assert described(model.graph.output) == {
        "action": (onnx.TensorProto.INT64, ["batch"]),
        "outputs": (onnx.TensorProto.FLOAT, ["batch", 3]),
        "status": (onnx.TensorProto.INT32, ["batch"]),
    }
    assert described(model.graph.value_info)["layers.0.hidden"][1] == ["batch", 8]
    assert {each.key: each.value for each in model.metadata_props} == {
        "dspctl.environment": "Test-v1",
        "dspctl.policy_sha256": hashlib.sha256(bytes_from_policy(policy)).hexdigest(),
    }


def test_nothing_is_computed_that_is_not_needed() -> None:
    bare = make_policy(normalizer=False, bias=False, activation="relu")
    assert operators(onnx_from_policy(bare, guard=False)) == [
        *["Gemm", "Relu", "Gemm", "Relu", "Gemm", "ArgMax"]
    ]
    free = np.full(3, np.inf, np.float32)
    unbounded = make_policy(rule="clip", normalizer=False, activation="identity")
    unbounded = Policy(
        unbounded.environment,
        unbounded.observation,
        unbounded.layers,
        ActionRule("clip", low=-free, high=free),
        unbounded.inputs,
    )
    assert operators(onnx_from_policy(unbounded, guard=False)) == ["Gemm"] * 3 + ["Identity"]


@pytest.mark.parametrize("high", [[1.0, 1.0, 1.0], [1.0, np.inf, 0.25]])
def test_clip_with_equal_different_and_missing_bounds(high: list[float]) -> None:
    bound = np.array(high, np.float32)
    base = make_policy(rule="clip", scale=3.0)
    policy = Policy(
        base.environment,
        base.observation,
        base.layers,
        ActionRule("clip", low=-bound, high=bound),
        base.inputs,
    )
    x = observations_of(policy, 200)
    with runner_of(policy) as runner:
        actions = runner(x)
    expected = np.clip(policy.outputs(x.astype(np.float64)), -bound, bound)
    np.testing.assert_allclose(actions, expected, atol=1e-5)
    finite = np.isfinite(bound)
    assert (np.abs(actions[:, finite]).max(axis=0) == bound[finite]).all()


def test_an_action_never_leaves_its_bounds_by_rounding() -> None:
    rng = np.random.default_rng(5)
    base = make_policy(sizes=(4, 64), rule="clip_unscale", scale=100.0, normalizer=False)
    # Bounds far from zero, one unit in the last place of which is visible.
    low = (rng.uniform(-100, 100, 64)).astype(np.float32)
    high = low + rng.uniform(0.001, 7, 64).astype(np.float32)
    for kind in ("clip_unscale", "tanh_unscale"):
        policy = Policy(
            base.environment,
            base.observation,
            base.layers,
            ActionRule(kind, low=low, high=high),
            base.inputs,
        )
        x = observations_of(policy, 300)
        with runner_of(policy) as runner:
            actions = runner(x)
        assert (actions >= low).all()
        assert (actions <= high).all()
        np.testing.assert_allclose(actions.max(axis=0), high, rtol=1e-6, atol=1e-6)


def test_the_same_policy_gives_the_same_bytes() -> None:
    policy = make_policy(masks=True)
    code = (
        "import hashlib; from tests.runtime.policies import make_policy; "
        "from dspctl.exporter.onnx import bytes_from_model, onnx_from_policy; "
        "data = bytes_from_model(onnx_from_policy(make_policy(masks=True))); "
        "print(hashlib.sha256(data).hexdigest())"
    )
    other = subprocess.run(  # another process, with another hash seed
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    data = bytes_from_model(onnx_from_policy(policy))
    assert hashlib.sha256(data).hexdigest() == other.stdout.strip()
    assert data != bytes_from_model(onnx_from_policy(make_policy(1, masks=True)))


def test_other_opsets() -> None:
    policy = make_policy(rule="clip")
    x = observations_of(policy, 3)
    for opset in (14, 15, 21):
        model = onnx_from_policy(policy, opset=opset)
        assert model.opset_import[0].version == opset
        with OnnxRunner(policy, bytes_from_model(model)) as runner:
            np.testing.assert_allclose(runner(x), policy.act(x.astype(np.float64)), atol=1e-5)
    for opset in (13, 999):
        with pytest.raises(UnsupportedOpset, match=str(OPSET)):
            onnx_from_policy(policy, opset=opset)


def test_absent_onnx_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import dspctl.exporter.onnx  # noqa: F401  (so that it is restored afterwards)

    monkeypatch.delitem(sys.modules, "dspctl.exporter.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtra, match=r"'onnx'.+pip install 'dspctl\[export\]'"):
        from dspctl.exporter.onnx import onnx_from_policy  # noqa: F401
