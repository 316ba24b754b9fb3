"""Altair charts as inline SVG: one look, colours that the page's style sheet decides.

The charts are compiled when the page is written (``docs/decisions/0012``): no program runs in the
page to draw them, and they look the same on a screen, on a phone, on paper and without scripts.
Colours are CSS variables, so that the same drawing serves light, dark and print.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dspctl.errors import MissingExtra

if TYPE_CHECKING:
    import altair

COLORS = ("var(--s0)", "var(--s1)", "var(--s2)", "var(--s3)", "var(--s4)")
"""Of subjects in order; the first is the unpruned baseline."""
DASHES = ([1, 0], [1, 0], [6, 2], [2, 2], [8, 2, 2, 2])
ACCENT, GREY = COLORS[1], COLORS[0]
INK, MUTED, LINE, PAPER = "var(--ink)", "var(--muted)", "var(--line)", "var(--paper)"

NARROW, WIDE = 330, 860
"""Widths of the plotted area plus axes, in CSS pixels: a phone's column and half of a desk's."""

TIME_LABELS = (
    "datum.value >= 1e9 ? format(datum.value / 1e9, ',~r') + ' s' : "
    "datum.value >= 1e6 ? format(datum.value / 1e6, ',~r') + ' ms' : "
    "datum.value >= 1e3 ? format(datum.value / 1e3, ',~r') + ' µs' : "
    "format(datum.value, ',~r') + ' ns'"
)
"""A Vega expression for an axis of nanoseconds."""
SIZE_LABELS = (
    "datum.value >= 1e9 ? format(datum.value / 1e9, ',~r') + ' GB' : "
    "datum.value >= 1e6 ? format(datum.value / 1e6, ',~r') + ' MB' : "
    "datum.value >= 1e3 ? format(datum.value / 1e3, ',~r') + ' kB' : "
    "format(datum.value, ',~r') + ' B'"
)
COUNT_LABELS = (
    "datum.value >= 1e6 ? format(datum.value / 1e6, '~r') + 'M' : "
    "datum.value >= 1e3 ? format(datum.value / 1e3, '~r') + 'k' : format(datum.value, '~r')"
)

Rows = Sequence[Mapping[str, Any]]
Draw = Callable[[int], Any]
"""From the width of the plotted area to a chart."""

_FONT = "system-ui, sans-serif"
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_GEOMETRY = re.compile(r' (?:d|transform|x|y|x1|x2|y1|y2|width|height|viewBox)="[^"]*"')
_OWN_NAME = re.compile(r'id="([\w-]+)"')


@dataclass(frozen=True)
class Drawing:
    """One chart, for a wide and a narrow place.

    Attributes:
        narrow: SVG for a phone's column, or for one of several in a row.
        wide: SVG for a whole row; equal to `narrow` where there is only one.
    """

    narrow: str
    wide: str


def vega() -> Any:
    """Altair, and the proof that its charts can be compiled here.

    Raises:
        MissingExtra: altair or vl-convert-python is not installed.
    """
    try:
        import altair
    except ModuleNotFoundError as error:
        raise MissingExtra("altair", "report", "drawing the report's charts") from error
    try:
        import vl_convert  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtra("vl-convert-python", "report", "drawing the report's charts") from error
    return altair


def data(rows: Rows) -> "altair.Data":
    """Rows as inline data; nothing is fetched, and no row is limited away."""
    alt = vega()
    return alt.Data(values=[dict(row) for row in rows])  # type: ignore[no-any-return]


def draw(name: str, chart: Draw, *, wide: bool = False) -> Drawing:
    """Compile a chart.

    Args:
        name: unique on the page, letters, digits and hyphens: the prefix of the SVG's own names.
        chart: makes it for a width.
        wide: whether it has a second, wide form.
    """
    narrow = _svg(f"{name}-n", chart(NARROW))
    return Drawing(narrow, _svg(f"{name}-w", chart(WIDE)) if wide else narrow)


def key_of(labels: Sequence[str], label: str) -> str:
    """What a subject is called inside a chart: by its place, never by its name.

    Vega-Lite copies values of filters and sort orders into expressions, which are programs; a name
    from somebody's file must not become part of one. What is drawn as text is data, and safe.
    """
    return f"s{labels.index(label)}"


def subject_colors(alt: Any, labels: Sequence[str], channel: str = "Color") -> Any:
    """The colours of subjects by `key_of`, without a legend: the page has one for all charts."""
    first = 1 if len(labels) == 1 else 0  # a policy alone is no baseline
    colors = [COLORS[(first + index) % len(COLORS)] for index in range(len(labels))]
    scale = alt.Scale(domain=_keys(labels), range=colors)
    return getattr(alt, channel)("key:N", scale=scale, legend=None)


def subject_dashes(alt: Any, labels: Sequence[str]) -> Any:
    """Line styles of subjects, so that colour is never the only difference beyond the first two."""
    dashes = [DASHES[index % len(DASHES)] for index in range(len(labels))]
    return alt.StrokeDash("key:N", scale=alt.Scale(domain=_keys(labels), range=dashes), legend=None)


def _keys(labels: Sequence[str]) -> list[str]:
    return [f"s{index}" for index in range(len(labels))]


def decades(low: float, high: float) -> list[float]:
    """Ticks of a log axis: powers of ten inside, and twos and fives where they are under three."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    tens = [10.0**power for power in powers if low <= 10.0**power <= high]
    if len(tens) >= 3:
        return tens
    every = [step * 10.0**power for power in powers for step in (1, 2, 5)]
    return [value for value in every if low <= value <= high]


def _svg(prefix: str, chart: Any) -> str:
    """One chart as SVG without a background, its names prefixed, its coordinates short."""
    import vl_convert

    spec = _themed(chart).to_dict(validate=False)
    # Nothing is fetched: all data is inline.
    svg: str = vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])
    # Vega counts its names through all charts; counted by chart, the same data is the same page.
    for number, own in enumerate(dict.fromkeys(_OWN_NAME.findall(svg))):
        svg = svg.replace(f'id="{own}"', f'id="{prefix}-{number}"')
        svg = svg.replace(f"url(#{own})", f"url(#{prefix}-{number})")
    svg = _GEOMETRY.sub(
        lambda found: _LONG_NUMBER.sub(lambda number: _short(number[0]), found[0]), svg
    )
    start = svg.index("<svg")
    end = svg.index(">", start)
    size = re.search(r'width="([\d.]+)" height="([\d.]+)" (viewBox="[^"]*")', svg[start:end])
    if size is None:
        raise ValueError("vl-convert wrote an SVG without a size")
    # The title and the data are in the figure around it, so to a screen reader this is one image.
    head = f'<svg class="marks" width="{size[1]}" height="{size[2]}" {size[3]} aria-hidden="true"'
    return head + svg[end:]


def _short(number: str) -> str:
    return f"{float(number):.2f}".rstrip("0").rstrip(".")


def _themed(chart: Any) -> Any:
    return (
        chart.configure(
            font=_FONT,
            background="transparent",
            padding=4,
            aria=False,
            autosize={"type": "fit-x", "contains": "padding"},
        )
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=MUTED,
            titleColor=MUTED,
            titleFontWeight="normal",
            labelFontSize=11,
            titleFontSize=11.5,
            titlePadding=8,
            labelPadding=5,
            gridColor=LINE,
            gridWidth=1,
            domain=False,
            ticks=False,
            labelFlush=False,
        )
        .configure_title(
            color=INK, fontSize=13, fontWeight=600, anchor="start", frame="group", offset=10
        )
        .configure_header(labelColor=INK, labelFontWeight=600, labelAnchor="start")
        .configure_text(color=INK, fontSize=11)
    )
