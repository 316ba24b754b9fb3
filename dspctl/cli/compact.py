"""``dspctl compact``: a masked policy as the smallest dense network, with what left and why."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dspctl.cli import show
from dspctl.cli.subjects import source_of

if TYPE_CHECKING:
    from dspctl.compactor import Compaction


def compact(
    source: Annotated[
        Path, typer.Argument(metavar="RUN|POLICY", help="A run folder or a policy file.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Policy file to write.")
    ] = Path("policy.safetensors"),
    any_observation: Annotated[
        bool,
        typer.Option(
            "--any-observation",
            help="Trust no declared observation bounds: for sensors that can leave them.",
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the output.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Rewrite a masked policy as the smallest dense network with the same outputs.

    Prints what left and why, and the proof that the outputs are the same.
    """
    from dspctl import compactor
    from dspctl.runtime import save_policy
    from dspctl.runtime.files import check_output

    check_output(output, force=force)
    policy, observations = source_of(source)
    result = compactor.compact(policy, observations=observations, assume_bounds=not any_observation)
    save_policy(result.policy, output, force=force)
    if as_json:
        show.result_json({"output": str(output), **result.to_json()})
        return
    draw(result)
    show.next_command(f"dspctl export {output} --target cpu -o bundle", f"{output} is written")


def draw(result: "Compaction") -> None:
    """Print what left, the sizes before and after, and the proof."""
    rows = [(row.layer, row.reason, show.count(row.removed)) for row in result.summary_rows()]
    if rows:
        show.table("What left", ("layer", "reason", "removed"), rows, words=2)
    else:
        show.stdout().print("Nothing left: the network was minimal already.")
    before, after = result.before, result.after
    inputs = result.policy.inputs.size
    show.table(
        "Size",
        ("", "before", "after", "removed"),
        [
            (
                "hidden units",
                show.units(before.units),
                show.units(after.units),
                show.share(result.unit_sparsity),
            ),
            _size_row("weights", before.weights, after.weights),
            _size_row("FLOPs", before.flops, after.flops),
            *_zeros_row(result),
            ("parameters", show.size(before.size_bytes), show.size(after.size_bytes), ""),
            ("inputs read", show.count(result.policy.observation.size), show.count(inputs), ""),
        ],
    )
    show.facts("Proof", _proof(result))


def _size_row(name: str, before: int, after: int) -> tuple[str, str, str, str]:
    return name, show.count(before), show.count(after), show.share(1 - after / before)


def _zeros_row(result: "Compaction") -> list[tuple[str, str, str, str]]:
    """How many weights are stored but 0, where there are any."""
    zeros = result.zero_weights
    return [("of these 0", "", show.count(zeros), "")] if zeros else []


def _proof(result: "Compaction") -> dict[str, str]:
    proof, rounding = result.proof, result.rounding
    entries = {
        "compared on": f"{show.count(proof.recorded)} recorded and {show.count(proof.edges)} edge "
        "observations",
        "in float64": "outputs are identical"
        if proof.max_error == 0
        else f"outputs differ by at most {proof.max_error:.1e}, "
        f"{show.share(proof.tolerance_used)} of what rounding explains",
        "as stored": "outputs are identical"
        if rounding.max_error == 0
        else f"float32 weights move an output by at most {rounding.max_error:.1e}",
    }
    if proof.differing_actions is not None:
        entries["actions"] = (
            f"{proof.differing_actions} differ in float64, {rounding.differing_actions} as stored"
        )
    entries["holds for"] = (
        "observations within their declared bounds"
        if result.relies_on_bounds
        else "every observation"
    )
    return entries
