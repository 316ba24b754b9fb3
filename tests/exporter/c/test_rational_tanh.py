"""The tanh of generated code against the C library's in float64, over float32."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from dspctl.exporter.c.rational_tanh import TANH_BOUND, tanh_float32


def test_the_bound_holds_on_a_dense_grid() -> None:
    values = np.concatenate(
        [
            np.linspace(-12, 12, 2_000_001),
            np.geomspace(1e-44, 3e38, 1_000_001),
            -np.geomspace(1e-44, 3e38, 1_000_001),
        ]
    ).astype(np.float32)
    exact = np.tanh(values.astype(np.float64))
    error = np.abs(tanh_float32(values) - exact)
    assert error.max() <= TANH_BOUND
    normal = np.abs(values) > 1e-37  # below, float32 itself has no relative accuracy
    assert (error[normal] <= TANH_BOUND * np.abs(exact[normal])).all()


def test_it_is_odd_and_saturates() -> None:
    values = np.linspace(0, 20, 100_001, dtype=np.float32)
    np.testing.assert_array_equal(tanh_float32(-values), -tanh_float32(values))
    assert (tanh_float32(values[values >= 9]) == tanh_float32(np.full(1, 9, np.float32))).all()


EXHAUSTIVE = """
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
{tanh}
int main(void) {{
    double worst = 0.0;
    for (uint64_t bits = 0; bits < 0x7f800000u; bits++) {{
        uint32_t word = (uint32_t)bits;
        float x;
        memcpy(&x, &word, 4);
        double error = fabs((double)tanh_of(x) - tanh((double)x));
        if (error > worst) worst = error;
        if (x > 10.0f) break;
    }}
    printf("%.9e", worst);
    return 0;
}}
"""


@pytest.mark.slow
@pytest.mark.parametrize("contract", ["off", "fast"])
def test_the_bound_holds_for_every_float32(contract: str, tmp_path: Path) -> None:
    """The function is odd, and constant above 9: half the floats up to 10 are all there is."""
    from dspctl.exporter.c import c_from_policy
    from dspctl.exporter.native.targets import NATIVE_TARGETS
    from tests.runtime.policies import make_policy

    source = c_from_policy(
        make_policy(activation="tanh"), "net", NATIVE_TARGETS["cortex-m7"]
    ).source
    start = source.index("static float tanh_of")
    function = source[start : source.index("\n}\n", start) + 3]
    (tmp_path / "all.c").write_text(EXHAUSTIVE.format(tanh=function))
    compiler = shutil.which("gcc")
    assert compiler is not None
    command = [compiler, "-std=c99", "-O3", "-march=native", f"-ffp-contract={contract}"]
    subprocess.run([*command, "all.c", "-o", "all", "-lm"], cwd=tmp_path, check=True)
    worst = float(subprocess.run([tmp_path / "all"], capture_output=True, check=True).stdout)
    assert 0 < worst <= TANH_BOUND
