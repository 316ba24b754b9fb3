"""Memory of a fresh process per subject and backend, import apart from load and inference.

Each figure is the median of a few processes, started in turn for all subjects; the raw values are
kept, because a small policy changes less than one process differs from the next.
"""

import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from dspctl.benchmarks._process import command, environment
from dspctl.errors import BackendUnavailable

REPEATS = 5
CALLS = 100
_TIMEOUT_S = 120


@dataclass(frozen=True)
class Probe:
    """One process.

    Attributes:
        baseline_rss_bytes: resident memory of Python with NumPy, before anything else.
        import_rss_bytes: what importing the runtime and the backend's library added.
        run_rss_bytes: what loading the policy and acting 100 times added.
        peak_rss_bytes: most resident memory of the whole process (VmHWM).
        pss_bytes: proportional set size at the end: pages shared with other processes count
            by their share, so programs that map the same libraries lower it.
        import_ns: time to import the runtime and the backend's library.
        load_ns: time to load the policy.
        first_action_ns: time of the first action.
    """

    baseline_rss_bytes: int
    import_rss_bytes: int
    run_rss_bytes: int
    peak_rss_bytes: int
    pss_bytes: int
    import_ns: int
    load_ns: int
    first_action_ns: int


@dataclass(frozen=True)
class Memory:
    """Memory and start-up of one subject on one backend: medians over processes.

    Attributes:
        label: the subject.
        backend: what ran it.
        probes: the processes, in the order in which they ran.
        notes: sentences about what these figures cannot show.
    """

    label: str
    backend: str
    probes: tuple[Probe, ...]
    notes: tuple[str, ...] = ()

    def median(self, name: str) -> float:
        """Median of one of :class:`Probe`'s fields."""
        return float(median(getattr(probe, name) for probe in self.probes))


def measure_memory(
    subjects: Mapping[str, Path],
    backend: str,
    *,
    repeats: int = REPEATS,
    on_probe: Callable[[int, int], None] | None = None,
) -> dict[str, Memory]:
    """Probe every subject on one backend, interleaved.

    Args:
        subjects: label → policy file or bundle folder.
        backend: a name that ``load`` takes.
        repeats: processes per subject.
        on_probe: called with probes done and probes in all.

    Raises:
        BackendUnavailable: a probe failed; the message holds its last line.
    """
    probes: dict[str, list[Probe]] = {label: [] for label in subjects}
    for _ in range(repeats):
        for label, path in subjects.items():
            probes[label].append(probe_once(path, backend))
            if on_probe is not None:
                on_probe(sum(map(len, probes.values())), repeats * len(subjects))
    return {
        label: Memory(label, backend, tuple(found), tuple(_notes(label, probes)))
        for label, found in probes.items()
    }


def probe_once(path: Path, backend: str) -> Probe:
    """One fresh process.

    Raises:
        BackendUnavailable: the process failed.
    """
    report = run_probe({"path": str(path.resolve()), "backend": backend, "calls": CALLS})
    baseline, imported, ran = report["baseline"], report["imported"], report["ran"]
    return Probe(
        baseline_rss_bytes=baseline["rss_bytes"],
        import_rss_bytes=imported["rss_bytes"] - baseline["rss_bytes"],
        run_rss_bytes=ran["rss_bytes"] - imported["rss_bytes"],
        peak_rss_bytes=ran["peak_rss_bytes"],
        pss_bytes=ran["pss_bytes"],
        import_ns=report["import_ns"],
        load_ns=report["load_ns"],
        first_action_ns=report["first_action_ns"],
    )


def run_probe(request: Mapping[str, Any]) -> dict[str, Any]:
    """Start the probe with *request* and read its report; an empty request is the baseline.

    Raises:
        BackendUnavailable: the process failed or did not answer.
    """
    try:
        answer = subprocess.run(
            command("dspctl.benchmarks.memory._probe", json.dumps(request)),
            env=environment(),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BackendUnavailable(
            f"the memory probe for {request.get('backend')} did not finish in {_TIMEOUT_S} s: "
            "try the backend with  dspctl eval"
        ) from error
    if answer.returncode != 0:
        last = (answer.stderr.strip().splitlines() or [f"exit {answer.returncode}"])[-1]
        raise BackendUnavailable(
            f"the memory probe for {request.get('backend')} failed ({last}): "
            "try the backend with  dspctl eval"
        )
    report: dict[str, Any] = json.loads(answer.stdout)
    return report


def _notes(label: str, probes: Mapping[str, list[Probe]]) -> list[str]:
    """Say so where the subjects differ by less than one process differs from the next."""
    if any(probe.peak_rss_bytes == 0 for probe in probes[label]):
        return ["this system has no /proc, so memory is not known here: measure on Linux"]
    if len(probes) < 2 or len(probes[label]) < 2:
        return []
    medians = {name: median(one.peak_rss_bytes for one in many) for name, many in probes.items()}
    own = [one.peak_rss_bytes for one in probes[label]]
    spread = max(own) - min(own)
    apart = max(medians.values()) - min(medians.values())
    if apart <= spread:
        return [
            f"peak memory of the subjects differs by {apart / 1024:.0f} KiB, equal processes by "
            f"{spread / 1024:.0f} KiB: take the policy's bytes to compare them, Python and NumPy "
            "fill the rest"
        ]
    return []
