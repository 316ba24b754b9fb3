"""What the page shows, ready to be put into its template: nothing there is computed any more."""

from collections.abc import Sequence
from dataclasses import dataclass

from dspctl.benchmarks.report.animation import Animation
from dspctl.benchmarks.report.chart import Drawing
from dspctl.benchmarks.report.figures import BackendTable, Figure, Group
from dspctl.benchmarks.report.heatmaps import Maps
from dspctl.benchmarks.report.network import Shrinking


@dataclass(frozen=True)
class DataTable:
    """The numbers behind a chart, thinned where there are thousands."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Chart:
    """One chart with its words.

    Attributes:
        name: unique on the page.
        title: short.
        drawing: the SVG.
        caption: what is seen, in a sentence or two.
        table: the numbers behind it; None where they stand in the tables above.
        wide: whether it takes a whole row.
    """

    name: str
    title: str
    drawing: Drawing
    caption: str
    table: DataTable | None = None
    wide: bool = False


@dataclass(frozen=True)
class Key:
    """A large number.

    Attributes:
        figure: the number.
        name: what it is.
        detail: from what to what, and the interval.
    """

    figure: Figure
    name: str
    detail: str


@dataclass(frozen=True)
class Fact:
    """A name and a value of the provenance."""

    name: str
    value: str


@dataclass(frozen=True)
class Provenance:
    """Where figures come from.

    Attributes:
        title: of what.
        command: that made it.
        facts: machine, versions, settings, hashes.
        notes: what weakens the figures, and what to do.
        remarks: the same about single figures.
    """

    title: str
    command: str
    facts: tuple[Fact, ...]
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class ResultView:
    """One benchmark.

    Attributes:
        number: of the result, from 0: figures carry it beside their pointer.
        place: machine and date in a few words; shown where there are several results.
        labels: of the subjects, the baseline first.
        verdict: in one sentence.
        partial: True while the benchmark had not ended.
        keys: the large numbers.
        advice: which backend to use: label and sentence.
        groups: what does not depend on a backend.
        backends: one table each.
        medians: the chart of medians, or None.
        back_to_back: distributions, one chart per backend.
        paced: those of the control loop.
        pace_caption: what the control loop showed.
        resources: charts of memory, sizes and energy.
        returns: the chart of episodes, or None.
    """

    number: int
    place: str
    labels: tuple[str, ...]
    verdict: str
    partial: bool
    keys: tuple[Key, ...]
    advice: tuple[tuple[str, str], ...]
    groups: tuple[Group, ...]
    backends: tuple[BackendTable, ...]
    medians: Chart | None
    back_to_back: tuple[Chart, ...]
    paced: tuple[Chart, ...]
    pace_caption: str
    resources: tuple[Chart, ...]
    returns: Chart | None


@dataclass(frozen=True)
class NetworkView:
    """The drawing of one run's network.

    Attributes:
        name: unique on the page.
        label: of the run.
        drawing: dots, edges and moments.
    """

    name: str
    label: str
    drawing: Shrinking


@dataclass(frozen=True)
class MapsView:
    """Weight maps and what is seen on them."""

    name: str
    maps: Maps
    caption: str


@dataclass(frozen=True)
class TrainingView:
    """What happened in training.

    Attributes:
        summary: of the runs, a table.
        learning: returns, or None.
        pruning: units, sparsity and threshold of each pruned run.
        networks: one drawing per pruned run.
        maps: weight maps, or None.
    """

    summary: DataTable
    learning: Chart | None
    pruning: tuple[Chart, ...]
    networks: tuple[NetworkView, ...]
    maps: MapsView | None


@dataclass(frozen=True)
class Missing:
    """Something that is not on the page, and the command that adds it."""

    what: str
    command: str


@dataclass(frozen=True)
class ChapterView:
    """Everything about one environment.

    Attributes:
        environment: gymnasium id.
        lead: without a result, what is known, in a sentence.
        labels: of everything that has a colour, the baseline first.
        results: the benchmarks.
        training: of the runs, or None.
        maps: weight maps of bundles where there is no run, or None.
        animation: the moving picture, a sentence that says why there is none, or None.
        provenance: of every source.
        missing: what is not here.
    """

    environment: str
    lead: str
    labels: tuple[str, ...]
    results: tuple[ResultView, ...]
    training: TrainingView | None
    maps: MapsView | None
    animation: "Animation | str | None"
    provenance: tuple[Provenance, ...]
    missing: tuple[Missing, ...]

    @property
    def moving(self) -> Animation | None:
        """The animation, where there is one."""
        return self.animation if isinstance(self.animation, Animation) else None

    @property
    def why_still(self) -> str:
        """Why there is no animation, where one was wanted."""
        return self.animation if isinstance(self.animation, str) else ""


@dataclass(frozen=True)
class PageView:
    """The page."""

    title: str
    subtitle: str
    command: str
    chapters: tuple[ChapterView, ...]


def thinned(count: int, most: int = 12) -> Sequence[int]:
    """Indices of at most *most* rows out of *count*, the first and the last among them."""
    if count <= most:
        return range(count)
    return sorted({round(place * (count - 1) / (most - 1)) for place in range(most)})
