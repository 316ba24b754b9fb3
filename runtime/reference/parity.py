"""Does a backend compute what the reference computes? Compared with golden vectors.

Every observation is given alone and in one batch, because these may take different paths, through
both ways to act. The tolerances are in the vectors; `dspctl.runtime.reference.rounding` says how
they are measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from dspctl.runtime.on_demand import errors
from dspctl.runtime.records import record
from dspctl.runtime.strict_json import Fields

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dspctl.runtime.backends.runner import Runner
    from dspctl.runtime.policy import Policy
    from dspctl.runtime.reference.golden import Golden

_UNTOUCHED = -123456.0
"""What a buffer holds before a call. An int32 and a float32; no action of an environment."""


@record(frozen=True)
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
        from dataclasses import asdict

        return asdict(self)

    @staticmethod
    def from_json(value: Any) -> Parity:
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

    Errors that are not numbers count as infinite. Row by row in Python: a device does this before
    its first action, and the array functions that it would take map 0.6 MB of NumPy's code.
    """
    rows = golden.observations
    largest_error = largest_share = 0.0
    for outputs in (runner.outputs(rows), (runner.outputs(row) for row in rows)):
        for found, wanted, bound in zip(
            outputs, golden.outputs, golden.output_bound.tolist(), strict=True
        ):
            error = max(_differences(found.tolist(), wanted.tolist()))
            largest_error = max(largest_error, error)
            largest_share = max(largest_share, _ratio(error, bound))
    judge = _Judge(runner.policy, golden)
    for answers in _answers(runner, golden):
        for answer in answers:
            judge.look_at(answer)
    return Parity(
        backend=runner.backend,
        observations=len(rows),
        largest_output_error=largest_error,
        largest_action_error=judge.largest_error,
        largest_bound_share=largest_share,
        disagreements=len(judge.wrong),
        ties=len(judge.tied),
        invalid=sum(status != 0 for status in golden.status.tolist()),
        wrong_statuses=len(judge.wrong_statuses),
    )


@record(frozen=True)
class _Answer:
    """What one way to act gave for one observation.

    Attributes:
        row: which observation.
        action: a number, or a list of them.
        status: what was reported.
    """

    row: int
    action: Any
    status: Any


def _answers(runner: Runner, golden: Golden) -> Iterator[Iterator[_Answer]]:
    """The answers to all observations; for each of the four ways to act."""
    policy, rows = runner.policy, golden.observations
    everything = range(len(rows))
    batch = _untouched(golden.actions.shape, golden.actions.dtype)
    of_batch = np.asarray(runner.act(rows, batch)).tolist()
    yield _paired(everything, _entries(batch), of_batch)
    single = _untouched(golden.actions.shape, golden.actions.dtype)
    buffers = single[:, None] if policy.action.discrete else single
    of_each = [runner.act(row, buffer) for row, buffer in zip(rows, buffers, strict=True)]
    yield _paired(everything, _entries(single), of_each)
    # A call has no status to report, and raises for what is invalid.
    expected = golden.status.tolist()
    at = [row for row in everything if policy.guard.repairs or expected[row] == 0]
    statuses = [expected[row] for row in at]
    if at:
        # Copied as bytes: picking rows by their indices takes another 64 KB of NumPy's code.
        picked = bytearray().join(rows[row].tobytes() for row in at)
        valid = np.frombuffer(picked, rows.dtype).reshape(len(at), -1)
        yield _paired(at, _entries(_called(runner, valid, golden)), statuses)
        alone = (_called(runner, row, golden).tolist() for row in valid)
        yield _paired(at, alone, statuses)


def _paired(
    rows: Iterable[int], actions: Iterable[Any], statuses: Iterable[Any]
) -> Iterator[_Answer]:
    """Raises ValueError where there are not as many actions or statuses as rows."""
    for row, action, status in zip(rows, actions, statuses, strict=True):
        yield _Answer(row, action, status)


def _untouched(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """A buffer that looks like no action."""
    buffer = np.empty(shape, dtype)
    buffer.fill(_UNTOUCHED)
    return buffer


def _called(runner: Runner, observation: NDArray[Any], golden: Golden) -> NDArray[Any]:
    """What a call answers; where it raises although it must not, an action that never agrees."""
    try:
        answer = runner(observation)
    except errors.ObservationInvalid:
        shape = (*observation.shape[:-1], *golden.actions.shape[1:])
        return _untouched(shape, golden.actions.dtype)
    # Making an array of a scalar takes another 64 KB of NumPy's code.
    return answer if isinstance(answer, np.generic) else np.asarray(answer)


def _entries(array: NDArray[Any]) -> Iterable[Any]:
    """The entries as numbers, or the rows as lists of numbers, one at a time."""
    return array.tolist() if array.ndim == 1 else (row.tolist() for row in array)


class _Judge:
    """Compares answers with the reference's, and remembers which observations were wrong.

    Attributes:
        wrong: observations whose action disagrees.
        tied: observations that got another, equally good discrete action.
        wrong_statuses: observations of which another status was reported.
        largest_error: of a continuous action, as a share of its range.
    """

    def __init__(self, policy: Policy, golden: Golden) -> None:
        self.wrong: set[int] = set()
        self.tied: set[int] = set()
        self.wrong_statuses: set[int] = set()
        self.largest_error = 0.0
        self._policy, self._golden = policy, golden
        self._statuses = golden.status.tolist()
        self._choices = golden.actions.tolist() if policy.action.discrete else []
        bounds = zip(policy.action.low.tolist(), policy.action.high.tolist(), strict=True)
        self._ranges = [high - low if 0 < high - low < math.inf else 1.0 for low, high in bounds]

    def look_at(self, answer: _Answer) -> None:
        """Take one answer into account."""
        row, guard = answer.row, self._policy.guard
        status = self._statuses[row]
        if answer.status != status:
            self.wrong_statuses.add(row)
        if status != 0 and not guard.repairs:
            if answer.action != self._written(row, held=guard.on_invalid == "hold"):
                self.wrong.add(row)
        elif self._policy.action.discrete:
            self._look_at_choice(row, answer.action, self._choices[row])
        else:
            self._look_at_numbers(row, answer.action)

    def _written(self, row: int, *, held: bool) -> Any:
        """What the guard leaves in the caller's buffer: its answer, or what was there."""
        actions = self._golden.actions
        if held:
            return _untouched(actions.shape[1:], actions.dtype).tolist()
        return self._choices[row] if self._policy.action.discrete else actions[row].tolist()

    def _look_at_numbers(self, row: int, action: list[float]) -> None:
        differences = _differences(action, self._golden.actions[row].tolist())
        bound = self._golden.action_bound
        if bound is not None:
            pairs = zip(differences, bound[row].tolist(), strict=True)
            if any(error > allowed for error, allowed in pairs):
                self.wrong.add(row)
        shares = map(_ratio, differences, self._ranges)
        self.largest_error = max(self.largest_error, *shares)

    def _look_at_choice(self, row: int, action: float, wanted: int) -> None:
        if action == wanted:
            return
        start, outputs = self._policy.action.start, self._golden.outputs[row].tolist()
        gap = self._golden.tie_gap
        allowed = 0.0 if gap is None else float(gap[row])
        exists = action - start in range(len(outputs))  # NaN and fractions are not
        if exists and outputs[wanted - start] - outputs[int(action) - start] <= allowed:
            self.tied.add(row)
        else:
            self.wrong.add(row)


def _differences(found: list[float], wanted: list[float]) -> list[float]:
    """Absolute differences; NaN becomes infinity, so that no comparison overlooks it."""
    pairs = zip(found, wanted, strict=True)
    return [math.inf if math.isnan(one - other) else abs(one - other) for one, other in pairs]


def _ratio(error: float, bound: float) -> float:
    """*error* as a share of *bound*; nothing is a share of 0."""
    return error / bound if bound else math.inf
