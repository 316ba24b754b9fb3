import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dspctl.benchmarks import plots
from dspctl.benchmarks.plots.card import card_figure
from dspctl.benchmarks.plots.key_figures import Side, key_figures
from dspctl.benchmarks.plots.latency import latency_figure, survival
from dspctl.benchmarks.plots.learning import learning_figure, units_figure
from dspctl.benchmarks.plots.style import short_bytes, short_count, short_time
from dspctl.benchmarks.plots.weights import effective_weights, weights_figure
from dspctl.benchmarks.stats import percentile
from dspctl.errors import ConfigProblem, MissingExtra
from tests.benchmarks.networks import masked, metrics, network

pytest.importorskip("matplotlib")

BIG = network((4, 20, 20, 2))
MASKED = masked(network((4, 20, 20, 2), seed=1), [[3, 7], [0, 5, 9]])
SMALL = network((4, 2, 3, 2))
TIMES = np.random.default_rng(0).lognormal(9, 0.5, 5000).astype(np.int64)

DRAW: dict[str, Callable[[Path], Path]] = {
    "learning": lambda path: plots.plot_learning({"PPO": [metrics(prune=False)]}, path),
    "units": lambda path: plots.plot_units(metrics(), path),
    "weights": lambda path: plots.plot_weights({"before": BIG, "masked": MASKED}, path),
    "latency": lambda path: plots.plot_latency(
        {"numpy": {"unpruned": TIMES}}, path, medians={("numpy", "unpruned"): 9.0}
    ),
    "card": lambda path: plots.plot_card(Side("a", BIG), Side("b", SMALL), path, title="T"),
}


@pytest.mark.parametrize("name", DRAW)
def test_pictures_are_written_with_something_on_them(name: str, tmp_path: Path) -> None:
    from matplotlib.image import imread

    path = DRAW[name](tmp_path / "deep" / f"{name}.png")
    picture = imread(path)
    assert path == tmp_path / "deep" / f"{name}.png"
    assert picture.shape[0] > 400
    assert picture.shape[1] > 600
    assert 0.001 < np.mean(picture[..., :3].min(axis=-1) < 0.9) < 0.9


def test_the_same_data_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (DRAW["units"](tmp_path / name) for name in ("a.png", "b.png"))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("name", DRAW)
def test_without_matplotlib_the_extra_is_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"dspctl\[bench\]"):
        DRAW[name](tmp_path / "x.png")
    assert not list(tmp_path.iterdir())


def test_learning_curve_of_one_run() -> None:
    axes = learning_figure({"PPO": [metrics(prune=False)]}, title="T").axes[0]
    line = axes.get_lines()[0]
    # The first row has no finished episode yet.
    assert np.asarray(line.get_xdata()).tolist() == [100.0 * (index + 1) for index in range(1, 20)]
    assert np.asarray(line.get_ydata()).tolist() == [10.0 * index for index in range(1, 20)]
    assert line.get_label() == "PPO"
    assert "steps" in axes.get_xlabel()
    assert "return" in axes.get_ylabel()


def test_learning_curves_of_several_seeds_show_mean_and_range() -> None:
    runs = [metrics(offset=offset) for offset in (0.0, 30.0, 60.0)]
    axes = learning_figure({"DSP": runs}, title="T").axes[0]
    line = axes.get_lines()[0]
    steps, returns = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
    assert returns == pytest.approx(10 * (steps / 100 - 1) + 30)
    band = axes.collections[0].get_paths()[0].vertices
    assert np.asarray(band)[:, 1].min() == pytest.approx(10)
    assert np.asarray(band)[:, 1].max() == pytest.approx(190 + 60)
    assert "3 runs" in str(line.get_label())


def test_a_run_without_a_finished_episode_draws_no_line() -> None:
    rows = metrics(1, prune=False)
    assert len(learning_figure({"PPO": [rows]}, title="T").axes[0].get_lines()) == 0


def test_units_schedule_and_threshold() -> None:
    rows = metrics()
    top, middle, bottom = units_figure(rows, title="T").axes
    first, second = top.get_lines()[:2]
    assert np.asarray(first.get_ydata()).tolist() == [row["units"][0] for row in rows]
    assert np.asarray(second.get_ydata()).tolist() == [row["units"][1] for row in rows]
    drawn = {str(line.get_label()): np.asarray(line.get_ydata()) for line in middle.get_lines()}
    assert drawn["weights removed"] == pytest.approx([100 * row["weight_sparsity"] for row in rows])
    assert drawn["units, scheduled"] == pytest.approx(
        [100 * row["scheduled_sparsity"] for row in rows]
    )
    threshold = np.asarray(bottom.get_lines()[0].get_ydata())
    shown = ~np.isnan(threshold)
    # Pruning takes the middle half; before and after it no threshold is in force.
    assert shown.any()
    assert not shown[:5].any()
    assert not shown[17:].any()
    assert threshold[10] == pytest.approx(rows[10]["threshold"])
    assert bottom.get_yscale() == "log"


def test_an_unpruned_run_has_no_threshold_to_draw() -> None:
    *_, bottom = units_figure(metrics(prune=False), title="T").axes
    assert np.isnan(np.asarray(bottom.get_lines()[0].get_ydata())).all()


def test_weight_maps_hold_the_weights() -> None:
    figure = weights_figure({"before": BIG, "masked": MASKED, "compacted": SMALL}, title="T")
    images = [axes.get_images()[0].get_array() for axes in figure.axes[:6] if axes.get_images()]
    first = np.abs(BIG.layers[0].weight).T
    assert np.array_equal(np.asarray(images[0]), first)
    assert np.asarray(images[1]).shape == (4, 20)
    assert np.flatnonzero(np.asarray(images[1]).sum(axis=0)).tolist() == [3, 7]
    second = np.asarray(images[4])
    assert np.flatnonzero(second.sum(axis=0)).tolist() == [3, 7]
    assert np.flatnonzero(second.sum(axis=1)).tolist() == [0, 5, 9]
    assert np.asarray(images[5]).shape == (3, 2)


def test_effective_weights_reproduce_the_masked_network() -> None:
    found = effective_weights(MASKED)
    assert np.array_equal(found[0][3], np.abs(MASKED.layers[0].weight[3]))
    assert not found[0][4].any()
    assert not found[2][:, 1].any()
    assert np.array_equal(found[2][:, 5], np.abs(MASKED.layers[2].weight[:, 5]))


def test_weight_maps_need_a_hidden_layer() -> None:
    with pytest.raises(ConfigProblem, match="hidden layer"):
        weights_figure({"linear": network((4, 2))}, title="T")
    with pytest.raises(ConfigProblem, match="hidden layer"):
        weights_figure({}, title="T")


def test_survival_is_one_minus_the_distribution_function() -> None:
    x, share = survival(np.array([5, 1, 3, 9]))
    assert x.tolist() == [1, 3, 5]
    assert share == pytest.approx([0.75, 0.5, 0.25])
    x, share = survival(TIMES)
    assert len(x) <= 2000
    for at in (1, len(x) // 2, len(x) - 1):
        assert share[at] == pytest.approx(np.mean(x[at] < TIMES), abs=2e-3)


def test_latency_panels_and_percentile_marks() -> None:
    samples = {"numpy": {"a": TIMES, "b": TIMES // 2}, "onnxruntime": {"a": TIMES}}
    medians = {("numpy", "a"): 8000.0, ("numpy", "b"): 9.0, ("onnxruntime", "a"): 7.0}
    figure = latency_figure(samples, medians=medians, title="T")
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["numpy", "onnxruntime"]
    curve, marks = figure.axes[0].get_lines()[:2]
    assert np.asarray(curve.get_xdata()).tolist() == survival(TIMES)[0].tolist()
    assert np.asarray(marks.get_xdata()).tolist() == [
        percentile(TIMES, share) for share in (0.5, 0.9, 0.99, 0.999)
    ]
    # Stated as in the tables: single calls hold a reading of the clock.
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert [one.get_text() for one in legend.get_texts()] == ["a: 8 µs median", "b: 9 ns median"]
    assert figure.axes[0].get_xscale() == figure.axes[0].get_yscale() == "log"


def test_key_figures_of_a_network_that_grew_or_had_no_layer() -> None:
    linear = network((4, 2))
    grown = {one.name: one.change for one in key_figures(Side("a", linear), Side("b", SMALL))}
    assert grown["hidden units"] == "5 more"
    assert grown["weights"] == "12 more"
    assert grown["parameter memory"].endswith("larger")
    same = {one.name: one.change for one in key_figures(Side("a", linear), Side("b", linear))}
    assert same["hidden units"] == "as many"


@pytest.mark.parametrize("samples", [{}, {"numpy": {}}])
def test_no_samples_no_picture(samples: dict[str, Any]) -> None:
    with pytest.raises(ConfigProblem, match="no latency samples"):
        latency_figure(samples, medians={}, title="T")


def test_card_draws_every_node_and_edge() -> None:
    figure = card_figure(Side("a", BIG), Side("b", SMALL), title="T", note="N")
    for axes, policy, ghosts in ((figure.axes[0], BIG, 0), (figure.axes[1], SMALL, 18 + 17)):
        edges = [one for one in axes.collections if hasattr(one, "get_segments")]
        assert sum(len(one.get_segments()) for one in edges) == policy.counts.weights
        dots = [one for one in axes.collections if not hasattr(one, "get_segments")]
        nodes = 4 + policy.counts.total_units + 2
        assert sum(len(np.asarray(one.get_offsets())) for one in dots) == nodes + ghosts


def test_card_of_a_linear_policy() -> None:
    figure = card_figure(Side("a", BIG), Side("b", network((4, 2))), title="T", note="")
    edges = [one for one in figure.axes[1].collections if hasattr(one, "get_segments")]
    assert sum(len(one.get_segments()) for one in edges) == 8


def test_key_figures() -> None:
    before, after = Side("a", BIG, 200.0, 8_000.0), Side("b", SMALL, 190.0, 2_000.0)
    rows = [(one.name, one.before, one.after, one.change) for one in key_figures(before, after)]
    assert rows == [
        ("hidden units", "40", "5", "88% removed"),
        ("weights", "520", "20", "96.2% removed"),
        ("parameter memory", "2.25 kB", "108 B", "21× smaller"),
        ("return", "200", "190", "95% kept"),
        ("median latency", "8 µs", "2 µs", "4.0× faster"),
    ]
    assert len(key_figures(Side("a", BIG), Side("b", SMALL))) == 3
    worse = key_figures(Side("a", BIG, -200.0, 1_000.0), Side("b", SMALL, -250.5, 1_500.0))
    assert [one.change for one in worse[3:]] == ["−50.5", "1.50× slower"]


def test_units_of_the_labels() -> None:
    assert [short_time(value) for value in (42, 5_120, 1.5e6, 2e9)] == [
        "42 ns",
        "5.12 µs",
        "1.5 ms",
        "2 s",
    ]
    assert [short_bytes(value) for value in (844, 72_720, 3e6)] == ["844 B", "72.7 kB", "3 MB"]
    assert [short_count(value) for value in (950, 17_920, 1e6)] == ["950", "17.9k", "1M"]
