"""``dspctl report``: one page to look at, from runs, bundles and benchmark results."""

from pathlib import Path
from typing import Annotated

import typer

from dspctl.cli import show


def report(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN|BUNDLE|RESULT...",
            help="What to report on: any mixture; more of it shows more.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The page to write.")
    ] = Path("report.html"),
    title: Annotated[
        str | None,
        typer.Option(
            "--title", metavar="TEXT", help="Title of the page.", show_default="Policy report"
        ),
    ] = None,
    no_animation: Annotated[
        bool, typer.Option("--no-animation", help="Do not play the policies.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the output.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was written as JSON.")
    ] = False,
) -> None:
    """Write one self-contained HTML page: no network, for a screen, a phone and paper.

    The verdict comes first, then figures side by side, training, weights, latency distributions,
    memory, energy, the policies in motion, and where every figure comes from. What is missing is
    named, with the command that adds it.
    """
    from dspctl.benchmarks.report.build import write_report
    from dspctl.runtime.files import check_output

    check_output(output, force=force)
    with show.task_bar("report") as advance:
        written = write_report(
            sources, output, title=title, animate=not no_animation, on_progress=advance
        )
    if as_json:
        show.result_json(
            {
                "report": str(written.path),
                "size_bytes": written.size_bytes,
                "environments": list(written.environments),
                "missing": [{"what": what, "command": run} for what, run in written.missing],
            }
        )
        return
    for what, command in written.missing:
        show.note(f"not on the page: {what}; add it with  {command}")
    show.stdout().print(f"page: {written.path}, {show.size(written.size_bytes)}", markup=False)
