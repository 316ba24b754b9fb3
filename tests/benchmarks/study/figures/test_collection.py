from dataclasses import replace

import pytest

from dspctl.benchmarks.study.figures.collecting import collect
from dspctl.benchmarks.study.figures.collection import ordered, recipe_penalty
from dspctl.errors import NotComparable
from dspctl.trainer import recipe
from tests.benchmarks.study.figures.made_up import RANDOM, cell, study


def test_runs_are_grouped_by_all_but_the_seed() -> None:
    cells = [
        cell(seed=1, returns=(300.0, 500.0)),
        cell(seed=0, returns=(100.0, 200.0)),
        cell(seed=0, sparsity=0.8),
    ]
    found = collect([study(cells)], RANDOM)
    assert [(group.sparsity, group.seeds) for group in found.groups] == [
        (0.8, (0,)),
        (0.93, (0, 1)),
    ]
    group = found.groups[1]
    assert group.means.tolist() == [150.0, 400.0]
    assert group.mean == 275.0
    # Two values d apart have the standard deviation d / sqrt 2.
    assert group.standard_deviation == pytest.approx(250 / 2**0.5)
    assert found.groups[0].standard_deviation is None


def test_a_cell_of_two_studies_counts_once() -> None:
    one = cell(method="ppo")
    again = replace(one, seconds=99.0)
    found = collect([study([one]), study([again, cell()])], RANDOM)
    assert [group.method for group in found.groups] == ["ppo", "dsp"]
    assert found.groups[0].cells == (one,)


def test_runs_with_different_settings_are_not_mixed() -> None:
    short = cell(settings={"steps": 1000})
    with pytest.raises(NotComparable, match="seed 0 was run twice with different settings"):
        collect([study([cell(), short])], RANDOM)
    with pytest.raises(NotComparable, match=r"seeds 0 and 1 .*steps"):
        collect([study([short, cell(seed=1)])], RANDOM)
    # Sparsity and lambda have columns of their own.
    settings = {"sparsity": 0.9, "penalty": 1e-4}
    assert collect([study([cell(), cell(seed=1, settings=settings)])], RANDOM).groups


def test_the_recipes_lambda_stands_for_a_method() -> None:
    usual = recipe("CartPole-v1", method="dsp").penalty
    others = [cell(penalty=one * usual) for one in (0.01, 100)]
    assert collect([study(others)], RANDOM).find("CartPole-v1", "dsp") is None
    own = collect([study([*others, cell(penalty=usual)])], RANDOM).find("CartPole-v1", "dsp")
    assert own is not None
    assert own.penalty == usual
    alone = collect([study(others[:1])], RANDOM).find("CartPole-v1", "dsp")
    assert alone is not None
    assert alone.penalty == 0.01 * usual
    assert recipe_penalty("Nowhere-v1", "dsp") is None


def test_a_variant_may_have_a_lambda_of_its_own() -> None:
    cells = [cell(), cell(variant="none", penalty=0.0, settings={"penalty": 0.0})]
    found = collect([study(cells)], RANDOM)
    variant = found.find("CartPole-v1", "dsp", variant="none")
    assert variant is not None
    assert variant.penalty == 0.0
    assert found.variants("CartPole-v1", "dsp") == ("none",)


def test_normalised_returns_by_hand() -> None:
    cells = [
        cell(method="ppo", returns=(420.0,)),
        cell(method="ppo", seed=1, returns=(400.0,)),
        cell(returns=(215.0,)),
        cell("Hopper-v5", returns=(1000.0,)),
        cell("Pendulum-v1", method="ppo", returns=(-1300.0,)),
    ]
    found = collect([study(cells)], RANDOM)
    # Random earns 20, PPO 410 on average: 215 is halfway.
    scores = found.normalised(found.find("CartPole-v1", "dsp"))
    assert scores is not None
    assert scores.tolist() == [0.5]
    assert found.normalised(found.find("Hopper-v5", "dsp")) is None
    assert found.normalised(found.find("Pendulum-v1", "ppo")) is None
    assert found.normalised(None) is None


def test_unknown_methods_come_last_by_name() -> None:
    assert ordered(["zeta", "linear", "alpha", "dsp", "ppo"]) == (
        *("ppo", "dsp", "linear"),
        *("alpha", "zeta"),
    )
