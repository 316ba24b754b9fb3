from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dspctl.benchmarks.plots.style import new_figure, save
from dspctl.benchmarks.study.figures.ablation_plots import ablations_figure
from dspctl.benchmarks.study.figures.collecting import collect
from dspctl.benchmarks.study.figures.collection import Collection
from dspctl.benchmarks.study.figures.comparison_plots import (
    frontier_figure,
    improvement_figure,
    profiles_figure,
)
from dspctl.benchmarks.study.figures.looks import cut_below, look
from dspctl.benchmarks.study.figures.sweep_plots import lambda_figure, lambda_methods, sweep_figure
from dspctl.benchmarks.study.figures.training_plots import (
    learning_figure,
    returns_of,
    units_figure,
    units_of,
)
from tests.benchmarks.study.figures.made_up import RANDOM, cell, everything, study

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def found() -> Collection:
    return collect([everything(3)], RANDOM)


def lines_of(axes: object, method: str) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    """Heights of a panel's lines in a method's colour."""
    lines = axes.get_lines()  # type: ignore[attr-defined]
    return [np.asarray(x.get_ydata(), float) for x in lines if x.get_color() == look(method).color]


def test_sweep_points_are_means_and_bars_intervals(found: Collection) -> None:
    figure = sweep_figure(found)
    assert figure is not None
    # Pendulum has one sparsity, and no panel.
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["CartPole-v1", "Hopper-v5"]
    (heights,) = lines_of(figure.axes[1], "dsp")
    expected = []
    for sparsity in (0.8, 0.9, 0.93, 0.97, 0.99):
        group = found.find("Hopper-v5", "dsp", sparsity=sparsity)
        assert group is not None
        expected.append(group.mean)
    assert heights == pytest.approx(expected)
    bars = [one for one in figure.axes[1].collections if hasattr(one, "get_segments")]
    assert len(bars) == 10
    # Of three runs an interval is their range.
    group = found.find("Hopper-v5", "dsp", sparsity=0.8)
    assert group is not None
    assert bars[0].get_segments()[0][:, 1] == pytest.approx([group.means.min(), group.means.max()])
    assert float(lines_of(figure.axes[0], "ppo")[0][0]) == pytest.approx(
        found.scale("CartPole-v1")[1]  # type: ignore[index]
    )


def test_ablations_are_differences_seed_by_seed(found: Collection) -> None:
    figure = ablations_figure(found)
    assert figure is not None
    # Pendulum has no ablation, and no panel.
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["CartPole-v1", "Hopper-v5"]
    assert [one.get_text() for one in figure.axes[0].get_yticklabels()] == ["dsp: no folding"]
    ours, theirs = (found.find("Hopper-v5", "dsp", variant=name) for name in ("no folding", "base"))
    scale = found.scale("Hopper-v5")
    assert ours is not None
    assert theirs is not None
    assert scale is not None
    expected = (ours.means - theirs.means) / (scale[1] - scale[0])
    zero, point = figure.axes[1].get_lines()
    assert np.asarray(zero.get_xdata()).tolist() == [0, 0]
    assert np.asarray(point.get_xydata()).tolist() == [[pytest.approx(expected.mean()), 0]]
    (bar,) = [one for one in figure.axes[1].collections if hasattr(one, "get_segments")]
    ends = bar.get_segments()[0][:, 0].tolist()
    assert ends == pytest.approx([expected.min(), expected.max()])


def test_heat_maps_hold_the_means_and_hatch_what_was_not_run(found: Collection) -> None:
    assert lambda_methods(found) == ("dsp",)
    figure = lambda_figure(found, "dsp")
    assert figure is not None
    axes = figure.axes[0]
    image: Any = axes.get_images()[0].get_array()
    values = np.ma.filled(image, np.nan)
    # Rows are lambdas, upwards; columns the five sparsities.
    assert values.shape == (3, 5)
    assert np.isnan(values).sum() == 6
    group = found.find("CartPole-v1", "dsp")
    assert group is not None
    assert values[1, 2] == pytest.approx(group.mean)
    assert len(axes.patches) == 6
    assert [one.get_text() for one in axes.get_yticklabels()] == ["1e-6", "1e-4", "1e-2"]
    assert [one.get_text() for one in axes.get_xticklabels()] == ["80%", "90%", "93%", "97%", "99%"]


def test_learning_curves_are_means_over_seeds() -> None:
    cells = [cell(seed=seed, returns=(400.0,)) for seed in range(3)]
    found = collect([study(cells)], RANDOM)
    (group,) = found.groups
    aligned = returns_of(group)
    assert aligned is not None
    steps, returns = aligned
    # The first row has no episode yet; the curve is 400 (1 - 0.97^k) + seed at 1000 (k + 1) steps.
    assert (steps[0], steps[-1]) == (2000, 40_000)
    assert returns[:, 0] == pytest.approx(400 * 0.03 + np.arange(3))
    assert returns[:, -1] == pytest.approx(400 * (1 - 0.97**39) + np.arange(3))
    figure = learning_figure(found)
    assert figure is not None
    (heights,) = lines_of(figure.axes[0], "dsp")
    assert heights == pytest.approx(returns.mean(axis=0))
    shaded = np.asarray(figure.axes[0].collections[0].get_paths()[0].vertices)
    assert shaded[:, 1].min() == pytest.approx(returns[0, 0])


def test_units_are_held_until_the_next_row() -> None:
    found = collect([study([cell(units=(9, 5)), cell(method="ppo")])], RANDOM)
    group = found.find("CartPole-v1", "dsp")
    assert group is not None
    steps, units = units_of(group)
    assert units.shape == (1, 40, 2)
    assert steps[0] == 1000
    assert units[0, 0].tolist() == [128, 128]
    assert units[0, -1].tolist() == [9, 5]
    figure = units_figure(found)
    assert figure is not None
    assert len(figure.axes) == 2
    (second,) = lines_of(figure.axes[1], "dsp")
    assert second == pytest.approx(units[0, :, 1])
    # What loses no unit has no line.
    assert lines_of(figure.axes[0], "ppo") == []


def test_profiles_fall_from_one_to_zero(found: Collection) -> None:
    figure = profiles_figure(found)
    assert figure is not None
    (heights,) = lines_of(figure.axes[0], "dsp-kd")
    assert heights[0] == 1
    assert heights[-1] == 0
    assert (np.diff(heights) <= 0).all()


def test_improvements_are_over_the_environments_of_the_aggregates() -> None:
    more = [cell(method=name, returns=(400.0,)) for name in ("ssl", "kd-small")]
    found = collect([everything(3), study(more)], RANDOM)
    figure = improvement_figure(found)
    assert figure is not None
    names = [one.get_text() for one in figure.axes[0].get_yticklabels()]
    # Pendulum has two methods only, and counts for none; ssl lacks Hopper.
    assert names[0] == "dsp > ppo"
    assert "dsp-kd > dsp" in names
    assert "ssl > dsp  (1 of 2)" in names
    assert names[-1] == "dsp-kd > kd-small  (1 of 2)"
    (place,) = lines_of(figure.axes[0], "dsp")
    assert place.tolist() == [0]
    axis = figure.axes[0].get_lines()[1]
    estimate = found_probability(found)
    assert np.asarray(axis.get_xdata()).tolist() == pytest.approx([estimate])


def found_probability(found: Collection) -> float:
    """Of dsp-kd over ppo, the second row: brute force over pairs of runs."""
    shares = []
    for environment in ("CartPole-v1", "Hopper-v5"):
        ours = found.find(environment, "dsp-kd")
        theirs = found.find(environment, "ppo")
        assert ours is not None
        assert theirs is not None
        shares.append(np.mean([a > b for a in ours.means for b in theirs.means]))
    return float(np.mean(shares))


def test_frontier_places_every_group(found: Collection) -> None:
    figure = frontier_figure(found)
    assert figure is not None
    axes = figure.axes[0]
    assert axes.get_xscale() == "log"
    points = [one for one in axes.get_lines() if one.get_color() == look("dsp").color]
    stored = [one for one in points if len(np.asarray(one.get_xdata())) == 1]
    places = sorted(float(np.asarray(one.get_xdata())[0]) for one in stored)
    # 9-9 stores 135 of 17152 weights; 1-1 stores 7, of which 4 are not 0.
    assert any(place == pytest.approx(100 * 135 / 17_152) for place in places)
    assert places[0] == pytest.approx(100 * 4 / 17_152)


def test_one_that_fails_does_not_flatten_the_others() -> None:
    """A panel ends below a random policy's return, and says there what earns less."""
    from matplotlib.figure import Figure

    for lowest in (-900.0, -90.0):
        axes = Figure().subplots()
        axes.plot([80, 99], [100.0, lowest])
        cut_below(axes, -100.0, [(80, 100.0, "dsp"), (99, lowest, "dsp")], lambda one: f"{one:g}")
        below = lowest < -100
        assert [one.get_text() for one in axes.texts] == (["−900"] if below else [])
        low, high = axes.get_ylim()
        assert (low, high) == pytest.approx((-100, 116) if below else (-99.5, 109.5))


def test_nothing_stored_nothing_drawn() -> None:
    empty = collect([], RANDOM)
    for figure in (
        *(sweep_figure(empty), learning_figure(empty), units_figure(empty)),
        ablations_figure(empty),
        *(profiles_figure(empty), improvement_figure(empty), frontier_figure(empty)),
        lambda_figure(empty, "dsp"),
    ):
        assert figure is None


def test_one_seed_draws_without_intervals() -> None:
    figure = sweep_figure(collect([everything(1)], RANDOM))
    assert figure is not None
    assert not [one for one in figure.axes[0].collections if hasattr(one, "get_segments")]


def test_a_width_that_floats_miss_is_not_sheared(tmp_path: Path) -> None:
    """12.3 inches are 1968 pixels, 1967.99… in floats: a row too short would shear the picture."""
    from matplotlib.image import imread
    from matplotlib.lines import Line2D

    figure = new_figure(12.3, 1.0, layout=None)
    figure.add_artist(Line2D([0.5, 0.5], [0, 1], lw=9))
    picture = imread(save(figure, tmp_path / "x.png"))
    assert picture.shape[1] == 1968
    dark = np.asarray(picture[..., 0]) < 0.5
    assert dark[:, 984].all()
