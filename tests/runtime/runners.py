"""One check for every backend: a runner does with any observation what the rules say."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.errors import ObservationInvalid
from dspctl.runtime import Policy, Runner
from dspctl.runtime.reference.rounding import TANH_ERROR, action_bound, fits_float32, rounding_bound
from tests.runtime.policies import plain_action, plain_guard, plain_outputs

UNTOUCHED = -77


def assert_follows_the_rules(runner: Runner, observations: NDArray[np.float32]) -> None:
    """Statuses, outputs and actions against plain Python, alone and in a batch.

    Args:
        runner: any backend.
        observations: float32 [n, obs_dim]; rows that could overflow in float32 are left out.
    """
    policy = runner.policy
    repaired = np.array([plain_guard(policy, row)[1] for row in observations], np.float32)
    observations = observations[fits_float32(policy, repaired)]
    if not len(observations):
        return
    batch = buffer_of(policy, len(observations))
    statuses = runner.act(observations, batch)
    assert statuses.dtype == np.uint8
    outputs = runner.outputs(observations)
    for index, row in enumerate(observations):
        status, seen = plain_guard(policy, row)
        bound = rounding_bound(policy, seen[None])
        wanted = plain_outputs(policy, seen)
        single = buffer_of(policy, None)
        assert runner.act(row, single) == statuses[index] == status
        assert isinstance(runner.act(row, single), int)
        for found in (runner.outputs(row), outputs[index]):
            assert np.abs(found - wanted).max() <= bound[0, 0]
        invalid = status != 0 and policy.guard.on_invalid in ("flag", "hold")
        for found in (single, np.atleast_1d(batch[index])):
            if not invalid:
                _assert_acts(policy, seen, found, wanted, bound)
            elif policy.guard.on_invalid == "flag":
                np.testing.assert_array_equal(found, policy.guard.safe_action)
            else:
                assert (found == UNTOUCHED).all()
        if invalid:
            _assert_raises(runner, row)
            _assert_raises(runner, observations)
        else:
            np.testing.assert_array_equal(runner(row), single[0] if single.size == 1 else single)


def buffer_of(policy: Policy, rows: int | None) -> NDArray[Any]:
    """A buffer for one observation (rows None) or a batch, filled with `UNTOUCHED`."""
    if policy.action.discrete:
        return np.full(1 if rows is None else rows, UNTOUCHED, np.int64)
    width = policy.action.low.size
    return np.full(width if rows is None else (rows, width), UNTOUCHED, np.float32)


def _assert_acts(
    policy: Policy,
    seen: NDArray[np.float32],
    found: NDArray[Any],
    wanted: list[float],
    bound: NDArray[np.float64],
) -> None:
    if policy.action.discrete:
        chosen = int(found[0]) - policy.action.start
        assert 0 <= chosen < len(wanted)
        assert max(wanted) - wanted[chosen] <= 2 * bound[0, 0] + 1e-5
        return
    action = np.array(plain_action(policy, seen))
    slack = action_bound(policy, action.astype(np.float32)[None], bound + TANH_ERROR)[0]
    assert (np.abs(found - action) <= slack).all()


def _assert_raises(runner: Runner, observation: NDArray[np.float32]) -> None:
    try:
        runner(observation)
    except ObservationInvalid:
        return
    raise AssertionError("an invalid observation was acted on")
