from pathlib import Path
from typing import Any

import pytest

from dspctl.benchmarks.study.plan import plan
from dspctl.benchmarks.study.spec import Search, load_spec, spec_from_values
from dspctl.errors import StudyProblem
from tests.benchmarks.study.studies import small

STUDIES = Path(__file__).resolve().parents[3] / "benchmarks" / "studies"
VALUES: dict[str, Any] = {
    "name": "a study",
    "environments": ["CartPole-v1"],
    "methods": ["ppo", "dsp"],
}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sparsitys": [0.9]}, "no field 'sparsitys': did you mean 'sparsities'"),
        ({"methods": ["dps"]}, "no method 'dps': did you mean 'dsp'"),
        ({"methods": []}, "at least one entry"),
        ({"settings": {"learning_rat": 1e-3}}, "did you mean 'learning_rate'"),
        ({"settings": {"steps": "many"}}, "'steps' must be a whole number, not 'many'"),
        ({"settings": {"steps": True}}, "'steps' must be a whole number, not True"),
        ({"settings": {"seed": 3}}, "has the list 'seeds' for it"),
        ({"settings": {"penalty": 0.0}}, "has the list 'penalties' for it"),
        ({"seeds": [0, 1, 0]}, "'seeds' names something twice"),
        ({"seeds": 5}, "'seeds' must be a list"),
        ({"sparsities": ["0.9"]}, "'sparsities' must be a number"),
        ({"episodes": 0}, "episodes must be at least 1"),
        ({"name": "../elsewhere"}, "must be letters"),
        ({"variants": [{"name": "base"}]}, "'base', which is taken"),
        ({"variants": [{"name": "a", "methods": ["dsp-kd"]}]}, "no method of this study"),
        ({"variants": [{"name": "a", "setting": {}}]}, "did you mean 'settings'"),
        ({"search": {"trials": 0}}, "at least one trial"),
    ],
)
def test_what_cannot_be_is_refused_by_name(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyProblem, match=said.replace("(", r"\(")):
        spec_from_values({**VALUES, **changes}, "study.toml")


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.toml")), ids=lambda path: path.stem)
def test_the_published_studies_can_be_run(path: Path) -> None:
    if path.stem == "original":  # of versions that only EnvPool has
        pytest.importorskip("envpool")
    cells = plan(load_spec(path))
    assert len(cells) == len({cell.key for cell in cells}) > 0


def test_a_missing_field_is_named() -> None:
    with pytest.raises(StudyProblem, match="lacks the field 'methods'"):
        spec_from_values({"name": "a", "environments": ["CartPole-v1"]}, "study.toml")


def test_a_file_that_is_no_study(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    with pytest.raises(StudyProblem, match="cannot be read"):
        load_spec(path)
    path.write_text("name = ")
    with pytest.raises(StudyProblem, match="not a TOML file"):
        load_spec(path)


def test_numbers_lists_and_defaults() -> None:
    spec = spec_from_values({**VALUES, "penalties": [0, 1e-3]}, "study.toml")
    assert spec.penalties == (0.0, 1e-3)
    assert spec.seeds == (0,)
    assert spec.episodes == 100
    # The grid of the paper's search, section V-A.
    assert spec.search == Search((1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3), (0.80, 0.85, 0.90, 0.93), 24)


def test_json_and_back() -> None:
    spec = small(
        variants=[
            {"name": "wide", "settings": {"hidden": [32, 32]}, "methods": ["dsp"]},
            {"name": "narrow actor", "settings": {"actor_hidden": [8, 8]}},
        ],
        search={"trials": 3},
    )
    assert spec_from_values(spec.to_json(), "study.json") == spec
