"""The logs are read back by the reader of the HdrHistogram package itself."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dspctl.benchmarks.calls.latency import Samples
from dspctl.benchmarks.calls.paced import PacedSamples
from dspctl.benchmarks.calls.timer import WarmUp
from dspctl.benchmarks.measurement import measure
from dspctl.benchmarks.record.file import load_raw
from dspctl.benchmarks.record.hlog import log_files, tags_of, write_hlog, write_logs
from dspctl.benchmarks.request import Request
from dspctl.runtime import save_policy
from tests.benchmarks.networks import network

PER_MILLE = [500, 900, 990, 999, 1000]


def calls(seed: int, rounds: int = 4, size: int = 2500) -> Samples:
    """Single calls with a long tail, from a few nanoseconds to seconds."""
    rng = np.random.default_rng(seed)
    blocks = [rng.lognormal(6, 3, size).astype(np.int64) + 1 for _ in range(rounds)]
    return Samples(tuple(blocks), (np.zeros(0, np.int64),) * rounds, 1, WarmUp(1, 1.0, True))


def loop(seed: int) -> PacedSamples:
    rng = np.random.default_rng(seed)
    wakeup, inference = (rng.lognormal(10, 1, 900).astype(np.int64) for _ in range(2))
    return PacedSamples(10_000_000, wakeup, inference, (400, 500))


def read(path: Path) -> list[Any]:
    """Every interval of a log."""
    log = pytest.importorskip("hdrh.log")
    histogram = pytest.importorskip("hdrh.histogram").HdrHistogram
    reader = log.HistogramLogReader(str(path), histogram(1, 3_600_000_000_000, 3))
    found = []
    try:
        while (one := reader.get_next_interval_histogram()) is not None:
            found.append(one)
    finally:
        reader.close()
    return found


def check(histogram: Any, samples: NDArray[np.int64]) -> None:
    """Percentiles within 0.1% of those of the samples, by nearest rank, in whole numbers."""
    assert histogram.get_total_count() == samples.size
    ranks = [(samples.size * share + 999) // 1000 for share in PER_MILLE]
    expected = np.sort(samples)[np.array(ranks) - 1]
    found = [histogram.get_value_at_percentile(share / 10) for share in PER_MILLE]
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_a_log_holds_every_round_of_every_subject(tmp_path: Path) -> None:
    subjects = {"unpruned": calls(0), "DSP 93%": calls(1)}
    written = write_hlog(tmp_path / "bench.json", "native", subjects)
    assert written.path == tmp_path / "bench-native.hlog"
    assert written.note == ""
    intervals = read(written.path)
    assert [one.get_tag() for one in intervals] == ["unpruned", "DSP_93%"] * 4
    for index, one in enumerate(intervals):
        samples = list(subjects.values())[index % 2]
        check(one, samples.single_ns[index // 2])


def test_intervals_add_up_to_all_samples(tmp_path: Path) -> None:
    samples = calls(2)
    written = write_hlog(tmp_path / "bench.json", "c", {"a": samples})
    assert written.path is not None
    together = pytest.importorskip("hdrh.histogram").HdrHistogram(1, 3_600_000_000_000, 3)
    for one in read(written.path):
        together.add(one)
    check(together, samples.single)


def test_a_control_loop_has_a_log_of_its_own(tmp_path: Path) -> None:
    samples = loop(3)
    written = write_hlog(tmp_path / "bench.json", "numpy", {"a": samples})
    assert written.path == tmp_path / "bench-numpy-paced.hlog"
    one, other = read(written.path)
    check(one, samples.latency_ns[:400])
    check(other, samples.latency_ns[400:])
    lengths = [one.get_end_time_stamp() - one.get_start_time_stamp() for one in (one, other)]
    np.testing.assert_allclose(lengths, [4000, 5000])  # milliseconds
    assert other.get_start_time_stamp() == pytest.approx(4000)


def test_the_log_is_in_the_standard_form(tmp_path: Path) -> None:
    written = write_hlog(tmp_path / "bench.json", "c", {"a b,c": calls(4, rounds=1)})
    assert written.path is not None
    lines = written.path.read_text().splitlines()
    assert lines[0] == "#[Histogram log format version 1.3]"
    assert "#[Tag a_b_c: 'a b,c']" in lines
    assert lines[-2].startswith('"StartTimestamp","Interval_Length","Interval_Max"')
    tag, start, length, largest, payload = lines[-1].split(",")
    assert (tag, start) == ("Tag=a_b_c", "0.000000")
    samples = calls(4, rounds=1).single
    assert float(length) == pytest.approx(samples.sum() / 1e9, abs=1e-6)
    assert float(largest) == pytest.approx(samples.max() / 1e6, abs=1e-6)
    assert payload.startswith("HISTFA")  # the cookie of a compressed histogram in V2


def test_times_of_zero_and_of_hours_are_kept(tmp_path: Path) -> None:
    values = np.array([0, 1, 7_200_000_000_000], np.int64)
    samples = Samples((values,), (np.zeros(0, np.int64),), 1, WarmUp(1, 1.0, True))
    written = write_hlog(tmp_path / "bench.json", "c", {"a": samples})
    assert written.path is not None
    (one,) = read(written.path)
    assert one.get_total_count() == 3
    assert one.get_max_value() == pytest.approx(7_200_000_000_000, rel=1e-3)


def test_tags_are_different_and_plain() -> None:
    assert tags_of(("a b", "a,b", "a\nb", "", "é")) == {
        "a b": "a_b",
        "a,b": "a_b_2",
        "a\nb": "a_b_3",
        "": "_",
        "é": "é",
    }


def test_without_the_package_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "hdrh.histogram", None)
    written = write_hlog(tmp_path / "bench.json", "c", {"a": calls(5)})
    assert written.path is None
    assert "pip install 'dspctl[bench]'" in written.note
    assert list(tmp_path.iterdir()) == []


def test_a_result_gets_a_log_per_backend_and_way_to_measure(tmp_path: Path) -> None:
    pytest.importorskip("hdrh")
    policy = save_policy(network((4, 3, 2)), tmp_path / "policy.safetensors")
    out = tmp_path / "bench.json"
    request = Request(("numpy",), seconds=0.1, paced_seconds=0.1, memory=False, episodes=0)
    result = measure({"one": policy}, request, out=out)
    assert write_logs(result, out) == ()
    raw = load_raw(out, "numpy")["one"]
    calls, loop = (read(path) for path in log_files(out, "numpy"))
    assert sum(one.get_total_count() for one in calls) == result.latency[0].single_calls
    assert len(calls) == len(raw.single_ns)
    assert sum(one.get_total_count() for one in loop) == result.paced[0].steps
    for path in tmp_path.glob("*.npz"):
        path.unlink()
    for path in tmp_path.glob("*.hlog"):
        path.unlink()
    assert write_logs(result, out) == ()  # nothing to write from
    assert not list(tmp_path.glob("*.hlog"))
