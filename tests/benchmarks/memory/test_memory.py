import json
import stat
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from dspctl.benchmarks.comparison.ratios import memory_ratios
from dspctl.benchmarks.memory import process
from dspctl.benchmarks.memory.bare import BarePython, bare_python
from dspctl.benchmarks.memory.command import probe_command
from dspctl.benchmarks.memory.process import (
    Memory,
    Probe,
    measure_memory,
    prepare,
    probe_once,
    run_probe,
)
from dspctl.benchmarks.record.decode import decode
from dspctl.errors import BackendUnavailable, WriteFailed
from dspctl.runtime import save_policy
from dspctl.runtime.bundle import ONNX
from dspctl.runtime.bundle.manifest import Build
from dspctl.runtime.machine import this_machine
from tests.benchmarks.networks import network
from tests.runtime.bundles import NAME, bundle_of

KIB = 1 << 10
MIB = 1 << 20


def made(**changes: int) -> Probe:
    """A process of 20 MiB with NumPy, 1 MiB of import and 1 MiB of running."""
    probe = Probe(
        baseline_rss_bytes=25 * MIB,
        baseline_pss_bytes=20 * MIB,
        baseline_peak_rss_bytes=25 * MIB,
        import_rss_bytes=2 * MIB,
        import_pss_bytes=MIB,
        run_rss_bytes=2 * MIB,
        run_pss_bytes=MIB,
        rss_bytes=29 * MIB,
        pss_bytes=22 * MIB,
        peak_rss_bytes=29 * MIB,
        import_ns=1,
        load_ns=1,
        first_action_ns=1,
    )
    return replace(probe, **changes)


def script(folder: Path, text: str) -> Path:
    """A program that stands for a bundle's ``policy``."""
    path = folder / "policy"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    return save_policy(network((4, 8, 2)), tmp_path / "policy.safetensors")


def test_a_fresh_process_is_measured_in_stages(policy: Path) -> None:
    probe = probe_once(policy, "numpy")
    # Python with NumPy takes tens of megabytes, a policy of 66 weights next to nothing.
    assert 5 * MIB < probe.baseline_rss_bytes < 200 * MIB
    assert 0 < probe.import_rss_bytes < 100 * MIB
    assert 0 <= probe.run_rss_bytes < 20 * MIB
    stages = probe.baseline_rss_bytes + probe.import_rss_bytes + probe.run_rss_bytes
    # The kernel counts resident pages per thread and sums them late, so peak and sum differ a bit.
    assert probe.peak_rss_bytes >= stages - MIB
    assert 0 < probe.pss_bytes <= probe.peak_rss_bytes
    assert 5 * MIB < probe.baseline_pss_bytes <= probe.baseline_rss_bytes
    assert 0 < probe.baseline_peak_rss_bytes <= probe.peak_rss_bytes
    # Nothing is lost between the stages.
    assert probe.baseline_pss_bytes + probe.added_pss_bytes == probe.pss_bytes
    assert stages == probe.rss_bytes
    assert 0 < probe.import_pss_bytes <= probe.added_pss_bytes < 50 * MIB
    assert probe.import_ns > 0
    assert probe.load_ns > 0
    assert probe.first_action_ns > 0


def test_the_probe_does_not_inherit_this_process() -> None:
    ballast = np.ones(100 * MIB, np.uint8)
    report = run_probe({})
    assert set(report) == {"baseline"}
    assert report["baseline"]["peak_rss_bytes"] < ballast.nbytes


def test_the_baseline_imports_nothing_of_ours_but_the_package() -> None:
    code = (
        "import sys, dspctl.benchmarks.memory._probe; "
        "print(*sorted(name for name in sys.modules if name.startswith(('dspctl', 'numpy'))))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert loaded.split() == [
        "dspctl",
        "dspctl.benchmarks",
        "dspctl.benchmarks.memory",
        "dspctl.benchmarks.memory._probe",
    ]


def test_subjects_are_probed_in_turn(policy: Path, tmp_path: Path) -> None:
    large = save_policy(network((4, 1500, 1500, 2)), tmp_path / "large.safetensors")
    seen: list[tuple[int, int]] = []
    found = measure_memory(
        {"large": large, "small": policy},
        "numpy",
        repeats=2,
        on_probe=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert [len(one.probes) for one in found.values()] == [2, 2]
    # 9 MB of weights show up, so the subjects differ by more than equal processes do.
    more = found["large"].median("run_rss_bytes") - found["small"].median("run_rss_bytes")
    assert more > 8_000_000
    assert found["large"].notes == ()


@pytest.mark.parametrize(
    ("pss_kib", "peak_kib", "noted"),
    [
        (0, 0, ["PSS by 0 KiB, equal ones 50 KiB", "peak memory by 0 KiB"]),
        (40, 60, ["PSS by 40 KiB"]),
        (60, 40, ["peak memory by 40 KiB"]),
        (60, 60, []),
    ],
)
def test_differences_within_the_spread_get_a_note(
    monkeypatch: pytest.MonkeyPatch, pss_kib: int, peak_kib: int, noted: list[str]
) -> None:
    first = made()
    done = 0

    def probe(path: Path, backend: str) -> Probe:
        nonlocal done
        round_, done = done // 2, done + 1
        noise, larger = 25 * KIB * (round_ - 1), KIB if path.name == "b" else 0
        return replace(
            first,
            pss_bytes=first.pss_bytes + noise + pss_kib * larger,
            peak_rss_bytes=first.peak_rss_bytes + noise + peak_kib * larger,
        )

    monkeypatch.setattr("dspctl.benchmarks.memory.process.probe_once", probe)
    found = measure_memory({"a": Path("a"), "b": Path("b")}, "numpy", repeats=3)
    # Both figures are 25 KiB apart from one process to the next: a spread of 50 KiB.
    assert found["a"].median("peak_rss_bytes") == 29 * MIB
    for one in found.values():
        assert len(one.notes) == (1 if noted else 0)
        assert all(words in one.notes[0] for words in noted)
        assert not noted or "take the policy's bytes" in one.notes[0]


def test_a_library_that_this_process_shares_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", ModuleType("onnxruntime"))
    monkeypatch.setattr("dspctl.benchmarks.memory.process.probe_once", lambda *_: made())
    subjects = {"a": Path("a")}
    (note,) = measure_memory(subjects, "onnxruntime", repeats=1)["a"].notes
    assert "had onnxruntime loaded too" in note
    assert measure_memory(subjects, "numpy", repeats=1)["a"].notes == ()


def test_the_bare_process_is_a_row_of_its_own() -> None:
    def memory(backend: str, *baselines: int) -> Memory:
        probes = (made(baseline_pss_bytes=one, baseline_rss_bytes=2 * one) for one in baselines)
        return Memory("a", backend, tuple(probes))

    records = [memory("numpy", 10, 12), memory("torch", 11), memory("c", 0, 0, 0, 0)]
    assert bare_python(records) == BarePython(22, 11, 25 * MIB, 3)
    assert bare_python([memory("c", 0)]) is None


def test_a_record_survives_json(policy: Path) -> None:
    record = Memory("a", "numpy", (made(run_pss_bytes=-5),), ("a note",))
    assert decode(Memory, json.loads(json.dumps(asdict(record))), "memory") == record
    assert record.median("added_pss_bytes") == MIB - 5


def test_the_torch_of_a_probe_is_counted_as_import(policy: Path) -> None:
    pytest.importorskip("torch")
    probe = probe_once(policy, "torch")
    # Torch's libraries are an order of magnitude larger than a policy of 66 weights.
    assert probe.import_pss_bytes > 30 * MIB
    assert probe.import_pss_bytes > 3 * probe.run_pss_bytes


def test_the_probe_of_a_runtime_backend_imports_nothing_else_of_the_benchmarks(
    policy: Path,
) -> None:
    code = (
        "import sys; from dspctl.benchmarks.memory._probe import probe; "
        "probe({'path': sys.argv[1], 'backend': 'numpy', 'calls': 2}); "
        "print(*sorted(name for name in sys.modules if name.startswith('dspctl.benchmarks')))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code, str(policy)], capture_output=True, text=True, check=True
    ).stdout
    own = ["", ".memory", ".memory._probe"]
    assert loaded.split() == [f"dspctl.benchmarks{name}" for name in own]


def test_the_static_program_is_read_while_it_waits(tmp_path: Path) -> None:
    program = script(tmp_path, 'while read -r line; do echo "$line" >> asked; echo 1 0; done')
    program.write_text(program.read_text().replace(">> asked", f">> {tmp_path}/asked"))
    found, first_action_ns = probe_command(program, [0.5, -1.25], calls=3, timeout_s=20)
    assert (tmp_path / "asked").read_text().splitlines() == ["0.5 -1.25"] * 3
    assert 0 < found["pss_bytes"] <= found["rss_bytes"] <= found["peak_rss_bytes"] + MIB
    assert found["rss_bytes"] < 10 * MIB  # a shell's, not this process's
    assert first_action_ns > 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("echo 'Illegal instruction' >&2; exit 132", "Illegal instruction"),
        ("read -r line; exit 0", "it printed nothing"),
        ("exec sleep 20", "it printed nothing"),  # until it is given up
    ],
)
def test_a_static_program_that_does_not_answer(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BackendUnavailable, match=f"{message}|Broken pipe"):
        probe_command(script(tmp_path, text), [0.0], calls=3, timeout_s=0.5)


def test_a_full_disk_is_no_defect_of_the_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    failing = [sys.executable, "-c", "raise OSError(30, 'Read-only file system')"]
    monkeypatch.setattr(process, "command", lambda *_: failing)
    with pytest.raises(WriteFailed, match="Read-only file system"):
        run_probe({"backend": "numpy"})


def test_a_static_program_that_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailable, match="does not run here"):
        probe_command(tmp_path / "absent", [0.0], calls=1, timeout_s=1)


def test_a_policy_file_has_no_static_program(policy: Path) -> None:
    with pytest.raises(BackendUnavailable, match="is a policy file"):
        probe_once(policy, "c")


def test_the_command_of_a_bundle_is_measured(tmp_path: Path) -> None:
    program = b'#!/bin/sh\nwhile read -r line; do echo "1 0"; done\n'
    files = {ONNX: b"", f"native/here/lib{NAME}.so": b"s", "native/here/policy": program}
    builds = {"here": Build(this_machine().architecture, (), "cc", ())}
    bundle = bundle_of(tmp_path / "bundle", network((4, 8, 2)), files, builds=builds)
    (bundle / "native/here/policy").chmod(0o755)
    probe = probe_once(bundle, "c")
    assert (probe.baseline_pss_bytes, probe.import_pss_bytes, probe.import_ns) == (0, 0, 0)
    assert 0 < probe.added_pss_bytes == probe.pss_bytes < 5 * MIB
    (bundle / "native/here/policy").chmod(0o644)  # a copy may lose the mode
    with pytest.raises(BackendUnavailable, match="executable"):
        probe_once(bundle, "c")


def test_a_probe_names_the_files_that_it_maps(policy: Path) -> None:
    files = run_probe({"path": str(policy), "backend": "numpy", "calls": 1})["files"]
    assert any("_multiarray_umath" in name for name in files)
    assert all(Path(name).is_file() for name in files)


def test_what_does_not_run_cannot_be_prepared(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailable, match=r"PolicyNotFound|there is no policy"):
        prepare(tmp_path / "none.safetensors", "numpy")


def test_a_failing_probe_says_why(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailable, match=r"PolicyNotFound|there is no policy"):
        probe_once(tmp_path / "absent.safetensors", "numpy")


def test_ratios_are_of_medians_over_processes() -> None:
    def memory(label: str, sizes: tuple[int, ...]) -> Memory:
        probes = tuple(
            made(pss_bytes=size, run_pss_bytes=size, import_pss_bytes=0, peak_rss_bytes=2 * size)
            for size in (one << 20 for one in sizes)
        )
        return Memory(label, "numpy", probes)

    found = {"before": memory("before", (40, 44, 60)), "after": memory("after", (22, 20, 20))}
    ratios = {one.quantity: one for one in memory_ratios(found, "before", "numpy", seed=0)}
    pss, peak = ratios["memory_pss"], ratios["memory_peak"]
    assert (pss.baseline, pss.subject) == ("before", "after")
    assert pss.value.estimate == peak.value.estimate == 44 / 20
    assert 39 / 23 <= pss.value.low <= pss.value.estimate <= pss.value.high <= 61 / 19
    alike = {"before": memory("before", (4, 4, 4)), "after": memory("after", (2, 2, 2))}
    ratio = memory_ratios(alike, "before", "numpy", seed=0)[0]
    # Equal to the byte: known to 64 KiB, a sixteenth of a MiB, all the same.
    assert ratio.value.low == pytest.approx((4 - 1 / 16) / (2 + 1 / 16))
    assert ratio.value.high == pytest.approx((4 + 1 / 16) / (2 - 1 / 16))
    assert memory_ratios(found, "absent", "numpy", seed=0) == []
    unknown = {label: memory(label, (0, 0)) for label in ("before", "after")}
    assert memory_ratios(unknown, "before", "numpy", seed=0) == []
