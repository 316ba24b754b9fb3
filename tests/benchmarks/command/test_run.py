"""Programs of this machine: scripts that misbehave, and a bundle's own."""

from pathlib import Path

import numpy as np
import pytest

from dspctl.benchmarks.command.measure import failures, measure_command
from dspctl.benchmarks.command.programs import command_of
from dspctl.benchmarks.command.run import START_S, run_here, time_limit_s
from dspctl.benchmarks.request import Request
from dspctl.errors import BackendUnavailable, WriteFailed
from dspctl.exporter import export
from dspctl.runtime.policy.file import save_policy
from tests.benchmarks.networks import network
from tests.exporter.native.tools import needs


def script(folder: Path, text: str) -> Path:
    path = folder / "policy"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    needs("gcc")
    folder = tmp_path_factory.mktemp("bundles")
    found = {"wide": folder / "wide", "narrow": folder / "narrow"}
    for label, width in (("wide", 64), ("narrow", 4)):
        export(network((4, width, width, 2)), "cpu", found[label])
    return found


def test_both_ways_on_this_machine(bundles: dict[str, Path]) -> None:
    run = run_here({label: command_of(path) for label, path in bundles.items()})
    asked = Request(backends=("c",), seconds=0.2, paced_seconds=0.4, hz=500.0, mlock=True)
    assert failures(tuple(bundles), run) == {}
    calls = measure_command(tuple(bundles), run, asked, mode="back_to_back")
    loops = measure_command(tuple(bundles), run, asked, mode="paced")
    for label in bundles:
        samples, steps = calls.samples[label], loops.steps[label]
        assert len(samples.single_ns) == len(samples.batched_ns) == 5
        assert np.stack(samples.batched_ns).min() > 0
        assert samples.calls_per_sample >= 1
        assert steps.window_steps == (20,) * 5
        assert steps.wakeup_ns.min() >= 0
        assert steps.period_ns == 2_000_000
    assert calls.clock.cost_ns > 0
    assert calls.scheduling.mlock is not None
    assert calls.scheduling.cpu is None
    assert calls.notes == loops.notes == ()


def test_a_policy_file_has_no_program(tmp_path: Path) -> None:
    path = tmp_path / "policy.safetensors"
    save_policy(network((4, 4, 2)), path)
    with pytest.raises(BackendUnavailable, match=r"has no static program: write a bundle with"):
        command_of(path)


def test_a_bundle_without_native_code_has_none(tmp_path: Path) -> None:
    export(network((4, 4, 2)), "onnx", tmp_path / "bundle")
    with pytest.raises(BackendUnavailable, match="no native library"):
        command_of(tmp_path / "bundle")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("echo 'unknown argument' >&2; exit 2", r"ended with exit code 2 \(unknown argument\)"),
        ("exit 1", r"ended with exit code 1 \(it said nothing\)"),
        ("kill -SEGV $$", "ended with signal SIGSEGV"),
        ("echo '{}'", "gave no result .*No such file"),
        ("echo '[]'", "gave no result .*no JSON object"),
        ("echo '{'", "gave no result"),
        ("printf '\\377'", "gave no result"),
    ],
)
def test_a_program_that_fails_says_how(tmp_path: Path, text: str, sentence: str) -> None:
    run = run_here({"A": script(tmp_path, text)})
    with pytest.raises(BackendUnavailable, match=sentence):
        run("A", ())


def test_a_full_disk_is_no_defect_of_the_program(tmp_path: Path) -> None:
    said = "policy bench: could not write /t/samples (No space left on device)"
    run = run_here({"A": script(tmp_path, f"echo '{said}' >&2; exit 2")})
    with pytest.raises(WriteFailed, match=r"could not write to .* \(No space left.*TMPDIR"):
        run("A", ())


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailable, match=r"does not run here \(No such file"):
        run_here({"A": tmp_path / "absent"})("A", ())


def test_a_program_of_another_processor(tmp_path: Path) -> None:
    path = tmp_path / "policy"
    path.write_bytes(b"\x7fELF" + bytes(60))
    path.chmod(0o755)
    with pytest.raises(BackendUnavailable, match=r"does not run here \(Exec format error\)"):
        run_here({"A": path})("A", ())


def test_a_program_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dspctl.benchmarks.command.run.START_S", 0.1)
    run = run_here({"A": script(tmp_path, "exec sleep 60")})
    with pytest.raises(BackendUnavailable, match="gave no answer within 0 s"):
        run("A", ("--paced", "--seconds", "0"))


def test_the_arguments_and_a_place_for_samples_are_passed(tmp_path: Path) -> None:
    text = 'for last; do :; done; echo "$@" > "$last"; echo \'{"a": 1}\''
    answer = run_here({"A": script(tmp_path, text)})("A", ("--paced", "--hz", "50"))
    assert answer.report == {"a": 1}
    *words, path = answer.samples.decode().split()
    assert words == ["bench", "--paced", "--hz", "50", "--json", "--samples"]
    assert not Path(path).exists()


def test_the_limit_grows_with_what_is_asked() -> None:
    assert time_limit_s(("--paced", "--seconds", "30")) == START_S + 300
    assert time_limit_s(("--seconds", "30")) == START_S + 600
    assert time_limit_s(()) == START_S + 40
    assert time_limit_s(("--seconds",)) == START_S + 40
