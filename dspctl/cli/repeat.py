"""``dspctl train --like RUN``: a run's settings again, and what is not as it was."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dspctl.cli import show
from dspctl.errors import ConfigProblem

if TYPE_CHECKING:
    from dspctl.trainer import Run, TrainConfig


def settings_like(like: "Run", environment: str | None, settings: dict[str, Any]) -> "TrainConfig":
    """The settings of *like* with those of *settings* that were given on top.

    Raises:
        ConfigProblem: the run is a part of another one, or a setting cannot work.
    """
    from dspctl.trainer import METHODS, TrainConfig

    if like.config.method not in METHODS:
        raise ConfigProblem(
            f"{like.path} is a stage of a run of pops, which is repeated as a whole: name the run "
            "that it lies in"
        )
    if environment not in (None, like.config.environment):
        raise ConfigProblem(
            f"{like.path} was trained on {like.config.environment}, and repeating it means that "
            f"environment: leave out {environment}, or leave out --like"
        )
    given = {name: value for name, value in settings.items() if value is not None}
    return TrainConfig.from_json({**like.config.to_json(), **given})


def place_like(like: "Run", output: Path | None) -> Path:
    """Where the repetition goes: beside the run, where no folder is named.

    Raises:
        ConfigProblem: the folder is the run's own, or holds it.
    """
    if output is None:
        path = like.path if like.path.name not in ("", "..") else like.path.resolve()
        return path.with_name(f"{path.name}-again")
    if output.resolve() in (like.path.resolve(), *like.path.resolve().parents):
        raise ConfigProblem(
            f"{output} is the run that is to be repeated, or holds it: name another folder with -o"
        )
    return output


def differences_here(like: "Run") -> dict[str, tuple[str, str]]:
    """What *like* recorded of where it ran that is otherwise here, as name → (there, here)."""
    from dspctl.trainer.runs.provenance import describe_here, differences

    return differences(recorded(like), describe_here())


def recorded(run: "Run") -> dict[str, Any]:
    """Where and with what a run was made; of runs of earlier versions three versions only."""
    info = run.info
    names = ("dspctl", "python", "numpy")
    versions = {"versions": {name: info[name] for name in names if name in info}}
    return dict(info.get("provenance") or versions)


def warn(like: "Run", found: dict[str, tuple[str, str]]) -> None:
    """Print every reason for which the repetition may come out otherwise."""
    for name, (there, here) in found.items():
        show.note(f"not as in {like.path}: {name} was {there}, here it is {here}")
    if "provenance" not in like.info:
        show.note(
            f"{like.path} does not record its processor and libraries: they may differ unseen"
        )
    for one in like.info.get("resumptions", ()):
        at = f"{like.path} was gone on with at step {show.count(one['steps'])}"
        if one["environments"] == "anew":
            show.note(f"{at}, with environments that started anew: a whole run differs from it")
        for name, (before, after) in one.get("settings", {}).items():
            show.note(
                f"{at}, with {name} {after} after {before}: its repetition has the last value from "
                "the start"
            )


def same_policy(like: "Run", run: Path) -> bool | None:
    """Whether both delivered the same policy file; None where *like* delivered none."""
    from dspctl.runtime.files import sha256_of

    one, other = like.path / "policy.safetensors", run / "policy.safetensors"
    return sha256_of(one) == sha256_of(other) if like.finished and one.is_file() else None


def outcome(like: "Run", same: bool | None) -> str:
    """In words."""
    if same is None:
        return f"{like.path} is not finished, so there is no policy to compare with"
    verb = "is, byte for byte," if same else "is not"
    return f"the policy {verb} that of {like.path}"
