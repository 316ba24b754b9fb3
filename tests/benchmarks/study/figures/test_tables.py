from typing import Any

import numpy as np

from dspctl.benchmarks.study.figures.ablation_tables import ablations
from dspctl.benchmarks.study.figures.aggregate import aggregate_table, common_environments
from dspctl.benchmarks.study.figures.collecting import collect
from dspctl.benchmarks.study.figures.collection import Collection
from dspctl.benchmarks.study.figures.control_tables import NO_CONTROLS, control_table
from dspctl.benchmarks.study.figures.paper import REPORTED, paper_table, reported
from dspctl.benchmarks.study.figures.sweep_tables import sweep_table
from dspctl.benchmarks.study.figures.tables import results, returns_table, sizes_table
from dspctl.benchmarks.study.figures.wording import DASH, layouts, number, seeds, share_gone
from dspctl.benchmarks.study.record import CellResult
from tests.benchmarks.study.figures.made_up import RANDOM, cell, everything, study


def collected(*cells: CellResult, random: dict[str, float] | None = None) -> Collection:
    return collect([study(cells)], RANDOM if random is None else random)


def level(values: list[float], method: str = "dsp", **more: Any) -> list[CellResult]:
    """One cell a value, whose episodes all return it."""
    return [
        cell(method=method, seed=seed, returns=(value,) * 3, **more)
        for seed, value in enumerate(values)
    ]


def test_a_row_of_returns_by_hand() -> None:
    found = collected(*level([500, 480, 490, 510], "ppo"), *level([100, 200, 300, 400]))
    text = returns_table(found, "CartPole-v1")
    # IQM of four runs is the mean of the middle two. Kept: 250 / 495; over random: 230 / 475. The
    # interval reaches as far as the means of draws do: from 100 to 400.
    assert (
        "| `dsp` | 93% | 250.0 ± 129.1 | 250.0 [100.0, 400.0] | 51% | 0.48 | 100, 200, 300, 400 |"
        in text
    )
    assert "| 272.99 ± 124.96* |\n" in text
    assert "| 449.22* |\n" in text
    assert "272.99 is 39%" in text
    assert "- Seeds 0 to 3." in text
    # Four runs are all above or all below the median in 2 of 16 cases.
    assert "the median of all runs in 88% of cases only" in text


def test_a_row_of_sizes_by_hand() -> None:
    cells = [
        *level([500], "ppo"),
        cell(units=(9, 9)),
        cell(seed=1, units=(10, 8)),
        cell(seed=2, units=(9, 9)),
    ]
    text = sizes_table(collected(*cells), "CartPole-v1")
    # 4·9 + 9·9 + 9·2 = 135 and 4·10 + 10·8 + 8·2 = 136 weights of 17152; FLOPs (Eq 23) 7·9 + 17·9 +
    # 17·2 = 250 and 7·10 + 19·8 + 15·2 = 252 of 34046.
    expected = "| 9-9 ×2, 10-8 | 135 | 132 | 99.2% | 251 | 99.3% | 40,000 |"
    assert f"| `dsp` {expected}" in text
    assert "| `ppo` | 128-128 | 17,152 | 17,149 | 0.0% | 34,046 | 0.0% |" in text


def test_a_method_that_delivers_its_teacher_says_so() -> None:
    cells = [
        *level([500], "ppo"),
        cell(method="pops"),
        cell(method="pops", seed=1, units=(128, 128)),
    ]
    text = sizes_table(collected(*cells), "CartPole-v1")
    assert "- `pops` removed nothing at seed 1: no smaller network" in text
    assert "`ppo` removed" not in text


def test_one_seed_has_no_spread() -> None:
    text = returns_table(collected(*level([500], "ppo"), *level([400])), "CartPole-v1")
    assert "| `dsp` | 93% | 400.0 | 400.0 | 80% | 0.79 | 400 |" in text
    assert "One seed, 0: nothing is known of the spread" in text


def test_what_is_missing_is_a_note() -> None:
    cells = [
        *level([500, 500, 500], "ppo"),
        *level([400]),
        *level([300], "dsp-kd", sparsity=0.8),
        *level([300], "ssl", environment="Hopper-v5"),
        *level([300], "l1", variant="no norm"),
    ]
    text = returns_table(collected(*cells), "CartPole-v1")
    assert text.count("\n| `") == 2  # a row of dashes says no more than a note
    assert "`dsp-kd` was run at 80%, not at 93%." in text
    assert "Not run here: `ssl`." in text
    assert "`l1` was run as an ablation alone." in text
    assert "`dsp`: seed 0 only." in text
    assert "ssl" not in sizes_table(collected(*cells), "CartPole-v1")


def test_several_lambdas_without_the_recipes_are_no_row() -> None:
    grid = [cell(penalty=one, settings={"penalty": one}) for one in (1e-6, 1e-2)]
    text = returns_table(collected(*grid), "CartPole-v1")
    assert "at 93% with several lambdas, none of them the recipe's" in text
    assert "`ppo` was not run here, so no share" in text


def test_returns_below_zero_have_no_plain_share() -> None:
    more = {"environment": "Pendulum-v1"}
    cells = [*level([-200], "ppo", **more), *level([-300], **more)]
    text = returns_table(collected(*cells), "Pendulum-v1")
    assert "| -300.0 | -300.0 | – | 0.90 |" in text
    assert "not positive" in text
    text = returns_table(collected(*cells, random={}), "Pendulum-v1")
    assert "| -300.0 | -300.0 | – | – |" in text
    assert "acting at random earns was not measured" in text


def test_sweep_rows_by_hand() -> None:
    cells = [
        *level([400, 600], "ppo"),
        *level([300, 500], sparsity=0.8, units=(26, 26)),
        *level([100, 200]),
        *level([450, 550], "dsp-kd", sparsity=0.8, units=(26, 26)),
        *level([450], "dsp-kd", sparsity=0.985, units=(2, 2)),
    ]
    text = sweep_table(collected(*cells))
    # 26·4 + 26·26 + 26·2 = 832 of 17152 weights: 95.1% gone; 2·4 + 4 + 4 = 16: 99.91%.
    assert (
        "| CartPole-v1 | 80% | 400.0 ± 141.4 | 80% | 95.1% | 500.0 ± 70.7 | 100% | 95.1% |" in text
    )
    assert "| CartPole-v1 | 93% | 150.0 ± 70.7 | 30% | 99.2% | – | – | – |" in text
    # Of one seed, whose unpruned run earns 400.
    assert "| CartPole-v1 | 98.5% | – | – | – | 450.0 | 112% | 99.9% |" in text
    assert "not run" in text


def test_ablations_by_hand() -> None:
    variant: dict[str, Any] = {"variant": "no folding", "settings": {"fold_means": False}}
    hopper: dict[str, Any] = {"environment": "Hopper-v5"}
    cells = [
        *level([500, 500], "ppo"),
        *level([100, 200, 300]),
        *level([150, 200, 400], **variant),
        *level([3000, 3000], "ppo", **hopper),
        *level([1000, 2000], **hopper),
        *level([500, 600], **hopper, **variant),
    ]
    text = ablations(collected(*cells))
    # Seed by seed 50, 0 and 100 of the 480 between a random policy and the unpruned one.
    pole, hop = 500 - RANDOM["CartPole-v1"], 3000 - RANDOM["Hopper-v5"]
    assert (pole, hop) == (480, 2980)
    assert (
        "| `dsp` | no folding | CartPole-v1 | 250.0 ± 132.3 | 9-9 ×3 | +0.10 [0.00, +0.21] |"
        in text
    )
    # Minus 500 and minus 1400 of 2980.
    assert (
        "| `dsp` | no folding | Hopper-v5 | 550.0 ± 70.7 | 9-9 ×2 | \N{MINUS SIGN}0.32 "
        "[\N{MINUS SIGN}0.47, \N{MINUS SIGN}0.17] |" in text
    )
    assert "| `dsp` | no folding | all 2 | – | – | \N{MINUS SIGN}0.07 [" in text
    assert "| `dsp` | as it is | CartPole-v1 | 200.0 ± 100.0 | 9-9 ×3 | – |" in text


def test_ablations_compare_what_has_the_same_seed() -> None:
    variant: dict[str, Any] = {"variant": "no folding", "settings": {"fold_means": False}}
    cells = [
        *level([500, 500, 500], "ppo"),
        *level([100, 200, 300]),
        # The last seed alone, which the mean of all would make look better than it is.
        *[one for one in level([0, 0, 276], **variant) if one.seed == 2],
    ]
    text = ablations(collected(*cells))
    assert "| 276.0 | 9-9 | \N{MINUS SIGN}0.05 |" in text


def test_ablations_name_the_seeds_that_are_missing() -> None:
    one: dict[str, Any] = {"variant": "no folding", "settings": {"fold_means": False}}
    two: dict[str, Any] = {"variant": "relu", "settings": {"activation": "relu"}}
    cells = [*level([100, 200, 300]), *level([150, 200], **one)]
    assert "- CartPole-v1: all variants with seeds 0, 1 only." in ablations(collected(*cells))
    cells += level([150], **two)
    text = ablations(collected(*cells))
    assert "- CartPole-v1: `dsp` no folding with seeds 0, 1 only." in text
    assert "- CartPole-v1: `dsp` relu with seed 0 only." in text
    cells = [*level([100, 200, 300]), *level([150, 200, 100], **one)]
    assert "only" not in ablations(collected(*cells))


def test_controls_are_compared_seed_by_seed() -> None:
    cells = [
        *level([400, 500], "ppo"),
        *level([300, 500], "dsp"),
        *level([400, 100], "dense-small"),
    ]
    text = control_table(collected(*cells))
    # 430 from a random policy's 20 to the mean of the unpruned.
    assert RANDOM["CartPole-v1"] == 20
    assert (
        "| `dsp` minus `dense-small` | the same size from the first step "
        "| +0.35 [\N{MINUS SIGN}0.23, +0.93] | +0.35 [" in text
    )
    assert "kd" not in text
    cells += [
        *level([3000, 3000], "ppo", environment="Hopper-v5"),
        *level([2000, 3000], "dsp", environment="Hopper-v5"),
    ]
    (row,) = [line for line in control_table(collected(*cells)).splitlines() if "dense" in line]
    assert row.count("|") == 6
    assert row.endswith(f"| {DASH} | {DASH} |")


def test_aggregates_are_over_the_largest_table_without_a_gap() -> None:
    found = collect([everything()], RANDOM)
    assert found.environments == ("CartPole-v1", "Hopper-v5", "Pendulum-v1")
    assert common_environments(found) == ("CartPole-v1", "Hopper-v5")
    text = aggregate_table(found)
    runs = []
    for environment in ("CartPole-v1", "Hopper-v5"):
        scores = found.normalised(found.find(environment, "dsp-kd"))
        assert scores is not None
        runs += sorted(scores.tolist())
    middle = np.mean(sorted(runs)[2:8])
    (row,) = [line for line in text.splitlines() if line.startswith("| `dsp-kd` |")]
    assert row.startswith(f"| `dsp-kd` | 10 | {middle:.2f} [")
    assert "Not in these figures, for fewer methods were run there: Pendulum-v1." in text
    assert "| `ppo` | 10 | 1.00 [" in text


def test_a_method_with_a_gap_has_no_aggregate() -> None:
    cells = [
        one
        for environment in ("CartPole-v1", "Hopper-v5")
        for method in ("ppo", "dsp", "dsp-kd")
        for one in level([400, 500], method, environment=environment)
    ]
    text = aggregate_table(collected(*cells, *level([300, 200], "ssl")))
    assert f"| `ssl` | {' | '.join(['–'] * 6)} |" in text
    assert "`ssl` has no runs at this sparsity in Hopper-v5." in text


def test_nothing_stored_nothing_claimed() -> None:
    empty = collected()
    assert results(empty) == aggregate_table(empty) == "No results are stored yet."
    assert "yet" in sweep_table(empty)
    assert "yet" in ablations(empty)
    assert control_table(empty) == NO_CONTROLS
    assert "nothing to normalise" in aggregate_table(collected(*level([1])))


def test_the_papers_numbers() -> None:
    one = reported("Walker2d-v5", "dsp", 0.93)
    assert one is not None
    assert one.text == "1310.67 ± 899.28*"
    assert reported("Walker2d-v5", "dsp", 0.9) is None
    assert reported("Ant-v5", "dsp", 0.93) is None
    assert paper_table().count("\n| ") == len(REPORTED)
    # The fewest weights that 18 units in two layers can mean; the paper's claim is 96%.
    left = min(4 * first + first * (18 - first) + (18 - first) for first in range(1, 18))
    most = max(4 * first + first * (18 - first) + (18 - first) for first in range(1, 18))
    assert left < most < 0.0165 * (4 * 128 + 128 * 128 + 128)
    assert "at least 98.35%" in paper_table()


def test_words() -> None:
    assert [number(value) for value in (-0.04, 999.94, 999.96, -1234.5, None)] == [
        *("0.0", "999.9", "1000", "-1234", "–")
    ]
    assert [share_gone(left) for left in (1.0, 0.05, 0.0008, 0.0004, 0.00001)] == [
        *("0.0%", "95.0%", "99.9%", "99.96%", "99.999%")
    ]
    assert [seeds(value) for value in ([0], [0, 1], [0, 1, 2], [1, 3, 4])] == [
        *("0", "0, 1", "0 to 2", "1, 3, 4")
    ]
    (group,) = collected(cell(method="linear", sparsity=None, units=())).groups
    assert layouts(group) == "none"


def test_what_is_kept_is_a_share_of_the_same_seeds() -> None:
    """Seeds are not alike: one run against the mean of others would tell of its teacher."""
    cells = [*level([400, 100, 100], "ppo"), *level([200])]
    text = returns_table(collected(*cells), "CartPole-v1")
    row = next(line for line in text.splitlines() if line.startswith("| `dsp`"))
    assert "| 50% |" in row
