import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dspctl.errors import (
    CompilationFailed,
    CompilerMissing,
    StaticLibraryMissing,
    TargetTooSmall,
)
from dspctl.exporter.c import c_from_policy
from dspctl.exporter.c.names import is_reserved
from dspctl.exporter.native import compilers
from dspctl.exporter.native.boards import BOARDS, build_board_check
from dspctl.exporter.native.build import build_all, build_native, check_fits
from dspctl.exporter.native.elf import needed_libraries
from dspctl.exporter.native.flags import COMMAND_FLAGS
from dspctl.exporter.native.sources import board_sources, command_sources, compiled
from dspctl.exporter.native.targets import NATIVE_TARGETS, resolve_targets
from dspctl.runtime.reference.golden import golden_from_policy
from tests.exporter.native.conftest import NAME, Built, CaseOf, observations
from tests.exporter.native.tools import needs, run, write_files
from tests.runtime.policies import make_policy

API = ["lander_act", "lander_act_batch", "lander_logits"]
STRICTEST = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-pedantic", "-Werror")
ZIG_CC = (sys.executable, "-m", "ziglang", "cc")


def needs_command(target: str) -> bool:
    """The x86 commands would make zig build one more C library, for half a minute."""
    return not target.startswith("x86")


@pytest.mark.parametrize("target", [*NATIVE_TARGETS, "cpu"])
def test_each_target_compiles_and_stands_alone(built: Built, target: str) -> None:
    build, folder = built(target, command=needs_command(target))
    hosted = build.target.hosted
    expected = {f"{NAME}.c", f"{NAME}.h", f"lib{NAME}.a", "build.json"}
    expected |= {f"lib{NAME}.so"} if hosted else set()
    expected |= {"policy"} if hosted and needs_command(target) else set()
    assert set(build.files) == expected
    assert build.executables == expected & {"policy"}
    report = json.loads((folder / "build.json").read_bytes())
    assert report["undefined_symbols"] == []
    assert report["exported_symbols"] == API
    assert 0 < report["stack"]["measured_bytes"] <= report["stack"]["stated_bytes"]
    assert report["size"]["data_bytes"] == report["size"]["bss_bytes"] == 0
    assert "-ffp-contract=fast" in report["commands"]["object"]
    if hosted:
        assert needed_libraries(build.files[f"lib{NAME}.so"]) == ()


def test_microcontrollers_take_little_flash_and_stack(built: Built) -> None:
    """The policy of 8-9-9-4, whose parameters alone are 844 bytes."""
    for target in ("cortex-m4", "cortex-m7"):
        build, _ = built(target)
        assert 844 < build.flash_bytes <= 4096
        assert build.report["stack"]["measured_bytes"] <= 512


def test_sizes_are_those_of_the_size_program(built: Built) -> None:
    needs("size")
    build, folder = built("cpu")
    done = run("size", folder / f"lib{NAME}.a")
    text, data, bss = done.stdout.splitlines()[1].split()[:3]
    size = build.report["size"]
    assert (size["text_bytes"], size["data_bytes"], size["bss_bytes"]) == (
        int(text),
        int(data),
        int(bss),
    )


def test_flash_limit(built: Built) -> None:
    build, _ = built("cortex-m4")
    check_fits(build, build.flash_bytes)
    with pytest.raises(TargetTooSmall, match=r"1 more than the limit.*--sparsity"):
        check_fits(build, build.flash_bytes - 1)


@pytest.mark.parametrize("target", ["cpu", "jetson-orin", "cortex-m7"])
def test_the_same_bytes_in_every_folder(
    built: Built,
    case: CaseOf,
    target: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, _ = built(target)
    elsewhere = tmp_path / "another folder" / "deeper"
    elsewhere.mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
    monkeypatch.chdir(elsewhere)
    (again,) = build_all(*case("discrete")[:1], NAME, [first.target], case("discrete").golden)
    assert again.files.keys() == first.files.keys()
    assert [file for file in first.files if first.files[file] != again.files[file]] == []
    places = [str(elsewhere), "dspctl-build-", sys.prefix, str(Path(__file__).parents[3])]
    found = [
        (file, place)
        for file, data in again.files.items()
        for place in places
        if place.encode() in data
    ]
    assert found == []


@pytest.mark.parametrize("kind", ["discrete", "held", "continuous", "clipped"])
@pytest.mark.parametrize("compiler", ["gcc", "zig"])
def test_sources_compile_without_a_warning(
    case: CaseOf, kind: str, compiler: str, tmp_path: Path
) -> None:
    if compiler == "gcc":
        needs("gcc")
    policy, golden = case(kind)
    (target,) = resolve_targets(["aarch64"])
    source = c_from_policy(policy, NAME, target)
    command = command_sources(policy, NAME, golden)
    write_files(tmp_path, {**command, f"{NAME}.h": source.header.encode()})
    driver = ("gcc",) if compiler == "gcc" else (*ZIG_CC, "-target", "aarch64-linux-musl")
    for unit in compiled(command):
        flags = (*COMMAND_FLAGS, *STRICTEST, "-I.", "-c", "-o", "unit.o")
        done = run(*driver, *flags, unit, folder=tmp_path)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("target", ["cortex-m4", "cortex-m7"])
def test_board_sources_compile_without_a_warning(case: CaseOf, target: str, tmp_path: Path) -> None:
    policy, golden = case("discrete")
    (resolved,) = resolve_targets([target])
    sources = board_sources(policy, NAME, golden)
    header = c_from_policy(policy, NAME, resolved).header.encode()
    write_files(tmp_path, {**sources, f"{NAME}.h": header})
    chosen = ("-target", resolved.zig_target, f"-mcpu={resolved.zig_cpu}")
    for unit in compiled(sources):
        flags = ("-std=c99", "-O2", *STRICTEST, "-I.", "-c", "-o", "unit.o")
        done = run(*ZIG_CC, *chosen, *flags, unit, folder=tmp_path)
        assert done.returncode == 0, done.stderr


def test_no_name_hides_a_header_that_a_build_reads(case: CaseOf, tmp_path: Path) -> None:
    """gcc lists every header that the command reads, those that others include among them."""
    needs("gcc")
    policy, golden = case("discrete")
    command = command_sources(policy, NAME, golden)
    (target,) = resolve_targets(["cpu"])
    source = c_from_policy(policy, NAME, target)
    write_files(
        tmp_path,
        {**command, f"{NAME}.h": source.header.encode(), f"{NAME}.c": source.source.encode()},
    )
    flags = (*target.system_flags, *COMMAND_FLAGS, "-M")
    listed = run("gcc", *flags, *compiled(command), f"{NAME}.c", folder=tmp_path).stdout
    headers = {Path(word) for word in re.findall(r"\S+\.h\b", listed)}
    # Not bits/types.h and the like, which nobody looks for on the path without its folder.
    inner = {"bits", "sys", "gnu", "asm", "asm-generic", "linux"}
    top = {path.stem for path in headers if inner.isdisjoint(path.parts)}
    nameable = {stem for stem in top if re.fullmatch(r"[a-z][a-z0-9_]*", stem)} - {NAME}
    assert {"math", "time", "json", "golden", "stdint"} <= nameable
    assert [stem for stem in sorted(nameable) if not is_reserved(stem)] == []


def test_no_name_hides_a_library_that_is_linked(tmp_path: Path) -> None:
    """gcc says what its linker would be called with, the libraries that it adds among it."""
    needs("gcc")
    linking = run("gcc", "-###", "-pthread", "unit.o", "-lm", "-ldl", folder=tmp_path).stderr
    libraries = set(re.findall(r'(?<=[ "])-l([a-z][a-z0-9_]*)\b', linking))
    assert {"c", "gcc", "m", "dl"} <= libraries
    assert [library for library in sorted(libraries) if not is_reserved(library)] == []


def test_no_compiler(case: CaseOf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (target,) = resolve_targets(["cpu"])
    with pytest.raises(CompilerMissing, match="apt-get install gcc"):
        build_native(case("discrete").policy, NAME, target, case("discrete").golden)


def test_no_archiver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake(tmp_path / "cc", "echo cc 1.0")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CompilerMissing, match="apt-get install binutils"):
        compilers.system_compiler()


def test_no_zig(case: CaseOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(CompilerMissing, match=re.escape("pip install 'dspctl[native]'")):
        build_native(
            case("discrete").policy, NAME, NATIVE_TARGETS["aarch64"], case("discrete").golden
        )


def test_a_static_c_library_is_asked_for(
    case: CaseOf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """gcc and clang answer with the bare name where they find no such file."""
    needs("gcc", "ar")
    gcc = shutil.which("gcc")
    fake(tmp_path / "cc", f'case "$*" in *print-file*) echo libc.a;; *) exec {gcc} "$@";; esac')
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (target,) = resolve_targets(["cpu"])
    with pytest.raises(StaticLibraryMissing, match="apt-get install libc6-dev"):
        build_native(case("discrete").policy, NAME, target, case("discrete").golden)


def test_what_the_compiler_says_is_shown(case: CaseOf) -> None:
    target = replace(NATIVE_TARGETS["cortex-m4"], zig_cpu="cortex_m99")
    with pytest.raises(CompilationFailed, match=r"-mcpu=cortex_m99[\s\S]*unknown CPU"):
        build_native(case("discrete").policy, NAME, target, case("discrete").golden)


def test_a_processor_without_its_float_unit_is_noticed(case: CaseOf) -> None:
    """The compiler then calls its own library for every multiplication."""
    target = replace(NATIVE_TARGETS["cortex-m4"], zig_cpu="cortex_m4")
    with pytest.raises(CompilationFailed, match=r"call __aeabi_fadd.*must stand alone"):
        build_native(case("discrete").policy, NAME, target, case("discrete").golden)


def test_every_board_has_a_target_and_a_linker_script(case: CaseOf) -> None:
    bare = {name for name, target in NATIVE_TARGETS.items() if not target.hosted}
    assert set(BOARDS) == bare
    files = board_sources(case("discrete").policy, NAME, case("discrete").golden)
    assert {f"{board.machine}.ld" for board in BOARDS.values()} <= files.keys()
    assert b"stdio" not in b"".join(files.values())


def test_no_board_for_a_hosted_target(case: CaseOf) -> None:
    with pytest.raises(Exception, match="choose one of cortex-m4, cortex-m7"):
        build_board_check(
            case("discrete").policy, NAME, NATIVE_TARGETS["aarch64"], case("discrete").golden
        )


def fake(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    subprocess.run([path, "-print-file-name=x"], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("target", "sizes", "on_invalid"),
    [
        ("cpu", (2, 128, 4), "clamp"),
        ("x86-64-v2", (2, 128, 4), "clamp"),
        ("aarch64", (4, 64, 2), "clamp"),
        ("aarch64", (3, 100, 1), "zero"),
        ("cortex-m4", (2, 16, 300), "clamp"),
        ("aarch64", (2, 300), "flag"),  # more outputs than registers
    ],
)
def test_the_stated_stack_holds(target: str, sizes: tuple[int, ...], on_invalid: str) -> None:
    """Where an observation is repaired, a small network is part of ``act`` and of what it calls."""
    needs(*(("gcc",) if target == "cpu" else ()))
    policy = make_policy(sizes=sizes, rule="clip", on_invalid=on_invalid)
    golden = golden_from_policy(policy, observations(policy))
    (resolved,) = resolve_targets([target])
    stack = build_native(policy, NAME, resolved, golden, command=False).report["stack"]
    assert stack["measured_bytes"] <= stack["stated_bytes"]
