"""What ``dspctl shrink`` prints: the frontier, and the network that is delivered."""

from pathlib import Path
from typing import TYPE_CHECKING

from dspctl.cli import show

if TYPE_CHECKING:
    from dspctl.benchmarks.shrink import ShrinkResult
    from dspctl.benchmarks.shrink.record import Confirmation, Point


def draw(result: "ShrinkResult", folder: Path) -> None:
    """Print the frontier from small to large, and the choice."""
    show.table(
        f"{result.environment}: no other network is both smaller and better",
        ("layers", "units", "weights", "return", "kept", "at least", "call in C", "flash"),
        [_row(result, point) for point in result.frontier()],
    )
    teacher = result.teacher
    show.note(
        f"{len(result.points)} networks in {show.duration(result.seconds)}; the teacher has "
        f"{show.units(teacher.units)} units, {show.count(teacher.weights)} weights and earns "
        f"{show.number(teacher.mean)}"
    )
    if not result.exhausted:
        show.note(
            "the time was over with more to try: the same command with a longer --budget-minutes, "
            "which counts what was spent, goes on"
        )
    point = result.point(result.chosen)
    if point is None or result.confirmation is None:
        return
    show.facts(
        str(folder / "policy.safetensors"),
        {
            "layers": show.units(point.network.units) if point.network.units else "none: linear",
            "hidden units": f"{point.network.size} of {teacher.size}",
            "inputs read": f"{point.network.inputs} of {teacher.inputs}",
            "call in C": "not measured"
            if point.latency_ns is None
            else show.latency(point.latency_ns),
            "weights": f"{show.count(point.network.weights)} of {show.count(teacher.weights)}",
            "kept": _kept(result.confirmation),
        },
    )
    show.next_command(
        f"dspctl export {folder / 'policy.safetensors'} --target cpu -o policy.bundle",
        "native code of it",
    )


def _kept(confirmation: "Confirmation") -> str:
    if not sum(confirmation.teacher):
        return "nothing to be a share of: the teacher earns 0"
    kept = confirmation.kept()
    return (
        f"{kept.share:.1%} of the return on other episodes, at least {kept.low:.1%} with 95% "
        f"confidence, {len(confirmation.student)} episodes"
    )


def _row(result: "ShrinkResult", point: "Point") -> tuple[str, ...]:
    shares = ("–", "–")
    if result.teacher.mean:
        kept = result.kept(point)
        shares = (f"{kept.share:.1%}", f"{kept.low:.1%}")
    latency, flash = point.latency_ns, point.flash_bytes
    return (
        show.units(point.network.units) if point.network.units else "linear",
        str(point.network.size),
        show.count(point.network.weights),
        show.number(point.network.mean),
        *shares,
        "–" if latency is None else show.latency(latency),
        "–" if flash is None else show.size(flash),
    )
