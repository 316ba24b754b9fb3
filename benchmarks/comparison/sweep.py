"""How each backend's time grows with the width of the network, and where they cross.

Two hidden layers of equal width, with random weights: time depends on the shape alone, so nothing
has to be trained. Everything around the layers is the given policy's.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise

import numpy as np

from dspctl.benchmarks.comparison.wording import listed, three_digits
from dspctl.benchmarks.record.result import BenchResult
from dspctl.benchmarks.request import C
from dspctl.errors import ConfigProblem
from dspctl.runtime import Layer, Policy

WIDTHS = (4, 8, 16, 32, 64, 128, 256, 512)
WIDEST = 4096
_LABEL = "width "


@dataclass(frozen=True)
class Crossover:
    """Where two backends are equally fast.

    Attributes:
        below: the backend that is faster on narrower networks.
        above: the one that is faster on wider ones.
        width: of the hidden layers, interpolated between two measured widths, logarithms on both
            axes.
        between: those two widths.
    """

    below: str
    above: str
    width: float
    between: tuple[int, int]


def sweep_policies(policy: Policy, widths: Sequence[int], *, seed: int = 0) -> dict[str, Policy]:
    """Policies that differ in width alone.

    Args:
        policy: whose observation, guard, normaliser, activation and action rule they have.
        widths: of both hidden layers, ascending.
        seed: of the weights.

    Returns:
        label → policy, narrowest first.

    Raises:
        ConfigProblem: fewer than two widths, or one outside 1 to 4096.
    """
    chosen = sorted(set(widths))
    if len(chosen) < 2 or chosen[0] < 1 or chosen[-1] > WIDEST:
        raise ConfigProblem(
            f"a sweep needs at least two different widths from 1 to {WIDEST}, not "
            f"{', '.join(map(str, widths)) or 'none'}: for example {','.join(map(str, WIDTHS))}"
        )
    return {
        f"{_LABEL}{width}": with_random_weights(policy, (width, width), seed=seed)
        for width in chosen
    }


def with_random_weights(policy: Policy, hidden: Sequence[int], *, seed: int = 0) -> Policy:
    """A policy of other widths that costs what a trained one does.

    Args:
        policy: whose observation, guard, normaliser, activation and action rule it has.
        hidden: units per hidden layer.
        seed: of the weights.
    """
    rng = np.random.default_rng(seed)
    activation = policy.hidden[0].activation if policy.hidden else "tanh"
    sizes = (policy.inputs.size, *hidden, policy.layers[-1].width)
    layers = tuple(
        Layer(
            # Variance 1 / fan_in keeps activations of ordinary size at every width.
            (rng.standard_normal((after, before)) / math.sqrt(before)).astype(np.float32),
            np.zeros(after, np.float32),
            "identity" if index == len(sizes) - 2 else activation,
        )
        for index, (before, after) in enumerate(pairwise(sizes))
    )
    return replace(policy, layers=layers, lineage={"method": "random weights", "seed": seed})


def width_of(label: str) -> int:
    """The width that a label of `sweep_policies` names."""
    return int(label.removeprefix(_LABEL))


def is_sweep(result: BenchResult) -> bool:
    """Whether a result is that of a sweep."""
    return len(result.subjects) > 1 and all(
        one.label.startswith(_LABEL) and one.label.removeprefix(_LABEL).isdigit()
        for one in result.subjects
    )


def crossovers(result: BenchResult) -> tuple[Crossover, ...]:
    """Every change of order between two backends, by their median back to back.

    A change counts only where the two intervals of a width do not overlap on either side of it,
    so that two equally fast backends do not cross at random.
    """
    return tuple(_crossovers(_curves(result)))


def sweep_verdict(result: BenchResult) -> str:
    """Which backend is fastest at which width, in a sentence; the static program apart."""
    curves = _curves(result)
    from_python = {name: curve for name, curve in curves.items() if name != C}
    said = [_fastest(curves, "Fastest is")] if C in curves or not from_python else []
    if from_python:
        said.append(_fastest(from_python, "called from Python," if said else "Fastest is"))
    said += [
        f"{one.above} overtakes {one.below} near width {three_digits(one.width)}"
        for one in crossovers(result)
    ]
    return f"{'; '.join(said)}." if curves else ""


def _fastest(curves: "_Curves", begin: str) -> str:
    """Stretches of widths with the backend that has the shortest median there."""
    widths = sorted({width for curve in curves.values() for width in curve})
    stretches: list[tuple[str, int, int]] = []
    for width in widths:
        best = min(
            (name for name in curves if width in curves[name]),
            key=lambda name: curves[name][width].middle,
        )
        if stretches and stretches[-1][0] == best:
            stretches[-1] = (best, stretches[-1][1], width)
        else:
            stretches.append((best, width, width))
    parts = [
        f"{name} at width {first}" if first == last else f"{name} from width {first} to {last}"
        for name, first, last in stretches
    ]
    return f"{begin} {listed(parts)}"


@dataclass(frozen=True)
class _Point:
    low: float
    middle: float
    high: float


_Curves = Mapping[str, Mapping[int, _Point]]


def _curves(result: BenchResult) -> _Curves:
    curves: dict[str, dict[int, _Point]] = {}
    for one in result.latency:
        point = _Point(one.p50_ns.low, one.p50_ns.estimate, one.p50_ns.high)
        curves.setdefault(one.backend, {})[width_of(one.label)] = point
    return curves


def _crossovers(curves: _Curves) -> Iterator[Crossover]:
    for first, second in combinations(curves, 2):
        apart = []  # widths at which one is clearly the faster, and by how much in logarithms
        for width in sorted(curves[first].keys() & curves[second].keys()):
            a, b = curves[first][width], curves[second][width]
            if a.high < b.low or b.high < a.low:
                apart.append((width, math.log(a.middle / b.middle)))
        for (narrow, before), (wide, after) in pairwise(apart):
            if (before < 0) == (after < 0):
                continue
            share = before / (before - after)
            width = narrow * (wide / narrow) ** share
            below, above = (first, second) if before < 0 else (second, first)
            yield Crossover(below, above, width, (narrow, wide))
