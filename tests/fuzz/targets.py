"""Every reader of files from elsewhere as one function: bytes go in, a value or an error comes out.

A target puts the bytes where its reader looks for them, reads, and uses what was read as the
program would: a reader that lets something through which the next step falls over is no reader.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from dspctl.benchmarks.command.answer import object_from_json
from dspctl.benchmarks.command.raw import read_samples
from dspctl.benchmarks.command.report import read_report
from dspctl.benchmarks.comparison.runs import compare_runs
from dspctl.benchmarks.device.identity import describe_device
from dspctl.benchmarks.record.file import load_raw, load_result, sample_files
from dspctl.benchmarks.record.hlog import write_logs
from dspctl.benchmarks.remote import bundles, python, worker_run
from dspctl.benchmarks.remote.cache import Cache
from dspctl.benchmarks.remote.connection import Done
from dspctl.benchmarks.remote.description import machine_of, processor_of
from dspctl.benchmarks.remote.job import Run
from dspctl.benchmarks.remote.results import Returning
from dspctl.benchmarks.remote.snapshot import unpack
from dspctl.benchmarks.report.metrics import column, learning_curve, pruning_span
from dspctl.benchmarks.report.samples import distribution, paced_samples
from dspctl.benchmarks.shrink.record import load_shrink
from dspctl.benchmarks.study.cell import curve_of, read_cell
from dspctl.benchmarks.study.folder import _earlier
from dspctl.benchmarks.study.recipes import markdown_table, rows_from_results
from dspctl.benchmarks.study.record import load_results, save_results
from dspctl.benchmarks.study.spec import load_spec, spec_from_values
from dspctl.benchmarks.study.tables import save_tables
from dspctl.cli import bench_report, show, shrink_report
from dspctl.cli import inspect as inspecting
from dspctl.errors import ConfigProblem, DspctlError
from dspctl.runtime import load_policy
from dspctl.runtime.bundle import GOLDEN, MANIFEST, PARITY, POLICY, open_bundle
from dspctl.runtime.bundle.manifest import canonical_json, manifest_from_bytes
from dspctl.runtime.digest import sha256
from dspctl.runtime.policy.file import policy_from_bytes
from dspctl.runtime.reference.golden import golden_from_bytes
from dspctl.runtime.strict_json import value_from_json
from dspctl.runtime.tensorrt.stamp import EngineMachine, check_stamp, stamp_from_bytes
from dspctl.runtime.tensors import tensors_from_bytes
from dspctl.trainer import load_run
from dspctl.trainer.runs.checkpoint import RunFolder
from tests.fuzz import seeds
from tests.fuzz.stored_targets import STORED
from tests.fuzz.target import Quiet, Read, Target, put
from tests.fuzz.trust_targets import TRUST

# --- runtime ------------------------------------------------------------------------------


def _policy(data: bytes, folder: Path) -> object:
    path = put(folder, "p.safetensors", data)
    policy = load_policy(path)
    with Quiet():
        inspecting.draw_policy(policy, str(path), {})
    json.dumps(inspecting.policy_json(policy), allow_nan=False)
    return policy


def _golden(data: bytes, folder: Path) -> object:
    return golden_from_bytes(data, policy_from_bytes(seeds.policies()[0], name="p"))


def resealed(data: bytes) -> bytes:
    """A manifest whose own digest and form are right, whatever it says; else as it was."""
    try:
        value = json.loads(data)
        del value["manifest_sha256"]
        return canonical_json({**value, "manifest_sha256": sha256(canonical_json(value))})
    except (ValueError, KeyError, TypeError, RecursionError):
        return data


def _bundle_with(folder: Path, changes: dict[str, bytes]) -> object:
    """Open a bundle some of whose files are other ones; its manifest says so."""
    files = {**seeds.bundle_files(), **changes}
    if MANIFEST not in changes:
        value = json.loads(files[MANIFEST])
        for name, data in changes.items():
            value["files"][name] |= {"sha256": sha256(data), "size_bytes": len(data)}
        files[MANIFEST] = resealed(json.dumps(value).encode())
    for name, data in files.items():
        put(folder, f"bundle/{name}", data)
    bundle = open_bundle(folder / "bundle")
    with Quiet():
        inspecting._draw_bundle(bundle)
    return bundle


def _stamp(data: bytes, folder: Path) -> object:
    stamp = stamp_from_bytes(data)
    check_stamp(stamp, EngineMachine("10.3.0.30", "8.7", "36.4.3", "linux-aarch64"))
    return stamp


# --- results ------------------------------------------------------------------------------


def _result(data: bytes, folder: Path) -> object:
    path = put(folder, "bench.json", data)
    for file in sample_files(path, "c")[:1]:
        file.write_bytes(seeds.samples())
    result = load_result(path)
    with Quiet():
        bench_report.draw(result)
    with suppress(DspctlError):
        compare_runs(path, path)
    return result


def _samples(data: bytes, folder: Path) -> object:
    path = folder / "bench.json"
    calls, paced = sample_files(path, "c")
    calls.write_bytes(data)
    paced.write_bytes(data)
    raw = load_raw(path, "c")
    for label, one in raw.items():
        for name in ("latency", "paced_latency", "paced_inference"):
            for share in (0.5, 0.99):
                one.blocks(name, share)
        for block in one.single_ns[:1]:
            if block.size:
                distribution("c", label, block)
    paced_samples(path, "c")
    path.write_bytes(seeds.results()[0])
    write_logs(load_result(path), path)
    return raw


# --- studies and searches -----------------------------------------------------------------


def _study_file(data: bytes, folder: Path) -> object:
    spec = load_spec(put(folder, "study.toml", data))
    assert spec_from_values(json.loads(json.dumps(spec.to_json())), "again") == spec
    return spec


def _study_results(data: bytes, folder: Path) -> object:
    results = load_results(put(folder, "results.json", data))
    save_tables(results, folder / "results.sqlite")
    save_results(results, folder / "again.json")
    again = load_results(folder / "again.json")
    assert again.cells == tuple(sorted(results.cells, key=lambda one: one.key))
    with Quiet():
        show.stdout().print(markdown_table(rows_from_results(results)))
    return results


def _cell(data: bytes, folder: Path) -> object:
    return read_cell(put(folder, "cell.json", data))


def _study_folder(data: bytes, folder: Path) -> object:
    return _earlier(put(folder, "study.json", data))


def _shrink(data: bytes, folder: Path) -> object:
    result = load_shrink(put(folder, "shrink.json", data).parent)
    for point in result.points:
        assert "/" not in point.candidate.name
        assert not point.candidate.name.startswith(".")
    result.frontier()
    with suppress(ConfigProblem), Quiet():
        shrink_report.draw(result, folder)
    return result


# --- runs ---------------------------------------------------------------------------------


def _run_with(name: str) -> Read:
    def read(data: bytes, folder: Path) -> object:
        for other, content in seeds.run_files().items():
            put(folder, f"run/{other}", content)
        put(folder, f"run/{name}", data)
        run = load_run(folder / "run")
        rows = run.metrics()
        curve_of(rows)
        learning_curve(rows), pruning_span(rows), column(rows, "steps")
        run.observations()
        with Quiet():
            inspecting._draw_run(run)
        opened = RunFolder.reopen(folder / "run", {})
        opened.load_state(seeds.task())
        opened.cut_metrics(1)
        return run

    return read


# --- what a board sends -------------------------------------------------------------------


class _Connection:
    """Answers every command with the same bytes."""

    host = "board"

    def __init__(self, data: bytes, code: int = 0) -> None:
        self._done = Done(code, data, "")

    def run(self, script: str, *arguments: str, **options: Any) -> Done:
        if "pwd -P" in script:
            return Done(0, b"/cache\n", "")
        return self._done


def _cache(data: bytes) -> Cache:
    return Cache(_Connection(data))  # type: ignore[arg-type]


def _board_snapshot(data: bytes, folder: Path) -> object:
    tree = folder / "tree"
    tree.mkdir()
    unpack(data, tree)
    device = describe_device(tree)
    json.dumps([machine_of(tree).to_json(), device.to_json()], allow_nan=False)
    return processor_of(tree)


def _board_report(data: bytes, folder: Path) -> object:
    report = object_from_json(data)
    return [read_report(report, mode) for mode in ("back_to_back", "paced") if mode in report]


def _board_python(data: bytes, folder: Path) -> object:
    return python.find_python(_cache(data), "python3", "board")


def _board_verify(data: bytes, folder: Path) -> object:
    for name, content in seeds.bundle_files().items():
        put(folder, f"bundle/{name}", content)
    packed = bundles.pack("a", folder / "bundle")
    bundles.verify(_cache(data), packed, "x86-64-v3", "board")
    return packed


def _board_message(data: bytes, folder: Path) -> object:
    message = worker_run._message(data, "board")
    if "error" in message:
        raise worker_run._error(message["error"], "board")
    return worker_run._progress(message, "board") if "stage" in message else message


def _board_root(data: bytes, folder: Path) -> object:
    class Answering(_Connection):
        def run(self, script: str, *arguments: str, **options: Any) -> Done:
            return self._done

    cache = Cache(Answering(data))  # type: ignore[arg-type]
    return cache._listed("name")


def _board_result(data: bytes, folder: Path) -> object:
    """A result that comes back, and a list of the files beside it, both from the board."""

    class Sending(_Connection):
        def run(self, script: str, *arguments: str, **options: Any) -> Done:
            name = arguments[-1] if arguments else ""
            if name == "bench.json":
                return Done(0, seeds.results()[0], "")
            if "cksum" in script:
                return Done(0, b"1 2 bench-c.npz\n3 4 bench-c-paced.npz\n", "")
            return super().run(script, *arguments, **options)

    connection = Sending(data)
    out = folder / "here" / "bench.json"
    cache = Cache(connection)  # type: ignore[arg-type]
    returning = Returning(connection, cache, Run("run-0"), out)  # type: ignore[arg-type]
    return returning.fetch()


def _board_list(data: bytes, folder: Path) -> object:
    cache = _cache(data)
    out = folder / "here" / "bench.json"
    connection = _Connection(data)
    returning = Returning(connection, cache, Run("run-0"), out)  # type: ignore[arg-type]
    return returning._listed({"bench-c.npz", "bench-c-paced.npz"})


def _one(data: Callable[[], bytes]) -> Callable[[], Sequence[bytes]]:
    return lambda: (data(),)


def _run_seed(name: str) -> Callable[[], Sequence[bytes]]:
    return lambda: (seeds.run_files()[name],)


def _message_seeds() -> Sequence[bytes]:
    messages: tuple[dict[str, Any], ...] = (
        {"stage": "latency", "backend": "c", "done": 1, "total": 9},
        {"error": {"type": "ConfigProblem", "message": "a sentence"}},
        {"finished": True},
    )
    return [json.dumps(one).encode() for one in messages]


def _verify_seed() -> Sequence[bytes]:
    digest = sha256(seeds.bundle_files()[POLICY])
    return [json.dumps({"passed": True, "policy_sha256": digest, "golden": 9}).encode()]


TARGETS: dict[str, Target] = {
    "json": Target(
        lambda data, _: value_from_json(data, "it"), seeds.results, "json", (ValueError,)
    ),
    "tensors": Target(
        lambda data, _: tensors_from_bytes(data), seeds.policies, "tensors", (ValueError,)
    ),
    "policy": Target(_policy, seeds.policies, "tensors"),
    "golden": Target(_golden, _one(seeds.golden), "tensors", (ValueError,)),
    "manifest": Target(
        lambda data, _: manifest_from_bytes(resealed(data)),
        lambda: (seeds.bundle_files()[MANIFEST],),
        "json",
        (DspctlError, ValueError),
    ),
    "bundle-manifest": Target(
        lambda data, folder: _bundle_with(folder, {MANIFEST: resealed(data)}),
        lambda: (seeds.bundle_files()[MANIFEST],),
        "json",
    ),
    "bundle-policy": Target(
        lambda data, folder: _bundle_with(folder, {POLICY: data}),
        lambda: (seeds.bundle_files()[POLICY],),
        "tensors",
    ),
    "bundle-golden": Target(
        lambda data, folder: _bundle_with(folder, {GOLDEN: data}), _one(seeds.golden), "tensors"
    ),
    "bundle-parity": Target(
        lambda data, folder: _bundle_with(folder, {PARITY: data}),
        lambda: (seeds.bundle_files()[PARITY],),
        "json",
    ),
    "stamp": Target(_stamp, _one(seeds.stamp), "json"),
    "result": Target(_result, seeds.results, "json"),
    "samples": Target(_samples, _one(seeds.samples), "archive"),
    "study-file": Target(_study_file, seeds.study_files, "toml"),
    "study-results": Target(_study_results, _one(seeds.study_results), "json"),
    "study-folder": Target(_study_folder, _one(seeds.study_folder), "json"),
    "cell": Target(_cell, _one(seeds.cell), "json"),
    "shrink": Target(_shrink, _one(seeds.shrink), "json"),
    "run-config": Target(_run_with("config.json"), _run_seed("config.json"), "json"),
    "run-info": Target(_run_with("run.json"), _run_seed("run.json"), "json"),
    "run-metrics": Target(_run_with("metrics.jsonl"), _run_seed("metrics.jsonl"), "lines"),
    "run-policy": Target(
        _run_with("policy.safetensors"), _run_seed("policy.safetensors"), "tensors"
    ),
    "run-checkpoint": Target(
        _run_with("checkpoint.safetensors"), _run_seed("checkpoint.safetensors"), "tensors"
    ),
    "run-observations": Target(
        _run_with("observations.safetensors"), _run_seed("observations.safetensors"), "tensors"
    ),
    "board-snapshot": Target(
        _board_snapshot, _one(seeds.snapshot), "text", (DspctlError, ValueError, OSError)
    ),
    "board-report": Target(
        _board_report,
        lambda: [report for report, _ in seeds.program_answers()],
        "json",
        (DspctlError, ValueError),
    ),
    "board-samples": Target(
        lambda data, _: read_samples(data),
        lambda: [samples for _, samples in seeds.program_answers()],
        "bytes",
    ),
    "board-python": Target(
        _board_python, lambda: [b'{"version": [3, 11, 7], "lacks": ["numpy (no)"]}\n'], "json"
    ),
    "board-verify": Target(_board_verify, _verify_seed, "json"),
    "board-message": Target(_board_message, _message_seeds, "json"),
    "board-folder": Target(_board_root, lambda: [b"/var/cache/dspctl/bench\n"], "text"),
    "board-archive": Target(_board_result, _one(seeds.samples), "archive"),
    "board-list": Target(
        _board_list, lambda: [b"123 456 bench-c.npz\n9 8 bench-c-paced.npz\n"], "text"
    ),
    **STORED,
    **TRUST,
}
"""Reader → its target; corpora and commands use these names."""
