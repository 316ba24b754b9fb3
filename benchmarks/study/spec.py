"""What a study is: a small TOML file, checked whole before anything runs."""

import re
import sys
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

from dspctl.benchmarks.study.checks import check_word, known, list_of, member, of_type
from dspctl.errors import StudyProblem
from dspctl.runtime.untrusted import read_bytes

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

BASE = "base"
"""The variant that every study has: the settings as they are."""
EPISODES = 100
_LARGEST_BYTES = 1 << 20
_MOST_EPISODES, _MOST_TRIALS, _MOST_VARIANTS = 1_000_000, 100_000, 1_000
_ENVIRONMENT = re.compile(r"[\w./:-]{1,200}")
_OWN = {
    "environment": "environments",
    "method": "methods",
    "seed": "seeds",
    "teacher": "methods",
    "sparsity": "sparsities",
    "penalty": "penalties",
}
"""Fields of `TrainConfig` that are lists of the study; variants may set the last two."""
_VARIED = ("sparsity", "penalty")


@dataclass(frozen=True)
class Variant:
    """An ablation: settings that differ from the study's, for all methods or some.

    Attributes:
        name: what tables call it.
        settings: `TrainConfig` fields.
        methods: where it applies; empty for all methods.
        environments: where it applies; empty for all environments.
    """

    name: str
    settings: Mapping[str, Any]
    methods: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()

    def applies(self, environment: str, method: str) -> bool:
        """Whether there are cells of this variant for a method in an environment."""
        return (not self.methods or method in self.methods) and (
            not self.environments or environment in self.environments
        )


@dataclass(frozen=True)
class Search:
    """What ``--search`` chooses from.

    Attributes:
        penalties: lambdas.
        sparsities: shares of units to remove.
        trials: combinations tried for each method and environment.
    """

    penalties: tuple[float, ...] = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3)
    sparsities: tuple[float, ...] = (0.80, 0.85, 0.90, 0.93)
    trials: int = 24


@dataclass(frozen=True)
class StudySpec:
    """A study, read and checked.

    Attributes:
        name: what it is called; also its folder's name where none is given.
        environments: gymnasium ids.
        methods: pruning methods.
        sparsities: shares of units to remove; empty for each recipe's own.
        penalties: lambdas; empty for each recipe's own.
        seeds: training seeds.
        episodes: episodes of each cell's evaluation.
        settings: `TrainConfig` fields of all cells.
        variants: ablations besides `BASE`.
        search: what ``--search`` chooses from.
    """

    name: str
    environments: tuple[str, ...]
    methods: tuple[str, ...]
    sparsities: tuple[float, ...] = ()
    penalties: tuple[float, ...] = ()
    seeds: tuple[int, ...] = (0,)
    episodes: int = EPISODES
    settings: Mapping[str, Any] | None = None
    variants: tuple[Variant, ...] = ()
    search: Search = Search()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `spec_from_values` reads them again."""
        values = {**asdict(self), "settings": dict(self.settings or {})}
        if self.search == Search():
            del values["search"]
        plain: dict[str, Any] = _plain(values)
        return plain


def load_spec(path: Path) -> StudySpec:
    """Read a study file.

    Raises:
        StudyProblem: it cannot be read, is not TOML, or `spec_from_values` refuses it.
    """
    try:
        data = read_bytes(path, _LARGEST_BYTES)
    except (OSError, ValueError) as error:
        raise StudyProblem(
            f"{path} cannot be read ({getattr(error, 'strerror', None) or error}): name a study "
            "file"
        ) from error
    return spec_from_bytes(data, str(path))


def spec_from_bytes(data: bytes, where: str) -> StudySpec:
    """Parse a study file; *where* is what to call it in messages.

    Raises:
        StudyProblem: it is not TOML, or `spec_from_values` refuses it.
    """
    try:
        values = tomllib.loads(data.decode())
    except RecursionError:
        raise StudyProblem(f"{where} is nested too deep: correct it there") from None
    except ValueError as error:  # not TOML, not UTF-8, or an integer of thousands of digits
        raise StudyProblem(
            f"{where} is not a TOML file ({str(error)[:200]}): correct it there"
        ) from error
    return spec_from_values(values, where)


def spec_from_values(values: Mapping[str, Any], where: str) -> StudySpec:
    """Check a study's fields and their types.

    Args:
        values: as TOML or JSON gives them.
        where: what to call them in messages.

    Raises:
        StudyProblem: a field is unknown, missing, or of another type; the message names it and the
            nearest known one. Environments are looked up when cells are planned.
    """
    from dspctl.trainer import METHODS

    known(values, [entry.name for entry in fields(StudySpec)], where)
    for name in ("name", "environments", "methods"):
        if name not in values:
            raise StudyProblem(f"{where} lacks the field '{name}': add it")
    name = of_type(values["name"], str, "name", where)
    check_word(name, "name", where)
    methods = list_of(values, "methods", str, where)
    for method in methods:
        member(method, METHODS, "method", where)
    if not (environments := list_of(values, "environments", str, where)) or not methods:
        raise StudyProblem(f"{where}: environments and methods need at least one entry each")
    if not (seeds := list_of(values, "seeds", int, where, (0,))):
        raise StudyProblem(f"{where}: seeds needs at least one entry")
    entries = of_type(values.get("variants", []), list, "variants", where)
    if len(entries) > _MOST_VARIANTS:
        raise StudyProblem(f"{where}: there are more than {_MOST_VARIANTS} variants")
    variants = tuple(_variant(entry, methods, environments, where) for entry in entries)
    for environment in environments:
        if not _ENVIRONMENT.fullmatch(environment):
            raise StudyProblem(f"{where}: {environment[:80]!r} is no environment's id")
    for seed in seeds:
        if not 0 <= seed < 1 << 63:
            raise StudyProblem(f"{where}: seeds must be from 0 to {(1 << 63) - 1}")
    names = [BASE, *(variant.name for variant in variants)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise StudyProblem(
            f"{where}: a variant is called {twice[0]!r}, which is taken: choose another name"
        )
    episodes = of_type(values.get("episodes", EPISODES), int, "episodes", where)
    if not 1 <= episodes <= _MOST_EPISODES:
        raise StudyProblem(
            f"{where}: episodes must be at least 1 and at most {_MOST_EPISODES}, not {episodes}"
        )
    return StudySpec(
        name=name,
        environments=environments,
        methods=methods,
        sparsities=list_of(values, "sparsities", float, where),
        penalties=list_of(values, "penalties", float, where),
        seeds=seeds,
        episodes=episodes,
        settings=_settings(values.get("settings", {}), where, refused=tuple(_OWN)),
        variants=variants,
        search=_search(values["search"], where) if "search" in values else Search(),
    )


def _variant(
    value: Any, methods: Collection[str], environments: Collection[str], where: str
) -> Variant:
    values = of_type(value, dict, "variants", where)
    name = check_word(
        of_type(values.get("name"), str, "name", f"{where}: a variant"),
        "name",
        f"{where}: a variant",
    )
    inside = f"{where}: variant {name!r}"
    known(values, [entry.name for entry in fields(Variant)], inside)
    found = Variant(
        name=name,
        settings=_settings(
            values.get("settings", {}), inside, refused=[n for n in _OWN if n not in _VARIED]
        ),
        methods=list_of(values, "methods", str, inside),
        environments=list_of(values, "environments", str, inside),
    )
    for method in found.methods:
        member(method, methods, "method of this study", inside)
    for environment in found.environments:
        member(environment, environments, "environment of this study", inside)
    return found


def _search(value: Any, where: str) -> Search:
    inside = f"{where}: search"
    values = of_type(value, dict, "search", where)
    known(values, [entry.name for entry in fields(Search)], inside)
    found = Search(
        penalties=list_of(values, "penalties", float, inside, Search.penalties),
        sparsities=list_of(values, "sparsities", float, inside, Search.sparsities),
        trials=of_type(values.get("trials", Search.trials), int, "trials", inside),
    )
    if not found.penalties or not found.sparsities or not 1 <= found.trials <= _MOST_TRIALS:
        raise StudyProblem(
            f"{inside} needs penalties, sparsities and at least one trial, at most {_MOST_TRIALS}"
        )
    return found


def _settings(value: Any, where: str, refused: Collection[str]) -> dict[str, Any]:
    from dspctl.trainer import TrainConfig

    values = of_type(value, dict, "settings", where)
    inside = f"{where}: settings"
    for name in refused:
        if name in values:
            raise StudyProblem(
                f"{inside} must not hold '{name}': a study has the list '{_OWN[name]}' for it"
            )
    hints = get_type_hints(TrainConfig)
    known(values, list(hints), inside)
    found = {}
    for name, entry in values.items():
        kind = hints[name]
        if "tuple" in str(kind):  # widths of layers
            found[name] = list_of(values, name, int, inside, distinct=False)
        else:
            # A Literal is checked for its words by the config itself.
            plain = str if get_args(kind) else kind
            found[name] = of_type(entry, plain, name, inside)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value
