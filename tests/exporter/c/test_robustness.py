"""Generated C under sanitizers, and in a sandbox where it can do nothing but compute."""

import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dspctl.exporter.c import c_from_policy
from dspctl.exporter.c.literals import float_literal
from dspctl.exporter.native.targets import NativeTarget
from dspctl.runtime import Policy
from tests.exporter.c.compiled import guarded, scalar_and_runnable
from tests.runtime.policies import make_policy

HERE = Path(__file__).parent
SCALAR, WIDEST = scalar_and_runnable()[0], scalar_and_runnable()[-1]
CASES: list[tuple[dict[str, Any], str, NativeTarget]] = [
    ({"sizes": (8, 9, 9, 4), "activation": "relu"}, "flag", WIDEST),
    ({"sizes": (17, 14, 4, 6), "rule": "tanh_unscale", "unread": 2}, "hold", WIDEST),
    ({"sizes": (5, 20, 3), "rule": "clip", "normalizer": False}, "zero", SCALAR),
    ({"sizes": (40, 2), "rule": "clip_unscale"}, "clamp", WIDEST),
]
CALLS = 10_000_000


def build(program: str, policy: Policy, target: NativeTarget, folder: Path, *flags: str) -> Path:
    source = c_from_policy(policy, "net", target)
    (folder / "net.h").write_text(source.header)
    (folder / "net.c").write_text(source.source)
    low, high = policy.action.low, policy.action.high
    if policy.action.discrete:
        low = np.array([policy.action.start], np.float32)
        high = low + np.float32(policy.layers[-1].width - 1)
    definitions = {
        "NET_HEADER": '"net.h"',
        "NET(name)": "NET_ ## name",
        "FUNCTION_(name)": "net_ ## name",
        "FUNCTION(name)": "FUNCTION_(name)",
        "OUTPUTS": "logits" if policy.action.discrete else "mean",
        "LOW": f"{{{', '.join(float_literal(value) for value in low)}}}",
        "HIGH": f"{{{', '.join(float_literal(value) for value in high)}}}",
        "HOLDS": str(int(policy.guard.on_invalid == "hold")),
    }
    compiler = shutil.which("gcc")
    assert compiler is not None, "install gcc"
    command = [compiler, "-std=gnu99", "-Wall", "-Wextra", "-Werror", "-g", *flags]
    command += [f"-D{key}={value}" for key, value in definitions.items()]
    command += target.system_flags if target.hosted else ()
    command += ["-I.", str(HERE / program), "net.c", "-o", "program"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return folder / "program"


@pytest.mark.parametrize(("arguments", "mode", "target"), CASES)
def test_ten_million_random_observations_show_nothing(
    arguments: dict[str, Any], mode: str, target: NativeTarget, tmp_path: Path
) -> None:
    policy = guarded(make_policy(7, **arguments), mode, -1e6, 1e6)
    sanitizers = "-fsanitize=address,undefined,float-cast-overflow"
    program = build(
        "fuzz.c",
        policy,
        target,
        tmp_path,
        *("-O2", sanitizers, "-fno-sanitize-recover=all"),
        *(f"-DCALLS={CALLS // len(CASES)}L", "-DSEED=88172645463325252ULL"),
    )
    result = subprocess.run([program], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert int(result.stdout) > 0


def test_the_sanitizers_would_have_seen_a_stray_write(tmp_path: Path) -> None:
    """The same program with a header that promises one output less than is written."""
    policy = make_policy(7, sizes=(4, 5, 3))
    source = c_from_policy(policy, "net", SCALAR)
    program = build("fuzz.c", policy, SCALAR, tmp_path, "-DCALLS=8L", "-DSEED=1ULL", "-O1")
    short = source.header.replace("NET_OUTPUT_SIZE 3", "NET_OUTPUT_SIZE 2")
    assert short != source.header
    (tmp_path / "short.h").write_text(short)
    command = ["gcc", "-std=gnu99", "-O1", "-fsanitize=address", "-I.", "-DCALLS=8L", "-DSEED=1ULL"]
    command += ['-DNET_HEADER="short.h"', "-DNET(name)=NET_ ## name", "-DHOLDS=0"]
    command += ["-DFUNCTION_(name)=net_ ## name", "-DFUNCTION(name)=FUNCTION_(name)"]
    command += ["-DOUTPUTS=logits", "-DLOW={0.0F}", "-DHIGH={2.0F}"]
    command += [str(HERE / "fuzz.c"), "net.c", "-o", "short"]
    subprocess.run(command, cwd=tmp_path, check=True)
    result = subprocess.run([tmp_path / "short"], capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert "heap-buffer-overflow" in result.stderr
    assert program.exists()


@pytest.mark.parametrize(("arguments", "mode", "target"), CASES)
def test_an_inference_allocates_nothing_and_calls_nothing(
    arguments: dict[str, Any], mode: str, target: NativeTarget, tmp_path: Path
) -> None:
    policy = guarded(make_policy(7, **arguments), mode)
    program = build("sealed.c", policy, target, tmp_path, "-O2", "-Wl,--wrap=malloc")
    assert subprocess.run([program], check=False).returncode == 0
    broken = subprocess.run([program, "break"], check=False)
    assert broken.returncode == -signal.SIGKILL
