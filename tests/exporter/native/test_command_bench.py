"""`policy bench` on this machine: what it reports, never how fast it is."""

import json
from pathlib import Path

import numpy as np
import pytest

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
