import sys

import numpy as np
import pytest

from dspctl.errors import BackendUnavailable, MissingExtra, ObservationInvalid, ObservationShape
from dspctl.runtime import NumpyRunner, Runner
from dspctl.runtime.backends.onnx_runner import OnnxRunner
from tests.runtime.bundles import graph_of
from tests.runtime.policies import make_policy, observations_of


@pytest.mark.parametrize("rule", ["argmax", "clip", "clip_unscale", "tanh_unscale"])
def test_same_shapes_and_types_as_the_reference(rule: str) -> None:
    policy = make_policy(rule=rule)
    reference = NumpyRunner(policy)
    with OnnxRunner(policy, graph_of(policy)) as runner:
        assert isinstance(runner, Runner)
        for batch in ((), (1,), (7,)):
            x = np.zeros((*batch, 5))
            for mine, other in (
                (runner(x), reference(x)),
                (runner.outputs(x), reference.outputs(x)),
            ):
                assert mine.shape == other.shape
            assert runner(x).dtype == reference(x).dtype


def test_an_action_is_not_overwritten_by_the_next_call() -> None:
    policy = make_policy(rule="tanh_unscale")
    with OnnxRunner(policy, graph_of(policy)) as runner:
        x = observations_of(policy, 2)
        first = runner(x[0])
        kept = first.copy()
        second = runner(x[1])
        np.testing.assert_array_equal(first, kept)
        assert not np.array_equal(first, second)


def test_views_and_float64_are_read_correctly() -> None:
    policy = make_policy(rule="clip")
    with OnnxRunner(policy, graph_of(policy)) as runner:
        wide = observations_of(make_policy(sizes=(10, 2)), 8).astype(np.float64)[:, ::2]
        np.testing.assert_allclose(runner(wide), NumpyRunner(policy)(wide), atol=1e-6)
        np.testing.assert_allclose(runner(wide[3]), NumpyRunner(policy)(wide[3]), atol=1e-6)


def test_refusals() -> None:
    policy = make_policy()
    runner = OnnxRunner(policy, graph_of(policy))
    with pytest.raises(ObservationShape):
        runner(np.zeros(4, np.float32))
    runner.close()
    for shape in ((5,), (3, 5)):
        x, action = np.zeros(shape, np.float32), np.zeros(shape[:-1] or 1, np.int64)
        for call in (runner, runner.outputs, lambda x, action=action: runner.act(x, action)):
            with pytest.raises(BackendUnavailable, match="closed"):
                call(x)


def test_graphs_that_do_not_belong() -> None:
    policy = make_policy()
    for model in (b"", b"no graph", graph_of(policy)[:-200]):
        with pytest.raises(BackendUnavailable, match="export the policy again"):
            OnnxRunner(policy, model)
    with pytest.raises(BackendUnavailable, match="this policy needs"):
        OnnxRunner(policy, graph_of(make_policy(rule="clip")))
    with pytest.raises(BackendUnavailable, match="this policy needs"):
        OnnxRunner(policy, graph_of(make_policy(unread=1)))


def test_a_graph_with_another_guard_is_named() -> None:
    policy = make_policy(on_invalid="flag")
    narrow = make_policy(on_invalid="flag", ranged=True)
    with OnnxRunner(policy, graph_of(narrow)) as runner:
        for x in (np.full(5, 1e9, np.float32), np.full((2, 5), 1e9, np.float32)):
            with pytest.raises(ObservationInvalid, match="was not made from this policy"):
                runner(x)


def test_one_thread_that_does_not_spin() -> None:
    policy = make_policy()
    options = OnnxRunner(policy, graph_of(policy))._session.get_session_options()
    assert options.intra_op_num_threads == options.inter_op_num_threads == 1
    for key in ("session.intra_op.allow_spinning", "session.inter_op.allow_spinning"):
        assert options.get_session_config_entry(key) == "0"


def test_absent_onnxruntime_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = make_policy()
    graph = graph_of(policy)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtra, match=r"pip install 'dspctl\[onnxruntime\]'"):
        OnnxRunner(policy, graph)
