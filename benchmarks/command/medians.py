"""What one call costs in C, by the bundles' own ``policy bench``: nothing of Python is in it."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from dspctl.errors import BackendUnavailable
from dspctl.runtime.backends.native_library import choose_target
from dspctl.runtime.bundle import open_bundle
from dspctl.runtime.machine import this_machine

ROUNDS = 5
_TIMEOUT_S = 60.0


def command_of(bundle: Path) -> Path:
    """The ``policy`` command of a verified bundle that fits this processor best.

    Raises:
        BackendUnavailable: the bundle holds no native code.
        WrongProcessor: none of it may run here.
        BundleProblem: the bundle cannot be used.
    """
    opened = open_bundle(bundle)
    target = choose_target(opened.manifest.builds, opened.libraries, this_machine())
    return bundle / "native" / target / "policy"


def call_medians(bundles: Mapping[str, Path], *, seconds: float = 1.0) -> dict[str, float]:
    """Nanoseconds of one call, back to back, per bundle: the median over rounds that take turns.

    Args:
        bundles: label → bundle folder.
        seconds: of measuring per bundle, over all rounds.

    Raises:
        BackendUnavailable: a bundle has no native code, or its command does not run here.
        WrongProcessor, BundleProblem: as in `command_of`.
    """
    commands = {label: command_of(path) for label, path in bundles.items()}
    found: dict[str, list[float]] = {label: [] for label in commands}
    for turn in range(ROUNDS):
        labels = list(commands) if turn % 2 == 0 else list(reversed(commands))
        for label in labels:
            result = _bench(commands[label], seconds / ROUNDS)
            found[label].append(float(result["back_to_back"]["block"]["latency_ns"]["p50"]))
    return {label: median(values) for label, values in found.items()}


def _bench(command: Path, seconds: float) -> dict[str, Any]:
    arguments = ["bench", "--back-to-back", "--seconds", f"{seconds:g}", "--json"]
    try:
        done = subprocess.run(
            [str(command), *arguments], capture_output=True, check=True, timeout=_TIMEOUT_S
        )
        result: dict[str, Any] = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise BackendUnavailable(
            f"{command} does not run here ({error}): run  {command} verify  to see why"
        ) from error
    return result
