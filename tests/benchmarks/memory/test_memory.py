import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dspctl.benchmarks.comparison.ratios import memory_ratios
from dspctl.benchmarks.memory.process import Memory, Probe, measure_memory, probe_once, run_probe
from dspctl.errors import BackendUnavailable
from dspctl.runtime import save_policy
from tests.benchmarks.networks import network

MIB = 1 << 20


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


@pytest.mark.parametrize(("larger_kib", "noted"), [(0, True), (40, True), (60, False)])
def test_differences_within_the_spread_get_a_note(
    monkeypatch: pytest.MonkeyPatch, larger_kib: int, noted: bool
) -> None:
    first = Probe(20 * MIB, MIB, MIB, 22 * MIB, 20 * MIB, 1, 1, 1)
    made = 0

    def probe(path: Path, backend: str) -> Probe:
        nonlocal made
        round_, made = made // 2, made + 1
        extra = 1024 * (25 * (round_ - 1) + (larger_kib if path.name == "b" else 0))
        return replace(first, peak_rss_bytes=first.peak_rss_bytes + extra)

    monkeypatch.setattr("dspctl.benchmarks.memory.process.probe_once", probe)
    found = measure_memory({"a": Path("a"), "b": Path("b")}, "numpy", repeats=3)
    # Peaks of each are 25 KiB apart from one process to the next: a spread of 50 KiB.
    assert found["a"].median("peak_rss_bytes") == 22 * MIB
    for one in found.values():
        assert any("take the policy's bytes" in note for note in one.notes) == noted


def test_a_failing_probe_says_why(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailable, match=r"PolicyNotFound|there is no policy"):
        probe_once(tmp_path / "absent.safetensors", "numpy")


def test_ratios_are_of_medians_over_processes() -> None:
    def memory(label: str, sizes: tuple[int, ...]) -> Memory:
        probes = tuple(Probe(0, 0, 0, 2 * size, size, 1, 1, 1) for size in sizes)
        return Memory(label, "numpy", probes)

    found = {"before": memory("before", (40, 44, 60)), "after": memory("after", (22, 20, 20))}
    pss, peak = memory_ratios(found, "before", "numpy", seed=0)
    assert (pss.quantity, peak.quantity) == ("memory_pss", "memory_peak")
    assert (pss.baseline, pss.subject) == ("before", "after")
    assert pss.value.estimate == peak.value.estimate == 44 / 20
    assert 40 / 22 <= pss.value.low <= pss.value.estimate <= pss.value.high <= 60 / 20
    assert memory_ratios(found, "absent", "numpy", seed=0) == []
    unknown = {label: memory(label, (0, 0)) for label in ("before", "after")}
    assert memory_ratios(unknown, "before", "numpy", seed=0) == []
