"""Everything that is drawn: tables, progress bars, and units turned into words.

Results go to stdout, everything else to stderr, so that ``--json`` output can be piped. Values
arrive in base units (seconds, nanoseconds, bytes, shares) and are formatted only here.
"""

import json
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

import typer
from rich.box import SIMPLE, SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from dspctl.trainer import Evaluation
    from dspctl.trainer import Progress as TrainProgress

# Where there is no terminal to draw a bar on, lines are printed, this far apart at least.
_LINE_PERCENT = 10
_LINE_S = 1.0


class PlainConsole(Console):
    """Prints text as it is: no markup in it, and no character that a terminal would act on.

    Names come from files of strangers and from boards. What rich itself makes of a style or a
    progress bar is no text, and stays.
    """

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """What is printed, piece by piece; every other method comes by here."""
        from dspctl.runtime.untrusted import is_plain, visible  # it brings NumPy, which takes long

        for segment in super().render(renderable, options):
            if segment.control or is_plain(segment.text) or segment.text == "\n":
                yield segment
            else:
                yield Segment(visible(segment.text), segment.style)


def stdout() -> Console:
    """A console for results; made on use, so that a redirected stream is honoured."""
    return PlainConsole(highlight=False, soft_wrap=True, markup=False, emoji=False)


def stderr() -> Console:
    """A console for progress, notes and problems."""
    return PlainConsole(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)


class _PlainFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        from dspctl.runtime.untrusted import visible

        return visible(super().format(record))


def log_to_stderr() -> None:
    """Print the library's warnings as plain sentences."""
    handler = logging.StreamHandler()
    handler.setFormatter(_PlainFormatter("dspctl: %(message)s"))
    logger = logging.getLogger("dspctl")
    logger.handlers = [handler]
    logger.setLevel(logging.WARNING)


# --- sentences ----------------------------------------------------------------------------


def problem(sentence: str) -> None:
    """Print why a command failed."""
    stderr().print(Text("dspctl: ", style="bold red"), Text(sentence), sep="")


def note(sentence: str) -> None:
    """Print a remark that is not part of the result."""
    stderr().print(Text(sentence, style="dim"))


def next_command(command: str, why: str) -> None:
    """Print the command that usually comes next."""
    stdout().print(Text.assemble("next: ", (command, "bold cyan"), f"   # {why}"))


def result_json(value: Any) -> None:
    """Print *value* as JSON and nothing else; a NaN is refused, since JSON has none."""
    typer.echo(json.dumps(value, indent=2, allow_nan=False))


# --- values -------------------------------------------------------------------------------


def count(value: int) -> str:
    """``17920`` as ``17,920``."""
    return f"{value:,}"


def share(value: float) -> str:
    """``0.9297`` as ``93.0%``."""
    return f"{100 * value:.1f}%"


def units(widths: Sequence[int]) -> str:
    """``(9, 9)`` as ``9-9``."""
    return "-".join(map(str, widths)) if widths else "no hidden layer"


def size(value_bytes: float) -> str:
    """``73700`` as ``73.7 kB``."""
    return _scaled(value_bytes, (("B", 1.0), ("kB", 1e3), ("MB", 1e6), ("GB", 1e9)))


def energy(value_j: float) -> str:
    """``4.2e-6`` as ``4.20 µJ``."""
    return _scaled(value_j * 1e9, (("nJ", 1.0), ("µJ", 1e3), ("mJ", 1e6), ("J", 1e9)))


def latency(value_ns: float) -> str:
    """``4180`` as ``4.18 µs``."""
    return _scaled(value_ns, (("ns", 1.0), ("µs", 1e3), ("ms", 1e6), ("s", 1e9)))


def latency_range(low_ns: float, high_ns: float) -> str:
    """``8690`` and ``8730`` as ``8.69–8.73 µs``."""
    low, high = latency(low_ns).split(), latency(high_ns).split()
    return (
        f"{low[0]}–{' '.join(high)}" if low[1] == high[1] else f"{' '.join(low)}–{' '.join(high)}"
    )


def duration(value_s: float) -> str:
    """``73.2`` as ``1 min 13 s``."""
    if value_s < 60:
        return f"{value_s:.1f} s"
    minutes, seconds = divmod(round(value_s), 60)
    return f"{minutes} min {seconds:02d} s"


def times(value: float) -> str:
    """A ratio: ``14.23`` as ``14.2×``."""
    return f"{_three_digits(value)}×"


def number(value: float | None) -> str:
    """A return: one decimal, or a dash where there is none yet."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.1f}"


def interval(low: float, high: float) -> str:
    """A confidence interval: ``[498.1, 500.0]``."""
    return f"[{number(low)}, {number(high)}]"


def returns(result: "Evaluation") -> str:
    """A mean return with its 95% interval."""
    return f"{number(result.mean)}, 95% interval {interval(result.ci_low, result.ci_high)}"


def _scaled(value: float, scales: Sequence[tuple[str, float]]) -> str:
    name, scale = next((entry for entry in reversed(scales) if abs(value) >= entry[1]), scales[0])
    scaled = value / scale
    whole = scale == 1.0 and float(scaled).is_integer()
    return f"{scaled:.0f} {name}" if whole else f"{_three_digits(scaled)} {name}"


def _three_digits(value: float) -> str:
    """Three significant digits, no exponent, trailing zeros kept: they are measured too."""
    decimals = next((3 - place for place in range(3) if abs(value) < 10**place), 0)
    return f"{value:,.{decimals}f}"


# --- tables -------------------------------------------------------------------------------


def table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, words: int = 1
) -> None:
    """Print a table whose first *words* columns are text and whose other columns are figures."""
    grid = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for index, column in enumerate(columns):
        is_text = index < words
        justify: JustifyMethod = "left" if is_text else "right"
        grid.add_column(column, justify=justify, overflow="fold", no_wrap=not is_text)
    for row in rows:
        grid.add_row(*map(Text, row))
    stdout().print(grid, soft_wrap=False)


def facts(title: str, entries: Mapping[str, str]) -> None:
    """Print names and values in two columns."""
    grid = Table(
        title=title, title_justify="left", title_style="bold", show_header=False, box=SIMPLE
    )
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in entries.items():
        grid.add_row(Text(name), Text(value))
    stdout().print(grid, soft_wrap=False)


# --- progress -----------------------------------------------------------------------------


@contextmanager
def training_bar(title: str) -> Iterator[Callable[["TrainProgress"], None]]:
    """Draw a training run; yields the callback that the trainer reports to."""

    def line(report: "TrainProgress") -> str:
        return (
            f"return {number(report.episode_return)}  units {units(report.units)}  "
            f"{count(round(report.steps_per_s))} steps/s  {report.phase}"
        )

    with task_bar(title) as advance:
        yield lambda report: advance(report.steps, report.total_steps, line(report))


@contextmanager
def task_bar(title: str) -> Iterator[Callable[[int, int, str], None]]:
    """Draw a task; yields ``advance(done, total, details)``.

    A bar where stderr is a terminal, else a line now and then.
    """
    console = stderr()
    if not console.is_terminal:
        yield _lines(console, title)
        return
    bar = Progress(
        BarColumn(bar_width=12),
        TextColumn("{task.percentage:3.0f}%"),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[details]}", markup=False),
        console=console,
        refresh_per_second=4,  # each redraw takes the interpreter from the training loop
    )
    # Above the bar rather than before it, or a training run's figures do not fit into 80 columns.
    console.print(Text(title, style="bold"))
    with bar:
        task = bar.add_task("", total=None, details="")

        def advance(done: int, total: int, details: str) -> None:
            bar.update(task, completed=min(done, total), total=total, details=details)

        yield advance


def _lines(console: Console, title: str) -> Callable[[int, int, str], None]:
    printed, printed_at = 0, monotonic()

    def advance(done: int, total: int, details: str) -> None:
        nonlocal printed, printed_at
        percent = min(100, 100 * done // max(total, 1))
        if percent < printed:  # the next part of the same task
            printed = 0
        enough = percent >= printed + _LINE_PERCENT and monotonic() - printed_at > _LINE_S
        if percent > printed and (enough or percent == 100):
            printed, printed_at = percent, monotonic()
            console.print(Text(f"{title}: {percent}%  {details}".rstrip()))

    return advance
