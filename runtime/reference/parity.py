"""Does a backend compute what the reference computes? Compared with golden vectors.

Every observation is given alone and in one batch, because these may take different paths, through
both ways to act. The tolerances are in the vectors; `dspctl.runtime.reference.rounding` says how
they are measured.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dspctl.errors import ObservationInvalid
from dspctl.runtime.backends.runner import Runner
from dspctl.runtime.policy import Policy
from dspctl.runtime.reference.golden import Golden, golden_from_policy
from dspctl.runtime.reference.rounding import rounding_bound
from dspctl.runtime.strict_json import Fields

__all__ = [
    "Golden",
    "Parity",
    "golden_from_policy",
    "measure_parity",
    "rounding_bound",
]

_UNTOUCHED = -123456.0
"""What a buffer holds before a call. An int32 and a float32; no action of an environment."""


@dataclass(frozen=True)
class Parity:
    """How far a backend is from the reference.

    Attributes:
        backend: what was compared.
        observations: how many observations, each given alone and within one batch.
        largest_output_error: absolute, over all network outputs.
        largest_action_error: as a share of the action's range (of 1 where it has none); 0 for
            discrete actions.
        largest_bound_share: the largest ratio of an output error to its `rounding_bound`.
        disagreements: observations whose action differs by more than rounding explains. A
            discrete action counts when its reference logit is below the best one by more than
            `TIE` and by more than the rounding of the two; the guard's answer, unless it is
            exactly the safe action, or in mode ``hold`` nothing.
        ties: observations on which another discrete action was chosen and did not count.
        invalid: how many of the observations were invalid.
        wrong_statuses: observations of which another status was reported.
    """

    backend: str
    observations: int
    largest_output_error: float
    largest_action_error: float
    largest_bound_share: float
    disagreements: int
    ties: int
    invalid: int = 0
    wrong_statuses: int = 0

    @property
    def passed(self) -> bool:
        """True when every output is within its bound, and no action and no status disagrees."""
        return (
            self.largest_bound_share <= 1.0 and self.disagreements == 0 and self.wrong_statuses == 0
        )

    def __str__(self) -> str:
        return (
            f"{self.backend}: over {self.observations} observations, {self.invalid} of them "
            f"invalid, the largest output error is {self.largest_output_error:.3g} "
            f"({self.largest_bound_share:.3g} of what rounding allows), the largest action error "
            f"{self.largest_action_error:.3g} of the range, {self.disagreements} actions and "
            f"{self.wrong_statuses} statuses disagree"
        )

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)

    @staticmethod
    def from_json(value: Any) -> "Parity":
        """The inverse of `to_json`. Raises ValueError on anything else."""
        fields = Fields(value, "a parity record")
        parity = Parity(
            backend=fields.text("backend"),
            observations=fields.integer("observations"),
            largest_output_error=fields.number("largest_output_error"),
            largest_action_error=fields.number("largest_action_error"),
            largest_bound_share=fields.number("largest_bound_share"),
            disagreements=fields.integer("disagreements"),
            ties=fields.integer("ties"),
            invalid=fields.integer("invalid"),
            wrong_statuses=fields.integer("wrong_statuses"),
        )
        fields.finish()
        return parity


def measure_parity(runner: Runner, golden: Golden) -> Parity:
    """Run every observation, in one batch and one by one, and compare with *golden*.

    Errors that are not numbers count as infinite.
    """
    policy, observations = runner.policy, golden.observations
    rows = len(observations)
    outputs = [
        runner.outputs(observations),
        np.stack([runner.outputs(row) for row in observations]),
    ]
    errors = [_finite(np.abs(each - golden.outputs)) for each in outputs]
    action_error, wrong_status = 0.0, np.zeros(rows, bool)
    disagree, tie = np.zeros(rows, bool), np.zeros(rows, bool)
    for at, actions, status in _answers(runner, golden):
        wrong_status[at] |= status != golden.status[at]
        guarded = (golden.status[at] != 0) & (not policy.guard.repairs)
        expected = _as_written(golden.actions[at], golden.status[at], policy)
        exact = (actions == expected).reshape(len(at), -1).all(axis=1)
        found = _compare(policy, golden, at, actions)
        disagree[at] |= np.where(guarded, ~exact, found.wrong)
        tie[at] |= found.tied & ~guarded
        action_error = max(action_error, float(found.error[~guarded].max(initial=0.0)))
    return Parity(
        backend=runner.backend,
        observations=rows,
        largest_output_error=max(float(each.max()) for each in errors),
        largest_action_error=action_error,
        largest_bound_share=max(
            float(_finite(each / golden.output_bound[:, None]).max()) for each in errors
        ),
        disagreements=int(disagree.sum()),
        ties=int(tie.sum()),
        invalid=int(np.count_nonzero(golden.status)),
        wrong_statuses=int(wrong_status.sum()),
    )


def _answers(
    runner: Runner, golden: Golden
) -> Iterator[tuple[NDArray[np.int64], NDArray[Any], NDArray[Any]]]:
    """Which rows were given, the actions, and the statuses; for each of the four ways to act."""
    policy, rows = runner.policy, golden.observations
    everything = np.arange(len(rows))
    batch = np.full(golden.actions.shape, _UNTOUCHED, golden.actions.dtype)
    of_batch = np.asarray(runner.act(rows, batch))
    yield everything, batch, of_batch
    single = np.full(golden.actions.shape, _UNTOUCHED, golden.actions.dtype)
    buffers = single[:, None] if policy.action.discrete else single
    of_each = np.array([runner.act(row, buffer) for row, buffer in zip(rows, buffers, strict=True)])
    yield everything, single, of_each
    # A call has no status to report, and raises for what is invalid.
    at = everything if policy.guard.repairs else np.flatnonzero(golden.status == 0)
    if at.size:
        yield at, _called(runner, rows[at], single[at]), golden.status[at]
        alone = [_called(runner, rows[index], single[index]) for index in at]
        yield at, np.stack(alone), golden.status[at]


def _called(runner: Runner, observation: NDArray[Any], like: NDArray[Any]) -> NDArray[Any]:
    """What a call answers; where it raises although it must not, an action that never agrees."""
    try:
        return np.asarray(runner(observation))
    except ObservationInvalid:
        return np.full_like(like, _UNTOUCHED)


def _as_written(actions: NDArray[Any], status: NDArray[np.uint8], policy: Policy) -> NDArray[Any]:
    """What is in the caller's buffer afterwards: in mode ``hold``, what was there."""
    if policy.guard.on_invalid != "hold":
        return actions
    written = actions.copy()
    written[status != 0] = _UNTOUCHED
    return written


class _Compared(NamedTuple):
    """Per observation: a wrong action, another but equally good one, the error's share of the
    action's range; the guard's answers are not told apart.
    """

    wrong: NDArray[np.bool_]
    tied: NDArray[np.bool_]
    error: NDArray[np.float64]


def _compare(
    policy: Policy, golden: Golden, at: NDArray[np.int64], actions: NDArray[Any]
) -> _Compared:
    if golden.action_bound is not None:
        error = _finite(np.abs(actions.astype(np.float64) - golden.actions[at]))
        wrong = np.any(error > golden.action_bound[at], axis=1)
        return _Compared(wrong, np.zeros_like(wrong), (error / _action_range(policy)).max(axis=1))
    choice = actions.astype(np.int64) - policy.action.start
    best = golden.actions[at] - policy.action.start
    exists = (choice >= 0) & (choice < golden.outputs.shape[1])
    choice = np.where(exists, choice, 0)
    gap = golden.outputs[at, best] - golden.outputs[at, choice]
    allowed = np.zeros(len(at)) if golden.tie_gap is None else golden.tie_gap[at]
    wrong = ~exists | ~(gap <= allowed)
    return _Compared(wrong, ~wrong & (choice != best), np.zeros(len(at)))


def _action_range(policy: Policy) -> NDArray[np.float64]:
    spread = policy.action.high.astype(np.float64) - policy.action.low.astype(np.float64)
    return np.where(np.isfinite(spread) & (spread > 0), spread, 1.0)


def _finite(errors: NDArray[Any]) -> NDArray[np.float64]:
    """NaN becomes infinity, so that no comparison overlooks it."""
    return np.where(np.isnan(errors), np.inf, errors).astype(np.float64)
