"""The parts of a bundle that are native code, compared wherever it can be run."""

from dspctl.errors import BackendUnavailable
from dspctl.exporter.compare import compare_board, compare_command, compare_runner
from dspctl.exporter.draft import Draft, Footprint
from dspctl.exporter.native.build import COMMAND, NativeBuild, build_all, check_fits
from dspctl.exporter.native.flags import object_flags
from dspctl.exporter.native.sources import command_sources
from dspctl.exporter.native.targets import NativeTarget
from dspctl.runtime.backends.native_library import choose_target, library_from_bytes
from dspctl.runtime.backends.native_runner import NativeRunner
from dspctl.runtime.backends.runner import Runner
from dspctl.runtime.bundle import NATIVE
from dspctl.runtime.bundle.artefacts import Artefact
from dspctl.runtime.bundle.manifest import Build
from dspctl.runtime.machine import this_machine


def add_native(
    draft: Draft, targets: tuple[NativeTarget, ...], *, flash_limit_bytes: int | None = None
) -> None:
    """Native code for every target, and the source of its command.

    Args:
        draft: what is exported.
        targets: for which processors.
        flash_limit_bytes: largest library for a microcontroller, or for every target where none
            of them is one.

    Raises:
        CompilerMissing, StaticLibraryMissing, CompilationFailed: it cannot be built here.
        TargetTooSmall: a library is larger than *flash_limit_bytes*.
        NotEquivalent: it computes something else.
    """
    if not targets:
        return
    builds = build_all(draft.policy, draft.name, targets, draft.golden, strict=draft.strict)
    if flash_limit_bytes is not None:
        small = [build for build in builds if not build.target.hosted]
        for build in small or builds:
            check_fits(build, flash_limit_bytes)
    for build in builds:
        folder = f"{NATIVE}/{build.target.name}"
        draft.add(
            {f"{folder}/{file}": data for file, data in build.files.items()},
            frozenset(f"{folder}/{file}" for file in build.executables),
        )
        draft.builds[build.target.name] = _described(build, draft.strict)
        stack_bytes = int(build.report["stack"]["measured_bytes"])
        draft.footprints[build.target.name] = Footprint(build.flash_bytes, stack_bytes)
        draft.artefacts += _compared(draft, build, folder)
    sources = command_sources(draft.policy, draft.name, draft.golden)
    draft.add({f"command/{file}": data for file, data in sources.items()})


def native_runner_here(draft: Draft) -> tuple[str, Runner] | None:
    """The native library that fits this machine best, by its path; None where none runs here."""
    libraries = {
        target: draft.files[path]
        for target in draft.builds
        if (path := f"{NATIVE}/{target}/lib{draft.name}.so") in draft.files
    }
    try:
        target = choose_target(draft.builds, libraries, this_machine())
    except BackendUnavailable:
        return None
    library = library_from_bytes(libraries[target], draft.name, target, draft.policy)
    return f"{NATIVE}/{target}/lib{draft.name}.so", NativeRunner(draft.policy, library)


def _described(build: NativeBuild, strict: bool) -> Build:
    target, compiler = build.target, build.report["compiler"]
    return Build(
        architecture=target.architecture,
        requires=target.requires,
        compiler=f"{compiler['family']}: {compiler['version']}",
        flags=object_flags(target, compiler["family"], strict=strict),
    )


def _compared(draft: Draft, build: NativeBuild, folder: str) -> list[Artefact]:
    target = build.target
    library = f"lib{draft.name}.{'so' if target.hosted else 'a'}"
    path = f"{folder}/{library}"
    if not target.hosted:
        return [compare_board(path, draft, target)]
    command = compare_command(f"{folder}/{COMMAND}", build.files[COMMAND], target)
    if not this_machine().runs(target.architecture, target.requires):
        note = "another processor's library; its code is the command's"
        return [Artefact(path, "not run", note), command]
    opened = library_from_bytes(build.files[library], draft.name, target.name, draft.policy)
    runner = NativeRunner(draft.policy, opened)
    return [compare_runner(runner, draft.compared, path, "called on this machine"), command]
