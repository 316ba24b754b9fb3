"""``dspctl export``: a bundle, the folder that goes to the vehicle."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dspctl.cli import show
from dspctl.cli.subjects import Kind, kind_of, source_of

if TYPE_CHECKING:
    from dspctl.exporter import Export


def export(
    source: Annotated[
        Path, typer.Argument(metavar="RUN|POLICY", help="A run folder or a policy file.")
    ],
    target: Annotated[
        str, typer.Option("--target", "-t", metavar="onnx|cpu", help="What the bundle is for.")
    ] = "cpu",
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Bundle folder to write.")
    ] = Path("bundle"),
    force: Annotated[bool, typer.Option("--force", help="Replace the bundle.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Write a policy as a bundle, after proving that what is written computes the same.

    A run, or a policy that still holds masked units, is compacted on the way.
    """
    from dspctl import exporter
    from dspctl.compactor import compact
    from dspctl.runtime.files import check_output

    check_output(output, force=force)
    policy, observations = source_of(source)
    if policy.masked or kind_of(source) is Kind.RUN:
        policy = compact(policy, observations=observations).policy
        show.note(f"{source} is compacted to {show.units(policy.counts.units)} hidden units")
    result = exporter.export(policy, target, output, observations=observations, force=force)
    if as_json:
        show.result_json(result.to_json())
        return
    draw(result)
    show.next_command(f"dspctl bench {output}", "latency, memory and size here")


def draw(result: "Export") -> None:
    """Print the bundle's files and the parity of every backend."""
    rows = [(name, show.size(size_bytes)) for name, size_bytes in result.files.items()]
    rows.append(("together", show.size(result.size_bytes)))
    show.table(f"{result.path}: {result.name}", ("file", "size"), rows)
    if result.parity:
        show.table(
            "Compared with the reference",
            (
                "backend",
                "observations",
                "largest error",
                "of its bound",
                "actions differ",
            ),
            [
                (
                    parity.backend,
                    show.count(parity.observations),
                    f"{parity.largest_output_error:.1e}",
                    show.share(parity.largest_bound_share),
                    show.count(parity.disagreements),
                )
                for parity in result.parity
            ],
        )
