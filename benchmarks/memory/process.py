"""Memory of a fresh process per subject and backend, import apart from load and inference.

Each figure is the median of a few processes, started in turn for all subjects; the raw values are
kept, because a small policy changes less than one process differs from the next.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from dspctl.benchmarks._process import command, environment
from dspctl.benchmarks.command.programs import command_of
from dspctl.benchmarks.memory._probe import BACKEND_LIBRARIES
from dspctl.benchmarks.memory.command import probe_command
from dspctl.benchmarks.memory.notes import COMPARED, sharing_notes, spread_notes
from dspctl.benchmarks.request import C
from dspctl.errors import BackendUnavailable
from dspctl.runtime.bundle import open_bundle
from dspctl.runtime.disks import check_disk

REPEATS = 5
CALLS = 100
_TIMEOUT_S = 120


@dataclass(frozen=True)
class Probe:
    """One process. Everything but the peak is counted when a stage has ended.

    PSS counts pages that are shared with other processes by their share, so a program that maps
    the same libraries lowers it; RSS counts them whole.

    The static program (backend ``c``) has no Python: its baseline and import are 0, and what it
    needs in all is in ``run_*``.

    Attributes:
        baseline_rss_bytes: resident memory of bare Python with NumPy.
        baseline_pss_bytes: PSS of the same.
        baseline_peak_rss_bytes: most resident memory until then.
        import_rss_bytes: what importing the runtime and the backend's library added; with
            ``tensorrt`` also the CUDA context.
        import_pss_bytes: PSS of the same.
        run_rss_bytes: what loading the policy and acting 100 times added.
        run_pss_bytes: PSS of the same.
        rss_bytes: of the whole process at the end.
        pss_bytes: of the whole process at the end.
        peak_rss_bytes: most resident memory of the whole process (VmHWM).
        import_ns: time to import the runtime and the backend's library.
        load_ns: time to load the policy; 0 for ``c``, which is loaded when it starts.
        first_action_ns: time of the first action; for ``c`` from the program's start.
    """

    baseline_rss_bytes: int
    baseline_pss_bytes: int
    baseline_peak_rss_bytes: int
    import_rss_bytes: int
    import_pss_bytes: int
    run_rss_bytes: int
    run_pss_bytes: int
    rss_bytes: int
    pss_bytes: int
    peak_rss_bytes: int
    import_ns: int
    load_ns: int
    first_action_ns: int

    @property
    def added_pss_bytes(self) -> int:
        """PSS that the backend and the policy add to bare Python with NumPy; for ``c`` all of it.

        Noise can make it negative where they add nothing.
        """
        return self.import_pss_bytes + self.run_pss_bytes


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
        """Median of one of :class:`Probe`'s fields or properties."""
        return float(median(getattr(probe, name) for probe in self.probes))


def measure_memory(
    subjects: Mapping[str, Path],
    backend: str,
    *,
    repeats: int = REPEATS,
    on_probe: Callable[[int, int], None] | None = None,
) -> dict[str, Memory]:
    """Probe every subject on one backend, interleaved.

    A process that has the backend's library loaded shares its pages with the probes and lowers
    their PSS, so this comes before anything that opens the backend in the calling process.

    Args:
        subjects: label → policy file or bundle folder.
        backend: one of ``dspctl.benchmarks.request.BACKENDS``.
        repeats: processes per subject.
        on_probe: called with probes done and probes in all.

    Raises:
        BackendUnavailable: a probe failed; the message holds its last line.
        WrongProcessor, BundleProblem: the static program (``c``) cannot be had or run here.
    """
    shared = [name for name in BACKEND_LIBRARIES.get(backend, ()) if name in sys.modules]
    probes: dict[str, list[Probe]] = {label: [] for label in subjects}
    for _ in range(repeats):
        for label, path in subjects.items():
            probes[label].append(probe_once(path, backend))
            if on_probe is not None:
                on_probe(sum(map(len, probes.values())), repeats * len(subjects))
    figures = {
        name: {label: [getattr(one, name) for one in found] for label, found in probes.items()}
        for name in COMPARED
    }
    return {
        label: Memory(
            label,
            backend,
            tuple(found),
            (*spread_notes(figures, label, backend), *sharing_notes(shared)),
        )
        for label, found in probes.items()
    }


def prepare(path: Path, backend: str) -> None:
    """See whether a backend runs at all, and bring its files into the system's cache.

    A process that touches one page of a file is given those around it which lie in the cache, so
    what it holds depends on what others have read before it. With all of them there it does not.

    Raises:
        BackendUnavailable, WrongProcessor, BundleProblem: see `probe_once`.
    """
    if backend == C:
        probe_once(path, backend)
        return
    for name in _ask(path, backend)["files"]:
        with suppress(OSError), Path(name).open("rb", buffering=0) as file:
            while file.read(1 << 22):
                pass


def probe_once(path: Path, backend: str) -> Probe:
    """One fresh process.

    Raises:
        BackendUnavailable: the process failed.
        WrongProcessor, BundleProblem: the static program cannot be had or run here.
    """
    if backend == C:
        return _command_probe(path)
    report = _ask(path, backend)
    baseline, imported, ran = report["baseline"], report["imported"], report["ran"]
    return Probe(
        baseline_rss_bytes=baseline["rss_bytes"],
        baseline_pss_bytes=baseline["pss_bytes"],
        baseline_peak_rss_bytes=baseline["peak_rss_bytes"],
        import_rss_bytes=imported["rss_bytes"] - baseline["rss_bytes"],
        import_pss_bytes=imported["pss_bytes"] - baseline["pss_bytes"],
        run_rss_bytes=ran["rss_bytes"] - imported["rss_bytes"],
        run_pss_bytes=ran["pss_bytes"] - imported["pss_bytes"],
        rss_bytes=ran["rss_bytes"],
        pss_bytes=ran["pss_bytes"],
        peak_rss_bytes=ran["peak_rss_bytes"],
        import_ns=report["import_ns"],
        load_ns=report["load_ns"],
        first_action_ns=report["first_action_ns"],
    )


def _ask(path: Path, backend: str) -> dict[str, Any]:
    return run_probe({"path": str(path.resolve()), "backend": backend, "calls": CALLS})


def _command_probe(path: Path) -> Probe:
    """The static program of a bundle: everything it needs is counted as running."""
    if not path.is_dir():
        raise BackendUnavailable(
            f"{path} is a policy file, which has no static program: write a bundle with  "
            f"dspctl export {path} --target cpu -o bundle  and measure that"
        )
    program = command_of(path)
    fill = [float(value) for value in open_bundle(path).policy.guard.fill]
    found, first_action_ns = probe_command(program, fill, calls=CALLS, timeout_s=_TIMEOUT_S)
    return Probe(
        baseline_rss_bytes=0,
        baseline_pss_bytes=0,
        baseline_peak_rss_bytes=0,
        import_rss_bytes=0,
        import_pss_bytes=0,
        run_rss_bytes=found["rss_bytes"],
        run_pss_bytes=found["pss_bytes"],
        rss_bytes=found["rss_bytes"],
        pss_bytes=found["pss_bytes"],
        peak_rss_bytes=found["peak_rss_bytes"],
        import_ns=0,
        load_ns=0,
        first_action_ns=first_action_ns,
    )


@cache
def _bytecode() -> "TemporaryDirectory[str]":
    """Where probes keep compiled modules, removed when this process ends."""
    return TemporaryDirectory(prefix="dspctl-")


def run_probe(request: Mapping[str, Any]) -> dict[str, Any]:
    """Start the probe with *request* and read its report; an empty request is the baseline.

    Raises:
        BackendUnavailable: the process failed or did not answer.
    """
    try:
        answer = subprocess.run(
            command("dspctl.benchmarks.memory._probe", json.dumps(request)),
            # As of an installed package: modules are compiled once, not in every process.
            env=environment(PYTHONPYCACHEPREFIX=_bytecode().name, PYTHONDONTWRITEBYTECODE=""),
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
        check_disk(answer.stderr)
        last = (answer.stderr.strip().splitlines() or [f"exit {answer.returncode}"])[-1]
        raise BackendUnavailable(
            f"the memory probe for {request.get('backend')} failed ({last}): "
            "try the backend with  dspctl eval"
        )
    report: dict[str, Any] = json.loads(answer.stdout)
    return report
