"""A tiny policy in hand-written C behind the generated code's interface, compiled by this machine.

It computes ``outputs = [x0 + x1, x1 - x0]`` from three features of which the last is not read, so
that the tests of the native runner depend on no generator.
"""

import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dspctl.runtime import ActionRule, Layer, ObservationSpec, Policy
from dspctl.runtime.bundle.manifest import Build
from dspctl.runtime.policy.guard import Guard, OnInvalid
from tests.runtime.bundles import bundle_of

NAME = "tiny"
_SOURCE = """
#include <stddef.h>
#include <stdint.h>
#if DISCRETE
typedef int32_t element;
#define OUTPUTS tiny_logits
#define WIDTH 1
#else
typedef float element;
#define OUTPUTS tiny_mean
#define WIDTH 2
#endif
/* modes: 0 flag, 1 hold, 2 zero, 3 clamp; the range is -100 to 100 */
static int repaired(const float x[3], float r[2]) {
    int status = 0;
    for (int i = 0; i < 2; i++) {
        r[i] = x[i];
        if (!(x[i] - x[i] == 0.0f)) status |= 1;
        else if (x[i] > 100 || x[i] < -100) status |= 2;
        if (!(x[i] <= 100 && x[i] >= -100)) {
            r[i] = MODE != 3 || x[i] != x[i] ? 0.0f : x[i] > 0 ? 100.0f : -100.0f;
        }
    }
    return status;
}
int OUTPUTS(const float x[3], float y[2]) {
    float r[2];
    int status = repaired(x, r);
    y[0] = r[0] + r[1];
    y[1] = r[1] - r[0];
    return status;
}
int tiny_act(const float x[3], element a[WIDTH]) {
    float y[2];
    int status = OUTPUTS(x, y);
    if (status && MODE == 1) return status;
#if DISCRETE
    a[0] = START + (status && MODE == 0 ? 1 : y[1] > y[0]);
#else
    for (int i = 0; i < 2; i++)
        a[i] = status && MODE == 0 ? 0.5f : y[i] > 1 ? 1 : y[i] < -1 ? -1 : y[i];
#endif
    return status;
}
int tiny_act_batch(const float x[], element a[], unsigned char s[], size_t n) {
    int all = 0;
    for (size_t i = 0; i < n; i++) {
        int status = tiny_act(x + 3 * i, a + WIDTH * i);
        s[i] = (unsigned char)status;
        all |= status;
    }
    return all;
}
"""


def tiny_policy(*, discrete: bool, mode: OnInvalid = "flag", start: int = 0) -> Policy:
    """What the C computes."""
    bound = np.full(3, 100, np.float32)
    safe = np.array([start + 1]) if discrete else np.full(2, 0.5, np.float32)
    ones = np.ones(2, np.float32)
    return Policy(
        environment="Test-v1",
        observation=ObservationSpec(-bound, bound),
        layers=(Layer(np.array([[1, 1], [-1, 1]], np.float32), None, "identity"),),
        action=ActionRule("argmax", start=start)
        if discrete
        else ActionRule("clip", low=-ones, high=ones),
        inputs=np.array([0, 1]),
        guard=Guard(-bound, bound, safe, on_invalid=mode),
    )


def tiny_library(folder: Path, policy: Policy) -> bytes:
    """The shared library of `tiny_policy`."""
    source, library = folder / "tiny.c", folder / "libtiny.so"
    source.write_text(_SOURCE)
    definitions = {
        "DISCRETE": int(policy.action.discrete),
        "MODE": ("flag", "hold", "zero", "clamp").index(policy.guard.on_invalid),
        "START": policy.action.start,
    }
    flags = [f"-D{name}={value}" for name, value in definitions.items()]
    command = ["cc", "-O2", "-shared", "-fPIC", *flags, str(source), "-o", str(library)]
    subprocess.run(command, check=True, capture_output=True)
    return library.read_bytes()


def tiny_bundle(
    folder: Path,
    policy: Policy,
    library: bytes,
    *,
    targets: Mapping[str, tuple[str, tuple[str, ...]]] | None = None,
    files: Mapping[str, bytes] | None = None,
) -> Path:
    """A bundle with *library* under ``native/``.

    Args:
        folder: where.
        policy: what the library computes, or is said to.
        library: the shared library's bytes.
        targets: folder → architecture and required features; one that runs here by default.
        files: more files, as `bundle_of` takes them.
    """
    kinds = {"here": (platform.machine(), ())} if targets is None else dict(targets)
    return bundle_of(
        folder,
        policy,
        {**{f"native/{name}/lib{NAME}.so": library for name in kinds}, **(files or {})},
        name=NAME,
        builds={name: Build(kind, needed, "cc", ()) for name, (kind, needed) in kinds.items()},
    )
