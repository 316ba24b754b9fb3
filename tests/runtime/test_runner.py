from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dspctl import errors
from dspctl.runtime import NumpyRunner, Policy, Runner
from dspctl.runtime.backends.onnx_runner import OnnxRunner
from tests.runtime.policies import make_policy, observations_of
from tests.runtime.runners import UNTOUCHED, buffer_of

BACKENDS: tuple[Callable[[Policy], Runner], ...] = (
    NumpyRunner,
    lambda policy: OnnxRunner(policy, graph_of(policy)),
)


def graph_of(policy: Policy) -> bytes:
    from dspctl.exporter.onnx import bytes_from_model, onnx_from_policy

    return bytes_from_model(onnx_from_policy(policy))


@pytest.fixture(params=BACKENDS, ids=["numpy", "onnxruntime"])
def open_runner(request: pytest.FixtureRequest) -> Callable[[Policy], Runner]:
    opener: Callable[[Policy], Runner] = request.param
    return opener


def test_the_error_names_the_feature_its_value_and_its_range(
    open_runner: Callable[[Policy], Runner],
) -> None:
    policy = make_policy(on_invalid="flag", ranged=True, unread=1)
    feature = int(policy.inputs[2])
    low, high = policy.guard.low[feature], policy.guard.high[feature]
    valid = policy.guard.repair(np.zeros(6, np.float32), policy.inputs)
    for value, shown in ((np.nan, "nan"), (np.inf, "inf"), (1e9, "1e\\+09")):
        x = valid.copy()
        x[feature] = value
        ranged = rf"which is not in its range from {low:g} to {high:g}".replace("+", r"\+")
        with open_runner(policy) as runner:
            named = rf"observation feature {feature} \(x{feature}\)"
            with pytest.raises(errors.ObservationInvalid, match=rf"{named} is {shown}, {ranged}"):
                runner(x)
            with pytest.raises(errors.ObservationInvalid, match=rf"{named} of row 1 is {shown}"):
                runner(np.stack([valid, x, valid]))


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.longdouble])
def test_every_float_type_is_cast_first(
    open_runner: Callable[[Policy], Runner], kind: type
) -> None:
    with open_runner(make_policy(rule="clip", on_invalid="flag")) as runner:
        for shape, index in (((5,), 3), ((4, 5), (2, 3))):
            x: NDArray[Any] = np.zeros(shape, kind)
            before = runner(x)
            for value in (np.nan, -np.inf):
                x[index] = value
                action = buffer_of(runner.policy, None if len(shape) == 1 else 4)
                assert np.max(runner.act(x, action)) == 1
                assert np.isfinite(runner.outputs(x)).all()
                with pytest.raises(errors.ObservationInvalid, match=r"feature 3 \(x3\)"):
                    runner(x)
            x[index] = 0
            np.testing.assert_array_equal(runner(x), before)


def test_what_float32_cannot_hold_is_infinite(open_runner: Callable[[Policy], Runner]) -> None:
    with open_runner(make_policy(on_invalid="clamp")) as runner:
        action = np.zeros(1, np.int64)
        top = float(np.finfo(np.float32).max)
        for value, status in ((top, 0), (1e39, 1), (-1e300, 1)):
            x = np.zeros(5)
            x[0] = value
            assert runner.act(x, action) == status
            assert runner.act(np.stack([x, x * 0]), np.zeros(2, np.int64)).tolist() == [status, 0]


def test_hold_leaves_the_last_action(open_runner: Callable[[Policy], Runner]) -> None:
    for rule in ("argmax", "clip"):
        policy = make_policy(rule=rule, on_invalid="hold", start=5 if rule == "argmax" else 0)
        good = observations_of(policy, 1)[0]
        with open_runner(policy) as runner:
            action = buffer_of(policy, None)
            assert runner.act(np.full(5, np.nan, np.float32), action) == 1
            assert (action == UNTOUCHED).all()
            assert runner.act(good, action) == 0
            last = action.copy()
            assert runner.act(np.full(5, np.inf, np.float32), action) == 1
            np.testing.assert_array_equal(action, last)
            np.testing.assert_array_equal(action, np.atleast_1d(runner(good)))


@pytest.mark.parametrize(
    "observation",
    [
        np.zeros(4, np.float32),
        np.zeros((2, 6), np.float32),
        np.zeros((1, 1, 5), np.float32),
        np.zeros((), np.float32),
        np.zeros(5, np.int64),
        np.zeros(5, bool),
        [0.0] * 5,
        None,
    ],
)
def test_unreadable_observations_are_refused(
    open_runner: Callable[[Policy], Runner], observation: Any
) -> None:
    with open_runner(make_policy(on_invalid="zero")) as runner:
        for call in (
            runner,
            runner.outputs,
            lambda x: runner.act(x, np.zeros(1, np.int64)),
        ):
            with pytest.raises(errors.ObservationShape, match="observations"):
                call(observation)


@pytest.mark.parametrize(
    ("rule", "rows", "action"),
    [
        ("argmax", None, np.zeros((), np.int64)),
        ("argmax", None, np.zeros(2, np.int64)),
        ("argmax", None, np.zeros(1, np.int32)),
        ("argmax", None, np.zeros(1, np.float32)),
        ("argmax", None, 0),
        ("argmax", 3, np.zeros(1, np.int64)),
        ("argmax", 3, np.zeros((3, 1), np.int64)),
        ("argmax", 3, np.zeros(6, np.int64)[::2]),
        ("clip", None, np.zeros(2, np.float32)),
        ("clip", None, np.zeros(3)),
        ("clip", None, np.zeros((1, 3), np.float32)),
        ("clip", None, [0.0, 0.0, 0.0]),
        ("clip", 3, np.zeros(3, np.float32)),
        ("clip", 3, np.zeros((3, 3), np.float32, order="F")),
        ("clip", 2, np.zeros((3, 3), np.float32)),
    ],
)
def test_buffers_that_cannot_be_written_to(
    open_runner: Callable[[Policy], Runner], rule: str, rows: int | None, action: Any
) -> None:
    with open_runner(make_policy(rule=rule)) as runner:
        x = np.zeros(5 if rows is None else (rows, 5), np.float32)
        with pytest.raises(errors.ObservationShape, match="actions are written to a contiguous"):
            runner.act(x, action)


def test_a_read_only_buffer_is_refused(open_runner: Callable[[Policy], Runner]) -> None:
    action = np.zeros(3, np.float32)
    action.flags.writeable = False
    with (
        open_runner(make_policy(rule="clip")) as runner,
        pytest.raises(errors.ObservationShape, match="read-only"),
    ):
        runner.act(np.zeros(5, np.float32), action)
