"""What ``dspctl export`` prints: what was written, what it needs, how it compares."""

from typing import TYPE_CHECKING

from dspctl.cli import show

if TYPE_CHECKING:
    from dspctl.exporter import Export
    from dspctl.runtime.bundle.artefacts import Artefact


def draw(result: "Export") -> None:
    """Print what was written, what it needs, and every comparison."""
    manifest = result.manifest
    show.facts(
        str(result.path),
        {
            "name": f"{manifest.name}, version {manifest.version}",
            "targets": ", ".join(manifest.targets),
            "files": f"{len(result.files)}, {show.size(result.size_bytes)}",
            "invalid observations": manifest.observation.on_invalid,
            **_gate(result),
        },
    )
    if result.footprints:
        show.table(
            "Native code",
            ("target", "flash", "stack", "library", "command"),
            [
                (
                    target,
                    show.size(need.flash_bytes),
                    show.size(need.stack_bytes),
                    _file_size(result, f"native/{target}/lib{manifest.name}.so"),
                    _file_size(result, f"native/{target}/policy"),
                )
                for target, need in result.footprints.items()
            ],
        )
    show.table(
        "Compared with the reference",
        ("artefact", "ran", "largest error", "of its bound"),
        [_comparison(artefact) for artefact in result.artefacts],
        words=2,
    )
    for artefact in result.artefacts:
        if artefact.passed is None:
            show.note(f"{artefact.name} did not run: {artefact.note}")
        elif not artefact.passed:
            show.note(f"{artefact.name} is outside its tolerance: {artefact.note}")
        elif "saved_bytes" in artefact.figures:
            show.note(f"{artefact.name}: {artefact.note}")


def _comparison(artefact: "Artefact") -> tuple[str, ...]:
    error = artefact.figures.get("largest_output_error")
    share = artefact.figures.get("largest_bound_share")
    return (
        artefact.name,
        artefact.ran,
        "" if error is None else f"{error:.1e}",
        "" if share is None else show.share(share),
    )


def _gate(result: "Export") -> dict[str, str]:
    gate = result.gate
    if gate is None:
        return {"gate": "not played"}
    invalid = gate.not_finite + gate.out_of_range
    return {
        "gate": f"{gate.artefact} earns {show.number(gate.artefact_mean)} in {gate.environment} "
        f"over {gate.episodes} episodes; the policy {show.number(gate.policy_mean)}, 95% interval "
        f"{show.interval(gate.policy_low, gate.policy_high)}; {show.count(invalid)} of "
        f"{show.count(gate.observations)} observations invalid"
    }


def _file_size(result: "Export", path: str) -> str:
    return show.size(result.files[path]) if path in result.files else "–"
