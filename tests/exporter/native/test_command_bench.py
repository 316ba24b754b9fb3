"""`policy bench` on this machine: what it reports, never how fast it is."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dspctl.benchmarks.command.raw import read_samples
from dspctl.exporter.native import sources as native_sources
from dspctl.exporter.native.flags import COMMAND_FLAGS
from tests.exporter.native.conftest import Built, Run
from tests.exporter.native.tools import needs, run

KINDS = ["discrete", "held", "continuous", "clipped"]


def check_latency(latency: dict[str, float]) -> None:
    names = ["min", "p50", "p90", "p99", "p99_9", "max"]
    values = [latency[name] for name in names]
    assert values == sorted(values)
    assert values[0] <= latency["mean"] <= values[-1]


def test_bench(policy: Run) -> None:
    words = ("bench", "--json", "--seconds", "0.2", "--hz", "200", "--mlock", "--cpu", "9999")
    result = json.loads(policy(*words).stdout)
    block, single = result["back_to_back"]["block"], result["back_to_back"]["single"]
    assert block["calls_per_sample"] >= single["calls_per_sample"] == 1
    paced = result["paced"]
    assert (paced["samples"], paced["period_ns"], paced["rate_hz"]) == (40, 5_000_000, 200)
    assert 0 <= paced["deadline_misses"] <= 40
    for latency in (
        *(block["latency_ns"], single["latency_ns"], paced["latency_ns"]),
        *(paced["wakeup_ns"], paced["inference_ns"], result["clock"]["cost_ns"]),
    ):
        check_latency(latency)
    # Latency counts from the intended start, so it holds the wake-up and the inference.
    for name in ("min", "mean", "max"):
        assert paced["latency_ns"][name] >= paced["wakeup_ns"][name]
    assert (paced["dropped"], block["dropped"], single["dropped"]) == (0, 0, 0)
    for mode in ("back_to_back", "paced"):
        assert result[mode]["warm_up"]["calls"] > 0
        assert result[mode]["warm_up"]["settled"] in (True, False)
    assert paced["latency_ns"]["mean"] == pytest.approx(
        paced["wakeup_ns"]["mean"] + paced["inference_ns"]["mean"]
    )
    scheduling = result["scheduling"]
    assert scheduling["cpu"] == {"value": 9999, "granted": False, "reason": "Invalid argument"}
    assert scheduling["mlock"]["granted"] in (True, False)
    assert scheduling["fifo"] is None
    assert result["clock"]["resolution_ns"] >= 1


@pytest.mark.parametrize(
    ("mode", "left_out"), [("--paced", "back_to_back"), ("--back-to-back", "paced")]
)
def test_bench_in_one_mode(policy: Run, mode: str, left_out: str) -> None:
    result = json.loads(policy("bench", mode, "--json", "--seconds", "0.05").stdout)
    assert result[left_out] is None
    assert len([name for name in ("back_to_back", "paced") if result[name]]) == 1
    assert "p99.9" in policy("bench", mode, "--seconds", "0.05").stdout


def test_inference_makes_no_system_call(built: Built, tmp_path: Path) -> None:
    """Hundreds of thousands of calls, and no more system calls than the program needs to start."""
    needs("strace")
    _, folder = built("cpu")
    trace = tmp_path / "trace"
    words = ("bench", "--back-to-back", "--json", "--seconds", "0.2")
    done = run("strace", "-f", "-o", trace, folder / "policy", *words)
    assert done.returncode == 0, done.stderr
    block = json.loads(done.stdout)["back_to_back"]["block"]
    assert block["calls_per_sample"] * block["samples"] > 100_000
    assert len(trace.read_text().splitlines()) < 200


COUNTED = ("--block-calls", "200", "--blocks", "30", "--singles", "7")


def check_figures(figures: dict[str, float], samples: NDArray[Any], calls: int = 1) -> None:
    """Figures against the raw samples, which the program has given apart from them."""
    names = ("p50", "p90", "p99", "p99_9")
    ranks = np.percentile(samples, [50, 90, 99, 99.9], method="inverted_cdf")
    expected = [samples.min(), samples.mean(), *ranks, samples.max()]
    found = [figures[name] for name in ("min", "mean", *names, "max")]
    np.testing.assert_allclose(np.array(found) * calls, expected, rtol=1e-8)


def test_samples_are_those_of_the_figures(policy: Run, tmp_path: Path) -> None:
    path = tmp_path / "samples"
    words = (*COUNTED, "--hz", "1000", "--steps", "25", "--samples", str(path))
    result = json.loads(policy("bench", "--json", *words).stdout)
    raw = read_samples(path.read_bytes())
    assert [one.size for one in (raw.block_ns, raw.single_ns)] == [30, 210]
    assert [one.size for one in (raw.wakeup_ns, raw.inference_ns)] == [25, 25]
    assert (raw.calls_per_block, raw.period_ns) == (200, 1_000_000)
    both, paced = result["back_to_back"], result["paced"]
    assert both["singles_per_block"] == 7
    assert (both["block"]["samples"], both["single"]["samples"], paced["samples"]) == (30, 210, 25)
    check_figures(both["block"]["latency_ns"], raw.block_ns, 200)
    check_figures(both["single"]["latency_ns"], raw.single_ns)
    check_figures(paced["wakeup_ns"], raw.wakeup_ns)
    check_figures(paced["inference_ns"], raw.inference_ns)
    latency_ns = raw.wakeup_ns + raw.inference_ns
    check_figures(paced["latency_ns"], latency_ns)
    assert paced["deadline_misses"] == np.count_nonzero(latency_ns > raw.period_ns)
    assert [one.name for one in tmp_path.iterdir()] == ["samples"]


def test_samples_are_in_the_order_of_measurement(policy: Run, tmp_path: Path) -> None:
    """A sorted list of so many wake-ups that differ does not come about by chance."""
    words = ("--paced", "--hz", "2000", "--steps", "200", "--samples", str(tmp_path / "samples"))
    assert policy("bench", *words).returncode == 0
    raw = read_samples((tmp_path / "samples").read_bytes())
    assert raw.block_ns.size == raw.single_ns.size == raw.calls_per_block == 0
    assert np.unique(raw.wakeup_ns).size > 10
    assert (np.diff(raw.wakeup_ns) < 0).any()


def test_figures_that_the_clock_spoils_are_bounds(policy: Run) -> None:
    """A figure is claimed where reading the clock is at most a tenth of it."""
    words = ("--block-calls", "1", "--blocks", "50", "--hz", "1000", "--steps", "20")
    result = json.loads(policy("bench", "--json", *words).stdout)
    clock_ns = result["clock"]["cost_ns"]["p50"]

    def spoilt(figures: dict[str, float], prefix: str = "") -> list[str]:
        return [prefix + name for name, ns in figures.items() if clock_ns > 0.1 * ns]

    for kind in ("block", "single"):
        found = result["back_to_back"][kind]
        assert found["bounds"] == spoilt(found["latency_ns"])
    paced = result["paced"]
    names = ("latency_ns", "wakeup_ns", "inference_ns")
    assert paced["bounds"] == [one for name in names for one in spoilt(paced[name], f"{name}.")]


def test_bounds_are_marked_in_the_text(policy: Run) -> None:
    """A block of 20,000 calls has none; single calls of some nanoseconds usually have nothing else.

    Cells are 11 characters wide, and a cell that is a bound begins with "<=".
    """
    words = ("--back-to-back", "--block-calls", "20000", "--blocks", "5")
    rows = [line for line in policy("bench", *words).stdout.splitlines() if line.startswith("  ")]
    cells = {
        row[2:24].strip(): [row[24 + 11 * i : 35 + 11 * i].strip() for i in range(7)]
        for row in rows
    }
    clock_ns = float(cells["reading the clock"][2])
    assert not any(cell.startswith("<=") for cell in cells["mean of a block"])
    for cell in cells["single, with the clock"]:
        assert cell.startswith("<= ") == (clock_ns > 0.1 * float(cell.removeprefix("<= ")))


def test_what_finds_no_room_is_counted(policy: Run, tmp_path: Path) -> None:
    words = ("--back-to-back", "--seconds", "0.1", "--keep", "1000", "--singles", "50")
    more = ("--block-calls", "10", "--samples", str(tmp_path / "samples"))
    result = json.loads(policy("bench", *words, *more, "--json").stdout)["back_to_back"]
    raw = read_samples((tmp_path / "samples").read_bytes())
    assert raw.single_ns.size == result["single"]["samples"] == 1000
    assert result["single"]["dropped"] > 0
    assert (result["single"]["samples"] + result["single"]["dropped"]) % 50 == 0
    assert "found no room" in policy("bench", *words, *more).stdout


def test_samples_that_cannot_be_written_are_refused(policy: Run, tmp_path: Path) -> None:
    short = ("--back-to-back", *COUNTED, "--samples")
    nowhere = policy("bench", *short, str(tmp_path / "absent" / "samples"))
    assert (nowhere.returncode, nowhere.stdout) == (2, "")
    assert "No such file or directory): free some space or choose another --samples" in (
        nowhere.stderr
    )
    folder = policy("bench", *short, str(tmp_path))
    assert (folder.returncode, folder.stdout) == (2, "")
    assert list(tmp_path.iterdir()) == []
    assert list(tmp_path.parent.glob(f"{tmp_path.name}.*")) == []


def test_a_full_disk_leaves_the_old_samples(built: Built, tmp_path: Path) -> None:
    _, folder = built("cpu")
    path = tmp_path / "samples"
    path.write_bytes(b"old")
    # A file may have 4 KiB here: 4,000 samples do not go in. The signal would end the program.
    limited = f"trap '' XFSZ; ulimit -f 8; exec {folder}/policy bench --paced --hz 100000"
    done = run("sh", "-c", f"{limited} --steps 4000 --samples {path}")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"could not write {path} (File too large)" in done.stderr
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["samples"]


def test_percentiles_are_by_nearest_rank(tmp_path: Path) -> None:
    """samples.c against numpy's inverted_cdf, which is the nearest rank."""
    needs("gcc")
    folder = Path(native_sources.__file__).parent / "command"
    (tmp_path / "main.c").write_text(
        """
#include "samples.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
int main(int count, char **values)
{
    struct samples samples;
    struct summary all;
    int i;
    if (!samples_reserve(&samples, (size_t)count)) { return 1; }
    for (i = 1; i < count; i++) { samples_add(&samples, strtoull(values[i], NULL, 10)); }
    all = samples_summary(&samples, 4);
    printf("%.17g %.17g %.17g %.17g %.17g %.17g %.17g", all.min_ns, all.mean_ns, all.p50_ns,
           all.p90_ns, all.p99_ns, all.p99_9_ns, all.max_ns);
    return 0;
}
"""
    )
    flags = (*COMMAND_FLAGS, f"-I{folder}", "-o", str(tmp_path / "main"))
    done = run("gcc", *flags, tmp_path / "main.c", folder / "samples.c")
    assert done.returncode == 0, done.stderr
    rng = np.random.default_rng(0)
    for size in (1, 2, 9, 10, 100, 999, 1001, 2345):
        values = rng.integers(0, 10_000, size)
        output = run(tmp_path / "main", *map(str, values.tolist())).stdout
        # 99.9 per cent of a multiple of 1000 is rounded up by numpy's arithmetic, hence the sizes.
        ranks = np.percentile(values, [50, 90, 99, 99.9], method="inverted_cdf")
        expected = [values.min(), values.mean(), *ranks, values.max()]
        np.testing.assert_allclose([4 * float(word) for word in output.split()], expected)
