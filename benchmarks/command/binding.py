"""What calling C from Python costs, and whether that is all that the native backend adds.

On the same golden observations, in one interleaved run, are timed: the bundle's static program,
which is C timed from C; the native backend; and the native backend's own closure around a C
function that does nothing. The last one is the *cost of the binding*: type and shape are checked,
the observation is copied, ctypes calls and returns, an action is looked up. The native backend
should take no longer than the program and the binding together:

    native - program <= binding

Every call from Python is timed alone, right after an untimed call of the policy. So the binding
alone finds the caches and the branch history that the policy leaves behind, as it does in use. The
clock's cost, taken in the same way, is subtracted. Clocks tick in steps of up to tens of
nanoseconds, and a median is one of those steps; the mean of the middle half of the calls stands for
it here.

The function that does nothing is ``pthread_equal`` of the C library: it compares two addresses,
which are different ones, and returns 0 without looking at what is there.
"""

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.benchmarks.calls.latency import Call
from dspctl.benchmarks.calls.scheduling import Wanted, scheduled
from dspctl.benchmarks.calls.timer import ReadClock, calibrate, collector_off
from dspctl.benchmarks.command.answer import RunCommand
from dspctl.benchmarks.command.programs import command_of
from dspctl.benchmarks.command.raw import read_samples
from dspctl.benchmarks.command.run import run_here
from dspctl.benchmarks.stats import Interval, percentile_interval
from dspctl.errors import BackendUnavailable, ConfigProblem
from dspctl.runtime.backends.native_library import Library, library_from_bundle
from dspctl.runtime.backends.native_runner import NativeRunner
from dspctl.runtime.bundle import POLICY, Bundle, open_bundle

PROGRAM = "program"
"""The label under which a `RunCommand` is asked."""
ROUNDS, FEWEST_ROUNDS = 20, 5
_FEWEST_CALLS = 100

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Binding:
    """What one interleaved run found; nanoseconds per call, medians over rounds.

    Attributes:
        bundle: the folder's name.
        target: of the native code.
        policy_sha256: of the policy file.
        rounds: turns of each.
        calls: calls of each kind from Python.
        program_ns: the static program.
        native_ns: the native backend.
        binding_ns: its closure around a function that does nothing.
        difference_ns: native - program.
        excess_ns: native - program - binding: what the binding does not account for.
        notes: what the system refused.
    """

    bundle: str
    target: str
    policy_sha256: str
    rounds: int
    calls: int
    program_ns: Interval
    native_ns: Interval
    binding_ns: Interval
    difference_ns: Interval
    excess_ns: Interval
    notes: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether no difference beyond the binding's cost was measured."""
        return self.excess_ns.low <= 0

    @property
    def conclusion(self) -> str:
        """In one sentence."""
        difference, cost = self.difference_ns.estimate, self.binding_ns.estimate
        low, high = self.excess_ns.low, self.excess_ns.high
        what = (
            f"the native backend takes {difference:.1f} ns longer than the static program, and its "
            f"binding takes {cost:.1f} ns"
        )
        if high <= 0:
            return f"{what}: no more than the binding, by {-high:.1f} to {-low:.1f} ns"
        if self.holds:
            return f"{what}: no difference beyond it was measured ({low:+.1f} to {high:+.1f} ns)"
        return f"{what}: {low:.1f} to {high:.1f} ns of it are not the binding's"


def binding_cost(
    bundle: Path,
    *,
    seconds: float = 6.0,
    rounds: int = ROUNDS,
    wanted: Wanted | None = None,
    run: RunCommand | None = None,
    on_round: Callable[[int, int], None] | None = None,
) -> Binding:
    """Time the static program, the native backend and the binding alone, in turns.

    Args:
        bundle: the folder, with native code for this machine.
        seconds: of timing, all rounds of everything together.
        rounds: turns of each, at least 5.
        wanted: what to ask of the operating system; the program inherits it, apart from locked
            memory.
        run: runs the program, under the label ``program``; None runs the bundle's own.
        on_round: called with rounds done and rounds in all.

    Raises:
        ConfigProblem: too few rounds, or no time.
        BackendUnavailable: the bundle has no native code, or it does not run here.
        WrongProcessor, BundleProblem: as in `command_of`.
    """
    if rounds < FEWEST_ROUNDS or not seconds > 0:
        raise ConfigProblem(
            f"the binding's cost takes at least {FEWEST_ROUNDS} rounds and more than 0 seconds"
        )
    program = run or run_here({PROGRAM: command_of(bundle)})
    opened = open_bundle(bundle)
    library = library_from_bundle(opened)
    each_s = seconds / (2 * rounds)
    found: list[_Round] = []
    with (
        NativeRunner(opened.policy, library) as native,
        NativeRunner(opened.policy, _doing_nothing(library)) as nothing,
        scheduled(wanted or Wanted()) as granted,
        collector_off(),
    ):
        python = _Python(native, nothing, _observations(opened), calibrate().read)
        calls = python.calls_in(each_s)
        again: tuple[str, ...] = ()
        for turn in range(rounds):
            from_python = python.take(calls, turn) if turn % 2 == 0 else None
            program_ns, again = _program_ns(program, each_s, again)
            native_ns, binding_ns = from_python or python.take(calls, turn)
            found.append(_Round(program_ns, native_ns, binding_ns))
            if on_round is not None:
                on_round(turn + 1, rounds)
    columns = (np.array([getattr(one, name) for one in found]) for name in _Round.__annotations__)
    in_c, in_python, around = columns
    return Binding(
        bundle=bundle.name,
        target=library.target,
        policy_sha256=opened.manifest.files[POLICY].sha256,
        rounds=rounds,
        calls=calls * rounds,
        program_ns=_median(in_c),
        native_ns=_median(in_python),
        binding_ns=_median(around),
        difference_ns=_median(in_python - in_c),
        excess_ns=_median(in_python - in_c - around),
        notes=granted.notes(),
    )


@dataclass(frozen=True)
class _Round:
    """Nanoseconds per call."""

    program_ns: float
    native_ns: float
    binding_ns: float


@dataclass(frozen=True, eq=False)
class _Python:
    """Calls from Python.

    Attributes:
        native: the native backend.
        nothing: the same around a function that does nothing.
        observations: float32 [n, obs_dim], raw.
        read: the clock.
    """

    native: Call
    nothing: Call
    observations: NDArray[np.float32]
    read: ReadClock

    def calls_in(self, seconds: float) -> int:
        """How many calls of each kind take so long together; warms up, too."""
        start = self.read()
        calls = 3 * _FEWEST_CALLS
        for turn in range(3):
            self.take(_FEWEST_CALLS, turn)
        return max(_FEWEST_CALLS, int(calls * seconds * 1e9 / max(self.read() - start, 1)))

    def take(self, calls: int, turn: int) -> tuple[float, float]:
        """One call of the native backend, and of the binding alone, in one round."""
        # As in the program, in an order that no branch predictor learns.
        picks = np.random.default_rng(turn).integers(0, len(self.observations), calls)
        rows = list(self.observations)
        order = [rows[pick] for pick in picks]
        kinds: list[Callable[[], float]] = [
            lambda: self._middle(self.native, order),
            lambda: self._middle(self.nothing, order),
            lambda: self._middle(None, order),
        ]
        # Every kind is first in one round, second in another, and last in a third.
        spent = {(turn + step) % 3: kinds[(turn + step) % 3]() for step in range(3)}
        return spent[0] - spent[2], spent[1] - spent[2]

    def _middle(self, timed: Call | None, order: Sequence[NDArray[np.float32]]) -> float:
        """Mean of the middle half of calls, the clock included; None times the clock itself."""
        native, read = self.native, self.read
        spent = np.empty(len(order), np.int64)
        for index, observation in enumerate(order):
            native(observation)
            if timed is None:
                start = read()
                end = read()
            else:
                start = read()
                timed(observation)
                end = read()
            spent[index] = end - start
        spent.sort()
        quarter = len(order) // 4
        return float(spent[quarter : len(order) - quarter].mean())


def _program_ns(
    program: RunCommand, seconds: float, again: tuple[str, ...]
) -> tuple[float, tuple[str, ...]]:
    """One call by the program, and the arguments by which it does the same again."""
    words = ("--back-to-back", "--seconds", f"{max(0.01, seconds):.9g}", *again)
    raw = read_samples(program(PROGRAM, words).samples)
    if raw.block_ns.size == 0:
        raise BackendUnavailable("the program measured no calls: export the bundle again")
    same = ("--block-calls", str(raw.calls_per_block))
    return float(np.median(raw.block_ns)) / raw.calls_per_block, same


def _doing_nothing(library: Library) -> Library:
    """*library* with another function in place of ``NAME_act``, opened in the same way."""
    try:
        act: Any = ctypes.PyDLL(None).pthread_equal
    except (AttributeError, OSError, TypeError) as error:
        raise BackendUnavailable(
            "this system's C library has no pthread_equal, so the binding's cost cannot be "
            "measured: do it on Linux"
        ) from error
    return Library(library.target, act, library.outputs, library.act_batch)


def _observations(bundle: Bundle) -> NDArray[np.float32]:
    """The ones that the program is given: the golden ones that are valid, else all."""
    golden = bundle.golden
    if golden is None:
        raise BackendUnavailable("the bundle has no golden vectors: export the policy again")
    valid = golden.observations[golden.status == 0]
    chosen = valid if len(valid) else golden.observations
    # A dtype read from a file equals float32 and is another object: not the fast way of a call.
    return np.array(chosen.tolist(), np.float32)


def _median(values: FloatArray) -> Interval:
    """The median over rounds, which are what is resampled."""
    return percentile_interval([np.array([value]) for value in values], 0.5)
