"""What a path given on the command line is: a run, a policy file or a bundle."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dspctl.cli import show
from dspctl.errors import (
    EnvironmentProblem,
    MissingExtra,
    NativeBuildProblem,
    PolicyNotFound,
    UnknownTarget,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dspctl.runtime import Policy

_RECORDED_EPISODES = 25
_FOLDERS_OF_MANY = {
    "shrink.json": "{path} is the folder of a search: name the network that it delivered, "
    "{path}/policy.safetensors",
    "study.json": "{path} is the folder of a study: name the run of one of its cells, "
    "{path}/cells/NAME/run",
}
"""A file that tells what a folder is → what to name in its place."""


class Kind(Enum):
    """The three artefacts that are handed over."""

    RUN = "run"
    POLICY = "policy"
    BUNDLE = "bundle"


def kind_of(path: Path) -> Kind:
    """Tell what *path* is; a folder that is nothing else is taken for a run.

    Raises:
        PolicyNotFound: there is nothing at *path*, it may not be looked at, or it is the folder of
            a search or a study, which hold many.
    """
    try:
        return _kind_of(path)
    except OSError as error:
        raise PolicyNotFound.unreadable(path, error) from error


def _kind_of(path: Path) -> Kind:
    from dspctl.runtime.bundle import MANIFEST

    if path.is_dir():
        if (path / MANIFEST).is_file():
            return Kind.BUNDLE
        for file, sentence in _FOLDERS_OF_MANY.items():
            if (path / file).is_file():
                raise PolicyNotFound(sentence.format(path=path))
        return Kind.RUN
    if not path.exists():
        raise PolicyNotFound(
            f"there is nothing at {path}: give a run folder, a policy file or a bundle; "
            "dspctl train makes a run"
        )
    return Kind.POLICY


def source_of(path: Path) -> "tuple[Policy, NDArray[Any] | None]":
    """The policy behind a path as it was trained, and raw observations to prove rewrites on.

    A run brings its own observations. For a policy or a bundle they are recorded in the
    environment, or None where that cannot be made here.
    """
    from dspctl.runtime import load_policy
    from dspctl.runtime.bundle import open_bundle

    kind = kind_of(path)
    if kind is Kind.RUN:
        from dspctl.trainer import load_run

        run = load_run(path)
        observations = run.observations()
        return run.policy(), observations if len(observations) else None
    policy = load_policy(path) if kind is Kind.POLICY else open_bundle(path).policy
    return policy, _recorded(policy)


def _recorded(policy: "Policy") -> "NDArray[Any] | None":
    import numpy as np

    batches: list[NDArray[Any]] = []
    try:
        from dspctl.trainer import evaluate

        with show.task_bar(f"recording observations in {policy.environment}") as advance:
            evaluate(
                policy.act,
                policy.environment,
                episodes=_RECORDED_EPISODES,
                on_progress=lambda done, total: advance(done, total, "episodes"),
                record=batches,
            )
    except (MissingExtra, EnvironmentProblem) as error:
        show.note(f"no observations are recorded, the proof uses generated ones alone: {error}")
        return None
    return np.concatenate(batches)


@contextmanager
def runnable(path: Path) -> Iterator[Path]:
    """A policy file or bundle for *path*; a run is compacted into a temporary bundle.

    Where the packages for exporting are absent, a run becomes a policy file.
    """
    if kind_of(path) is not Kind.RUN:
        yield path
        return
    from dspctl.compactor import compact

    policy, observations = source_of(path)
    compacted = compact(policy, observations=observations).policy
    with tempfile.TemporaryDirectory(prefix="dspctl-") as folder:
        yield runnable_here(compacted, observations, Path(folder, path.name or "run"))


def runnable_here(policy: "Policy", observations: "NDArray[Any] | None", where: Path) -> Path:
    """A bundle at *where* with every backend that this machine can have.

    Without a compiler it holds no native code; without the packages for exporting it is a policy
    file. Either is said.
    """
    from dspctl.exporter import export
    from dspctl.runtime import save_policy

    try:
        try:
            return export(policy, "cpu", where, observations=observations).path
        except (NativeBuildProblem, UnknownTarget) as error:
            show.note(f"there is no native code to run: {error}")
            return export(policy, "onnx", where, observations=observations).path
    except MissingExtra as error:
        show.note(f"the policy runs with NumPy alone: {error}")
        return save_policy(policy, where.with_name(f"{where.name}.safetensors"))
