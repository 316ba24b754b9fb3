"""What a report is made from: results, runs, bundles and policy files, put in order.

A source is told by what it is, never by its name. Sources of one environment make one chapter.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dspctl.benchmarks.record.file import load_result
from dspctl.benchmarks.record.result import BenchResult
from dspctl.benchmarks.report.words import share_of
from dspctl.errors import ReportProblem, RunIncomplete
from dspctl.runtime import Policy, load_policy
from dspctl.runtime.bundle import MANIFEST, POLICY, Manifest, open_bundle
from dspctl.runtime.files import sha256_of
from dspctl.runtime.untrusted import open_plain

UNPRUNED_METHOD = "ppo"


@dataclass(frozen=True, eq=False)
class ResultSource:
    """A benchmark's result.

    Attributes:
        path: its JSON file; samples lie beside it.
        result: the record.
    """

    path: Path
    result: BenchResult

    @property
    def environment(self) -> str:
        """Of the subjects; results of several environments do not compare, so the first tells."""
        return self.result.subjects[0].environment


@dataclass(frozen=True, eq=False)
class RunSource:
    """A training run.

    Attributes:
        path: its folder.
        environment: gymnasium id.
        label: its method and sparsity, equal for runs that differ by their seed.
        pruned: False for plain PPO.
        config: the resolved settings, plain values.
        info: the contents of ``run.json``.
        rows: the metrics, one row per iteration.
        policy: the masked policy; None where training has not written one yet.
        compacted: the same, compacted; None as `policy`.
        sha256: of the masked policy's file; None as `policy`.
    """

    path: Path
    environment: str
    label: str
    pruned: bool
    config: dict[str, Any]
    info: dict[str, Any]
    rows: list[dict[str, Any]]
    policy: Policy | None
    compacted: Policy | None
    sha256: str | None


@dataclass(frozen=True, eq=False)
class PolicySource:
    """A bundle or a policy file.

    Attributes:
        path: where it lies.
        kind: which of the two.
        label: the subject's label where a result has measured it, else its file name.
        policy: what is in it.
        pruned: whether units were removed from it.
        sha256: of the policy file.
        made_from: SHA-256 of the masked policy's file it was compacted from, or None.
        manifest: a bundle's, else None.
    """

    path: Path
    kind: Literal["bundle", "policy"]
    label: str
    policy: Policy
    pruned: bool
    sha256: str
    made_from: str | None
    manifest: Manifest | None

    @property
    def environment(self) -> str:
        """The environment the policy was trained in."""
        return self.policy.environment


@dataclass(frozen=True, eq=False)
class Chapter:
    """Everything about one environment."""

    environment: str
    results: tuple[ResultSource, ...]
    runs: tuple[RunSource, ...]
    policies: tuple[PolicySource, ...]


def open_sources(
    paths: Sequence[Path], *, on_progress: Callable[[int, int], None] | None = None
) -> tuple[Chapter, ...]:
    """Open everything and sort it by environment, in the order in which environments appear.

    Raises:
        ReportProblem: no sources, or nothing at a path.
        ResultProblem, RunProblem, PolicyProblem, BundleProblem: a source cannot be read.
    """
    if not paths:
        raise ReportProblem("a report needs a run, a bundle or a result: name at least one")
    results: list[ResultSource] = []
    runs: list[RunSource] = []
    policies: list[PolicySource] = []
    for index, path in enumerate(dict.fromkeys(paths)):
        if not path.exists():
            raise ReportProblem(
                f"there is nothing at {path}: give a run folder, a bundle, a policy file or a "
                "result of  dspctl bench -o FILE"
            )
        if path.is_dir() and not (path / MANIFEST).is_file():
            runs.append(_run(path))
        elif path.is_dir():
            policies.append(_bundle(path))
        elif _is_json(path):
            results.append(_result(path))
        else:
            policies.append(_policy(path))
        if on_progress is not None:
            on_progress(index + 1, len(paths))
    labels = {subject.sha256: subject.label for one in results for subject in one.result.subjects}
    named = [_relabel(one, labels.get(one.sha256)) for one in policies]
    everything: list[ResultSource | RunSource | PolicySource] = [*results, *runs, *named]
    return tuple(
        Chapter(
            environment,
            tuple(one for one in results if one.environment == environment),
            tuple(one for one in runs if one.environment == environment),
            tuple(one for one in named if one.environment == environment),
        )
        for environment in dict.fromkeys(one.environment for one in everything)
    )


def _is_row(row: Any) -> bool:
    """True for a line of metrics that says how far training was and what was left."""
    return (
        isinstance(row, dict)
        and type(row.get("steps")) is int
        and isinstance(row.get("units"), list)
        and all(type(one) is int for one in row["units"])
    )


def _is_json(path: Path) -> bool:
    """True where the first character opens a JSON object; a policy file begins with a length."""
    try:
        with open_plain(path) as file:
            head = file.read(64)
    except OSError as error:
        raise ReportProblem(
            f"{path} cannot be read ({error.strerror or error}): give a run folder, a bundle, a "
            "policy file or a result of  dspctl bench -o FILE"
        ) from error
    return path.suffix == ".json" or head.lstrip()[:1] == b"{"


def _result(path: Path) -> ResultSource:
    return ResultSource(path, load_result(path))


def _bundle(path: Path) -> PolicySource:
    bundle = open_bundle(path)
    sha256 = bundle.manifest.files[POLICY].sha256
    return _policy_source(path, "bundle", bundle.policy, sha256, bundle.manifest)


def _policy(path: Path) -> PolicySource:
    return _policy_source(path, "policy", load_policy(path), sha256_of(path), None)


def _policy_source(
    path: Path,
    kind: Literal["bundle", "policy"],
    policy: Policy,
    sha256: str,
    manifest: Manifest | None,
) -> PolicySource:
    compacted = policy.lineage.get("compacted")
    compacted = compacted if isinstance(compacted, dict) else {}
    removed = compacted.get("removed")
    made_from = compacted.get("source_sha256")
    return PolicySource(
        path=path,
        kind=kind,
        label=path.resolve().name,
        policy=policy,
        pruned=bool(removed) or any(not layer.kept.all() for layer in policy.hidden),
        sha256=sha256,
        made_from=made_from if isinstance(made_from, str) else None,
        manifest=manifest,
    )


def _relabel(source: PolicySource, label: str | None) -> PolicySource:
    if label is None:
        return source
    return PolicySource(**{**source.__dict__, "label": label})


def _run(path: Path) -> RunSource:
    from dspctl.compactor import compact
    from dspctl.trainer import load_run

    run = load_run(path)
    pruned = run.config.method != UNPRUNED_METHOD
    policy = compacted = sha256 = None
    try:
        policy = run.policy()
        observations = run.observations()
        compacted = compact(policy, observations=observations if len(observations) else None).policy
        sha256 = sha256_of(path / "policy.safetensors")
    except RunIncomplete:  # a run that still trains has curves already, and the page says the rest
        pass
    method = run.config.method.upper()
    label = f"{method} {share_of(run.config.sparsity).replace('.0%', '%')}" if pruned else method
    return RunSource(
        path=path,
        environment=run.config.environment,
        label=label if pruned else f"{method}, unpruned",
        pruned=pruned,
        config=run.config.to_json(),
        info=run.info,
        rows=[row for row in run.metrics() if _is_row(row)],
        policy=policy,
        compacted=compacted,
        sha256=sha256,
    )
