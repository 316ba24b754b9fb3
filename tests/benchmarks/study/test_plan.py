import pytest

from dspctl.benchmarks.study.plan import plan
from dspctl.errors import InvalidSparsity, StudyProblem
from tests.benchmarks.study.studies import small


def test_lists_are_crossed_where_they_mean_something() -> None:
    spec = small(
        methods=["ppo", "dsp", "dsp-kd"],
        environments=["CartPole-v1", "Acrobot-v1"],
        sparsities=[0.5, 0.6],
        penalties=[1e-5, 1e-4, 1e-3],
        seeds=[0, 1, 2, 3],
    )
    cells = plan(spec)
    counts = {
        method: sum(cell.config.method == method for cell in cells)
        for method in ("ppo", "dsp", "dsp-kd")
    }
    # 2 environments and 4 seeds; 2 sparsities and 3 lambdas for those that prune.
    assert counts == {"ppo": 8, "dsp": 48, "dsp-kd": 48}
    assert len({cell.key for cell in cells}) == len(cells)
    unpruned = [cell for cell in cells if cell.config.method == "ppo"]
    assert {(cell.sparsity, cell.penalty) for cell in unpruned} == {(None, None)}


def test_small_networks_have_a_sparsity_where_it_makes_their_size() -> None:
    spec = small(
        methods=["dense-small", "linear", "dropout", "kd-small"],
        sparsities=[0.5, 0.6],
        penalties=[1e-5, 1e-4],
        seeds=[0],
    )
    found = [(cell.config.method, cell.sparsity, cell.penalty) for cell in plan(spec)]
    assert found == [
        ("dense-small", 0.5, None),
        ("dense-small", 0.6, None),
        ("linear", None, None),
        ("dropout", 0.5, None),
        ("dropout", 0.6, None),
        ("ppo", None, None),  # its teacher
        ("kd-small", 0.5, None),
        ("kd-small", 0.6, None),
    ]


def test_a_teacher_is_planned_and_comes_first() -> None:
    cells = plan(small(methods=["dsp-kd"], seeds=[0, 7]))
    assert [cell.config.method for cell in cells] == ["ppo", "dsp-kd"] * 2
    for teacher, student in zip(cells[::2], cells[1::2], strict=True):
        assert student.teacher == teacher.key
        assert student.config.seed == teacher.config.seed
        assert teacher.teacher == ""


def test_the_order_of_methods_does_not_matter() -> None:
    keys = {cell.key for cell in plan(small(methods=["dsp-kd", "ppo"]))}
    assert keys == {cell.key for cell in plan(small(methods=["ppo", "dsp-kd"]))}
    assert len(keys) == 4


def test_variants_come_besides_and_share_the_teacher() -> None:
    spec = small(
        methods=["dsp", "dsp-kd"],
        penalties=[1e-5, 1e-4],
        variants=[
            {"name": "no penalty", "settings": {"penalty": 0.0}, "methods": ["dsp"]},
            {"name": "late", "settings": {"prune_end": 0.8}},
        ],
        seeds=[0],
    )
    cells = plan(spec)
    names = [(cell.config.method, cell.variant, cell.penalty) for cell in cells]
    assert sorted(names, key=str) == sorted(
        [
            ("ppo", "base", None),
            ("dsp", "base", 1e-5),
            ("dsp", "base", 1e-4),
            ("dsp", "no penalty", 0.0),  # once: the variant says what lambda is
            ("dsp", "late", 1e-5),
            ("dsp", "late", 1e-4),
            ("dsp-kd", "base", 1e-5),
            ("dsp-kd", "base", 1e-4),
            ("dsp-kd", "late", 1e-5),
            ("dsp-kd", "late", 1e-4),
        ],
        key=str,
    )
    assert {cell.teacher for cell in cells if cell.config.method == "dsp-kd"} == {
        next(cell.key for cell in cells if cell.config.method == "ppo")
    }


def test_keys_name_what_defines_a_cell() -> None:
    (cell,) = plan(small(seeds=[3]))
    assert cell.key.startswith("CartPole-v1-dsp-s0.5-l0.0001-seed3-")
    assert len(cell.key.rsplit("-", 1)[1]) == 8
    others = [
        small(seeds=[3], episodes=6),
        small(seeds=[3], settings={**(small().settings or {}), "gamma": 0.98, "hidden": [16, 16]}),
    ]
    for other in others:
        assert plan(other)[0].key != cell.key
    same = small(
        seeds=[3],
        settings={**(small().settings or {}), "checkpoint_seconds": 1, "hidden": [16, 16]},
    )
    assert plan(same)[0].key == cell.key


def test_keys_of_stored_studies_stay() -> None:
    """What was trained is found again only under the key that it had."""
    cells = plan(small(seeds=[3], methods=["ppo", "dsp", "dsp-kd", "pops"]))
    assert [cell.key for cell in cells] == [
        "CartPole-v1-ppo-seed3-e66ffb3c",
        "CartPole-v1-dsp-s0.5-l0.0001-seed3-967c1b7b",
        "CartPole-v1-dsp-kd-s0.5-l0.0001-seed3-fe798741",
        "CartPole-v1-pops-s0.5-seed3-d0d452b3",
    ]


def test_settings_are_what_differs_from_the_recipe() -> None:
    # CartPole's recipe has 8 environments of 128 steps already; the seed is a field of its own.
    assert plan(small(seeds=[3]))[0].settings == {
        "steps": 4096,
        "hidden": [16, 16],
        "vector_backend": "gymnasium",
    }


def test_what_cannot_be_planned() -> None:
    with pytest.raises(StudyProblem, match=r"environments: .*CartPole"):
        plan(small(environments=["CartPole-v9"]))
    with pytest.raises(InvalidSparsity):
        plan(small(sparsities=[1.5]))
    with pytest.raises(StudyProblem, match="'same' changes nothing for dsp"):
        plan(small(variants=[{"name": "same", "settings": {"steps": 4096}}]))
    # A lambda means nothing without a regulariser, nor a sparsity to a method that keeps all.
    for settings in ({"penalty": 0.0}, {"sparsity": 0.25}):
        variants = [{"name": "idle", "settings": settings}]
        with pytest.raises(StudyProblem, match="'idle' changes nothing for ppo in CartPole-v1"):
            plan(small(methods=["dsp", "ppo"], variants=variants))
        variants = [{"name": "idle", "settings": settings, "methods": ["dsp"]}]
        assert len(plan(small(methods=["dsp", "ppo"], variants=variants))) == 2 * 3


def test_titles_tell_cells_apart() -> None:
    cells = plan(small(penalties=[1e-4, 1e-3]))
    assert len({cell.title for cell in cells}) == len(cells)
    assert cells[0].title == "CartPole-v1 dsp 50% lambda 0.0001 seed 0"
