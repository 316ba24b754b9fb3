"""Where every figure comes from: the command, the machine, versions, settings, hashes, notes."""

import shlex
from collections.abc import Sequence
from typing import Any

from dspctl.benchmarks.record.result import BenchResult
from dspctl.benchmarks.report import words
from dspctl.benchmarks.report.commands import bench_command, name_of, setting_of, train_command
from dspctl.benchmarks.report.sources import Chapter, PolicySource, ResultSource, RunSource
from dspctl.benchmarks.report.view import Fact, Provenance


def provenance(chapter: Chapter) -> tuple[Provenance, ...]:
    """One entry per source."""
    return (
        *(_result(one) for one in chapter.results),
        *(_run(one) for one in chapter.runs),
        *(_policy(one, chapter.runs) for one in chapter.policies),
    )


def _result(source: ResultSource) -> Provenance:
    result = source.result
    machine, device, request = result.machine, result.device.before, result.settings.request
    libraries = ", ".join(f"{name} {version}" for name, version in machine.libraries.items())
    memory = (
        "" if machine.memory_bytes is None else f", {words.size_of(machine.memory_bytes)} memory"
    )
    facts = [
        Fact("measured", machine.measured_at),
        Fact("machine", machine.board or machine.cpu),
        Fact(
            "processor",
            f"{machine.cpu}, {machine.architecture}, {machine.cores} cores{memory}"
            + (", in a virtual machine" if machine.virtual else ""),
        ),
        Fact("system", machine.system),
        *_if("L4T", device.l4t and f"{device.l4t} (JetPack {device.jetpack or 'unknown'})"),
        *_if("power mode", device.power_mode and str(device.power_mode)),
        *_if("governor", machine.governor),
        *_if("temperatures", _heat(result)),
        *_if(
            "load before",
            machine.load_average and ", ".join(f"{one:.2f}" for one in machine.load_average),
        ),
        Fact("Python", machine.python),
        *_if("libraries", libraries),
        *_if("threads", ", ".join(f"{name}={value}" for name, value in machine.threads.items())),
        Fact(
            "clock",
            f"{result.clock.name}, resolution {result.clock.resolution_ns} ns, one reading costs "
            f"{result.clock.cost_ns:.1f} ns",
        ),
        Fact(
            "back to back",
            f"{request.seconds:g} s per backend in {result.settings.rounds} alternating rounds",
        ),
        Fact(
            "control loop",
            f"{request.hz:g} Hz, {request.paced_seconds:g} s per backend, sleeping with "
            f"{result.settings.sleep}",
        ),
        *_if("asked of the system", _scheduling(result)),
        *_if("background load", request.load and f"{request.load} busy processes"),
        Fact("observations", f"{result.settings.observations}"),
        Fact("SHA-256 of the observations", result.settings.observations_sha256),
        Fact("seed", str(request.seed)),
        *(
            Fact(f"SHA-256 of {subject.label}", f"{subject.sha256} ({subject.kind} {subject.file})")
            for subject in result.subjects
        ),
    ]
    return Provenance(
        f"Benchmark {source.path.name}",
        bench_command(result, source.path),
        tuple(facts),
        _notes(result),
        _remarks(result),
    )


def _notes(result: BenchResult) -> tuple[str, ...]:
    """What concerns all figures, and what was skipped."""
    sentences = [
        f"Not measured: {one.label} with {one.backend}: {one.reason}" for one in result.skipped
    ]
    sentences += [*result.device.before.notes, *result.device.notes, *result.notes]
    return tuple(dict.fromkeys(sentences))


def _remarks(result: BenchResult) -> tuple[str, ...]:
    """Notes about single figures; one that several share is written once, with all of them."""
    records: list[tuple[str, Any]] = [
        *(("back to back", one) for one in result.latency),
        *(("in the control loop", one) for one in result.paced),
        *(("memory", one) for one in result.memory),
        *(("energy", one) for one in result.energy),
    ]
    places: dict[tuple[str, str], list[str]] = {}
    for title, one in records:
        for note in one.notes:
            places.setdefault((note, title), []).append(f"{one.label} with {one.backend}")
    return tuple(f"{', '.join(who)}, {title}: {note}" for (note, title), who in places.items())


def _heat(result: BenchResult) -> str:
    """Sensors before and after: ``cpu-thermal 44 → 51 °C``."""
    after = {} if result.device.after is None else {z.zone: z for z in result.device.after.zones}
    parts = []
    for zone in result.device.before.zones:
        if zone.millidegrees is None:
            continue
        end = after.get(zone.zone)
        later = (
            "" if end is None or end.millidegrees is None else f" → {end.millidegrees / 1e3:.0f}"
        )
        parts.append(f"{zone.kind or zone.zone} {zone.millidegrees / 1e3:.0f}{later} °C")
    return ", ".join(parts)


def _scheduling(result: BenchResult) -> str:
    asked = (
        ("processor", result.scheduling.cpu),
        ("SCHED_FIFO priority", result.scheduling.fifo),
        ("locked memory", result.scheduling.mlock),
    )
    return "; ".join(
        f"{name} {one.value}: {'granted' if one.granted else f'refused ({one.reason})'}"
        for name, one in asked
        if one is not None
    )


def _run(run: RunSource) -> Provenance:
    info = run.info
    versions = ", ".join(
        f"{name} {info[name]}" for name in ("dspctl", "python", "numpy") if info.get(name)
    )
    settings = ", ".join(f"{name} {setting_of(value)}" for name, value in run.config.items())
    facts = (
        Fact("status", f"{info.get('status', 'unknown')}, {len(run.rows)} iterations"),
        *_if("machine", info.get("machine")),
        *_if("versions", versions),
        *_if("environments stepped by", info.get("vector_backend")),
        *_if("SHA-256 of the masked policy", run.sha256),
        Fact("settings", settings),
    )
    notes = () if run.policy is not None else ("The run has not written a policy yet.",)
    return Provenance(f"Run {run.path.resolve().name}", train_command(run), facts, notes)


def _policy(source: PolicySource, runs: Sequence[RunSource]) -> Provenance:
    origin = next((run for run in runs if run.sha256 == source.made_from), None)
    start = "RUN" if origin is None else name_of(origin.path)
    lineage = source.policy.lineage
    said = {key: value for key, value in lineage.items() if key not in ("compacted", "packages")}
    packages = lineage.get("packages")
    facts = [
        Fact("SHA-256 of the policy", source.sha256),
        *_if("made from the masked policy with SHA-256", source.made_from),
        *_if("lineage", ", ".join(f"{key} {setting_of(value)}" for key, value in said.items())),
        *_if(
            "trained with",
            ", ".join(f"{name} {version}" for name, version in packages.items())
            if isinstance(packages, dict)
            else "",
        ),
    ]
    command = f"dspctl compact {start} -o {name_of(source.path)}"
    if source.manifest is not None:
        manifest = source.manifest
        targets = " ".join(f"--target {shlex.quote(target)}" for target in manifest.targets)
        command = f"dspctl export {start} {targets} -o {name_of(source.path)}"
        tools = ", ".join(f"{name} {version}" for name, version in manifest.tools.items())
        facts += [
            Fact("version", manifest.version),
            Fact("written by", f"dspctl {manifest.dspctl}" + (f", {tools}" if tools else "")),
            *(
                Fact(
                    f"compiled for {name}",
                    f"{build.architecture}, {build.compiler}, {' '.join(build.flags)}",
                )
                for name, build in manifest.builds.items()
            ),
        ]
    title = "Bundle" if source.kind == "bundle" else "Policy file"
    return Provenance(f"{title} {source.path.resolve().name}", command, tuple(facts))


def _if(name: str, value: Any) -> tuple[Fact, ...]:
    return (Fact(name, str(value)),) if value else ()
