import numpy as np
import pytest

from dspctl.benchmarks.comparison.returns import Return, measure_return, return_differences
from dspctl.benchmarks.stats import Interval
from tests.benchmarks.networks import network

ANY = Interval(0.0, 0.0, 0.0)


def returns(label: str, values: list[float], *, seed: int = 7) -> Return:
    return Return(label, "CartPole-v1", seed, ANY, tuple(values), 0)


def test_episodes_are_paired() -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(200, 80, 100)  # episodes differ far more than the policies do
    first = returns("a", list(hard))
    second = returns("b", list(hard - 2 + rng.normal(0, 1, 100)))
    (found,) = return_differences([first, second])
    assert found.difference.estimate == pytest.approx(-2, abs=0.3)
    assert found.difference.high < -1.5
    assert found.share is not None
    assert found.share.low < 0.99 < found.share.high + 0.005


def test_other_episodes_are_not_paired() -> None:
    first = returns("a", [1.0, 2.0, 3.0])
    assert return_differences([first, returns("b", [1.0, 2.0, 3.0], seed=8)]) == ()
    assert return_differences([first, returns("b", [1.0, 2.0])]) == ()
    assert return_differences([]) == ()


def test_policies_meet_the_same_starts() -> None:
    pytest.importorskip("gymnasium")
    one, again = (measure_return("x", network((4, 4, 2)), episodes=5) for _ in range(2))
    assert one == again
    assert len(one.returns) == 5
    assert one.environment == "CartPole-v1"
    other = measure_return("x", network((4, 4, 2)), episodes=5, seed=100)
    assert other.returns != one.returns
