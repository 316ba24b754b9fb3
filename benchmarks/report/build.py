"""One page from runs, bundles, policy files and results, in any mixture."""

import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dspctl.benchmarks.report import words
from dspctl.benchmarks.report.animation import Animation
from dspctl.benchmarks.report.animation import animate as play_and_draw
from dspctl.benchmarks.report.chart import vega
from dspctl.benchmarks.report.missing import missing
from dspctl.benchmarks.report.page import render
from dspctl.benchmarks.report.provenance import provenance
from dspctl.benchmarks.report.results_view import place_of, view_result
from dspctl.benchmarks.report.sources import Chapter, open_sources
from dspctl.benchmarks.report.training_view import policy_maps, view_training
from dspctl.benchmarks.report.view import ChapterView, PageView
from dspctl.runtime import Policy
from dspctl.runtime.files import write_bytes

_CHARTS_OF_A_RESULT = 17
_CHARTS_OF_A_RUN = 4


@dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
        path: the page.
        size_bytes: of it.
        environments: its chapters.
        missing: what the page could also show, and the command that adds it.
    """

    path: Path
    size_bytes: int
    environments: tuple[str, ...]
    missing: tuple[tuple[str, str], ...]


def write_report(
    sources: Sequence[Path],
    out: Path,
    *,
    title: str | None = None,
    animate: bool = True,
    on_progress: Callable[[int, int, str], None] | None = None,
) -> Report:
    """Write one self-contained HTML page.

    Args:
        sources: run folders, bundles, policy files and results, in any order.
        out: the page; replaced if it exists.
        title: of the page; made from the environments if not given.
        animate: whether to play and draw the policies in their environment.
        on_progress: called with parts done, parts in all and what is being done.

    Raises:
        ReportProblem: no sources, or nothing at a path.
        ResultProblem, RunProblem, PolicyProblem, BundleProblem: a source cannot be read.
        MissingExtra: a package of the extra ``report`` is not installed.
        WriteFailed: the page could not be written.
    """
    vega()  # before anything that takes time
    chapters = open_sources(sources)
    progress = _Progress(chapters, animate, on_progress)
    numbers = {
        source.path: number
        for number, source in enumerate(one for chapter in chapters for one in chapter.results)
    }
    views = tuple(
        _chapter(chapter, index, numbers, animate, progress)
        for index, chapter in enumerate(chapters)
    )
    progress.step("writing")
    page = PageView(
        title=title or "Policy report",
        subtitle=_subtitle(chapters),
        command=_command(sources, out, title, animate),
        chapters=views,
    )
    data = render(page).encode()
    write_bytes(out, data)
    progress.end()
    return Report(
        path=out,
        size_bytes=len(data),
        environments=tuple(chapter.environment for chapter in chapters),
        missing=tuple(
            (f"{view.environment}: {one.what}" if len(views) > 1 else one.what, one.command)
            for view in views
            for one in view.missing
        ),
    )


def _chapter(
    chapter: Chapter, index: int, numbers: dict[Path, int], animated: bool, progress: "_Progress"
) -> ChapterView:
    labels = _series(chapter)
    results = tuple(
        view_result(one, numbers[one.path], lambda: progress.step("drawing latencies"))
        for one in chapter.results
    )
    training = view_training(
        chapter, f"c{index}", labels, lambda: progress.step("drawing training")
    )
    maps = None
    if training is None or training.maps is None:
        maps = policy_maps(f"c{index}-maps", chapter.policies)
    animation: Animation | str | None = None
    if animated:
        progress.step("playing")
        pair = _pair(chapter)
        animation = play_and_draw(chapter.environment, pair) if pair else None
    return ChapterView(
        environment=chapter.environment,
        lead="" if chapter.results else _lead(chapter),
        labels=labels,
        results=results,
        training=training,
        maps=maps,
        animation=animation,
        provenance=provenance(chapter),
        missing=missing(chapter, animated=animated),
    )


def _series(chapter: Chapter) -> tuple[str, ...]:
    """Labels of the runs, unpruned ones first; without one, its colour stays free."""
    plain = list(dict.fromkeys(run.label for run in chapter.runs if not run.pruned))
    pruned = list(dict.fromkeys(run.label for run in chapter.runs if run.pruned))
    return (*(plain[:1] or [""]), *pruned, *plain[1:]) if chapter.runs else ()


def _pair(chapter: Chapter) -> dict[str, Policy]:
    """The unpruned policy and the pruned one, left and right; one alone where there is only one."""
    found: dict[bool, tuple[str, Policy]] = {}
    for source in chapter.policies:
        found.setdefault(source.pruned, (source.label, source.policy))
    for run in chapter.runs:
        if run.compacted is not None:
            found.setdefault(run.pruned, (run.label, run.compacted))
    return dict(found[side] for side in (False, True) if side in found)


def _lead(chapter: Chapter) -> str:
    """What is known without a benchmark."""
    sentences = []
    for run in chapter.runs:
        if run.pruned and run.policy is not None:
            before = [layer.width for layer in run.policy.hidden]
            after = [int(layer.kept.sum()) for layer in run.policy.hidden]
            sentences.append(
                f"{run.label} left {words.units_of(after)} of {words.units_of(before)} hidden units"
            )
    sentences += [
        f"{one.label} has {words.units_of(one.policy.counts.units)} hidden units and "
        f"{words.count_of(one.policy.counts.weights)} weights"
        for one in chapter.policies
    ]
    if not sentences:
        return "Nothing has been benchmarked yet."
    return f"{'; '.join(dict.fromkeys(sentences[:3]))}. Nothing has been benchmarked yet."


def _subtitle(chapters: Iterable[Chapter]) -> str:
    parts: list[str] = []
    for chapter in chapters:
        parts += [place_of(one.result) for one in chapter.results]
        for many, name in ((chapter.runs, "run"), (chapter.policies, "policy")):
            if many:
                plural = {"run": "runs", "policy": "policies"}[name]
                parts.append(f"{len(many)} {name if len(many) == 1 else plural}")
    return " · ".join(dict.fromkeys(parts))


def _command(sources: Sequence[Path], out: Path, title: str | None, animated: bool) -> str:
    parts = ["dspctl", "report", *(path.resolve().name for path in sources), "-o", out.name]
    parts += ["--title", title] if title else []
    parts += [] if animated else ["--no-animation"]
    return shlex.join(parts)


class _Progress:
    """Counts parts against how many there are about to be."""

    def __init__(
        self,
        chapters: Sequence[Chapter],
        animated: bool,
        report: Callable[[int, int, str], None] | None,
    ) -> None:
        self._report, self._done = report, 0
        self._total = 1 + sum(
            len(one.results) * _CHARTS_OF_A_RESULT + len(one.runs) * _CHARTS_OF_A_RUN + 4 * animated
            for one in chapters
        )

    def step(self, what: str) -> None:
        self._done = min(self._done + 1, self._total - 1)
        if self._report is not None:
            self._report(self._done, self._total, what)

    def end(self) -> None:
        if self._report is not None:
            self._report(self._total, self._total, "")
