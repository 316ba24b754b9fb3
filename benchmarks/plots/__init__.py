"""Pictures, drawn with matplotlib from plain data. Each function takes a path and returns it."""

from dspctl.benchmarks.plots.card import plot_card
from dspctl.benchmarks.plots.key_figures import Side
from dspctl.benchmarks.plots.latency import plot_latency
from dspctl.benchmarks.plots.learning import plot_learning, plot_units
from dspctl.benchmarks.plots.weights import plot_weights

__all__ = ["Side", "plot_card", "plot_latency", "plot_learning", "plot_units", "plot_weights"]
