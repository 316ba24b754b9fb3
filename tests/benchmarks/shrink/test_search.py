"""The search over trainings: with trainings that end at once, and with real ones."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dspctl.benchmarks.shrink import (
    Goal,
    Options,
    deliver,
    ledger,
    limits,
    load_shrink,
    search,
    shrink,
    with_costs,
)
from dspctl.benchmarks.shrink._candidate import POLICY, Job, network_of
from dspctl.benchmarks.shrink.costs import Costs
from dspctl.benchmarks.shrink.pool import Failure
from dspctl.benchmarks.shrink.record import FILE, Point, pareto, save_shrink
from dspctl.errors import (
    ConfigProblem,
    NothingKept,
    OutputExists,
    ResultProblem,
    SearchLocked,
    TeacherMismatch,
    TrainingFailed,
)
from dspctl.runtime import load_policy, save_policy
from dspctl.trainer import evaluate
from tests.benchmarks.networks import network as layers_of
from tests.benchmarks.shrink.teachers import balancing_policy, save_balancing


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_balancing(tmp_path_factory.mktemp("teacher"), copies=16)


class FakePool:
    """Trainings that end at once; what they earn depends on their size and inputs alone.

    But rewards make a linear policy that is good enough of one seed, if any. The importance of an
    input is the higher the higher its index.
    """

    started: list[str]
    least = 4
    needed = frozenset({0, 1, 2, 3})
    early = False
    alone = -1

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.jobs: list[Job] = []

    @property
    def running(self) -> list[Any]:
        return [job.candidate for job in self.jobs]

    def start(self, job: Job) -> None:
        type(self).started.append(job.candidate.name)
        self.jobs.append(job)

    def finished(self) -> list[Point | Failure]:
        points: list[Point | Failure] = []
        for job in self.jobs:
            candidate = job.candidate
            widths = (candidate.size,) if candidate.start == "pruned" else candidate.hidden
            inputs = np.array([one for one in range(4) if one not in candidate.without])
            first, *others = layers_of((len(inputs), *widths, 2)).layers
            first = replace(first, weight=0 * first.weight + inputs.astype(np.float32) + 1)
            policy = replace(balancing_policy(), layers=(first, *others), inputs=inputs)
            (self.folder / candidate.name).mkdir(parents=True, exist_ok=True)
            save_policy(policy, self.folder / candidate.name / POLICY, force=True)
            alone = candidate.start == "rewards" and candidate.seed == self.alone
            able = alone or candidate.size >= self.least
            able = able and self.needed <= {*inputs.tolist()}
            earned = 500.0 if able else 450.0 + candidate.size
            # Training ends with the first trial that is good enough, which may be any between.
            enough = float(np.ceil(job.keep * np.mean(job.returns)))
            early = self.early and 0 < enough < earned
            network = network_of(policy, [enough if early else earned] * 100)
            points.append(Point(candidate, network, 1.0, complete=not early))
        self.jobs = []
        return points

    def stop(self, names: set[str]) -> None:
        self.jobs = [one for one in self.jobs if one.candidate.name not in names]

    def close(self) -> None:
        self.jobs = []


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakePool]:
    FakePool.started = []
    FakePool.early, FakePool.alone = False, -1
    FakePool.least, FakePool.needed = 4, frozenset({0, 1, 2, 3})
    monkeypatch.setattr(search, "Pool", FakePool)
    monkeypatch.setattr(search, "_POLL_S", 0.0)
    # Networks that never learnt anything are evaluated by what their size is said to earn.
    monkeypatch.setattr(deliver, "evaluate", lambda act, env, episodes: _Known([500.0] * episodes))
    return FakePool


class _Known:
    def __init__(self, returns: list[float]) -> None:
        self.returns = tuple(returns)


def test_the_smallest_that_keeps_enough_is_delivered(
    teacher: Path, tmp_path: Path, fake: type[FakePool]
) -> None:
    result = shrink(teacher, tmp_path / "s", Goal(0.97), Options(jobs=2))
    point = result.point(result.chosen)
    assert point is not None
    assert point.network.size == 4
    assert result.status == "complete"
    assert result.exhausted
    assert result == load_shrink(tmp_path / "s")
    delivered = load_policy(tmp_path / "s" / POLICY)
    assert delivered.counts.units == point.network.units
    # Every attempt at the sizes below has failed, none is trained twice.
    assert len(set(fake.started)) == len(fake.started) == len(result.points)
    assert sum(name.startswith("003-") for name in fake.started) == 4


def test_a_search_goes_on_and_its_networks_count_for_another_share(
    teacher: Path, tmp_path: Path, fake: type[FakePool]
) -> None:
    calls = iter([False, False, True])
    partial = shrink(
        teacher, tmp_path / "s", Goal(0.97), Options(jobs=1), should_stop=lambda: next(calls)
    )
    assert partial.status == "partial"
    before = list(fake.started)
    assert 0 < len(load_shrink(tmp_path / "s").points) <= len(before)
    shrink(teacher, tmp_path / "s", Goal(0.97), Options(jobs=1))
    done = len(fake.started)
    lower = shrink(teacher, tmp_path / "s", Goal(0.905), Options(jobs=1))
    point = lower.point(lower.chosen)
    assert point is not None
    assert point.network.size == 3  # 453 of 500
    # What was trained counts.
    assert all(name < "003" or "without" in name for name in fake.started[done:])


def test_what_was_good_enough_is_trained_on_for_a_larger_share(
    teacher: Path, tmp_path: Path, fake: type[FakePool]
) -> None:
    fake.early = True
    lower = shrink(teacher, tmp_path / "s", Goal(0.95), Options(jobs=1))
    point = lower.point(lower.chosen)
    assert point is not None
    assert not point.complete
    assert point.network.mean == 475
    assert point.network.size == 4
    done = len(fake.started)
    higher = shrink(teacher, tmp_path / "s", Goal(0.97), Options(jobs=1))
    point = higher.point(higher.chosen)
    assert point is not None
    assert point.network.mean == 485
    assert point.network.size == 4
    assert len({one.candidate.name for one in higher.points}) == len(higher.points)
    # What failed is not trained again; what passed the lower share goes on where it ended.
    again = fake.started[done:]
    assert not any(name < "004" for name in again)
    assert "004-2-2-relu-seed0" in again


def test_nothing_ends_early_where_a_cost_is_the_goal(
    teacher: Path, tmp_path: Path, fake: type[FakePool], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.early, fake.least = True, 2

    def costs(policies: Any, target: str) -> Any:
        return {name: Costs(10.0 * one.counts.total_units, 100) for name, one in policies.items()}

    monkeypatch.setattr(limits, "measure_costs", costs)
    shrink(teacher, tmp_path / "s", Goal(0.95), Options(jobs=1, first=5))
    assert any(
        one.candidate.size == 2 and not one.complete for one in load_shrink(tmp_path / "s").points
    )
    limited = shrink(teacher, tmp_path / "s", Goal(max_latency_ns=20.0), Options(jobs=1))
    point = limited.point(limited.chosen)
    assert point is not None
    assert point.complete
    assert point.network.mean == 500
    assert all(one.complete for one in limited.points if one.candidate.size == 2)


def test_inputs_are_left_out_once_the_units_are_found(
    teacher: Path, tmp_path: Path, fake: type[FakePool]
) -> None:
    fake.needed = frozenset({0, 2})
    result = shrink(teacher, tmp_path / "s", Goal(0.97), Options(jobs=1))
    point = result.point(result.chosen)
    assert point is not None
    assert point.network.units == (2, 2)
    assert point.candidate.without == (1, 3)
    assert load_policy(tmp_path / "s" / POLICY).inputs.tolist() == [0, 2]
    narrowed = [name for name in fake.started if "without" in name]
    assert fake.started[-len(narrowed) :] == narrowed
    # Without 0 it fails, without 1 it passes; 0 is not tried again then, 2 fails and 3 passes.
    assert [name.split("without-")[1].split("-relu")[0] for name in narrowed] == [
        *("0", "1", "1-2", "1-3")
    ]
    assert load_shrink(tmp_path / "s") == result
    # What passed and what failed counts when the search goes on.
    again = shrink(teacher, tmp_path / "s", Goal(0.97), Options(jobs=1))
    assert again.chosen == result.chosen
    assert [name for name in fake.started if "without" in name] == narrowed


def test_linear_policies_learn_from_rewards_once_the_units_are_found(
    teacher: Path, tmp_path: Path, fake: type[FakePool]
) -> None:
    fake.alone = 1
    result = shrink(teacher, tmp_path / "s", Goal(0.97), Options(jobs=1))
    assert result.chosen == "000-linear-by-rewards-relu-seed1"
    # With the teacher fewer than 4 units have failed before; the third seed is not needed then.
    begun = fake.started.index("000-linear-by-rewards-relu-seed0")
    assert sum(name.startswith("003-") for name in fake.started[:begun]) == 4
    assert fake.started[begun + 1] == result.chosen
    assert all("by-rewards-without" in name for name in fake.started[begun + 2 :])
    assert load_shrink(tmp_path / "s") == result


def test_rewards_alone_are_tried_where_nothing_passes(
    teacher: Path, tmp_path: Path, fake: type[FakePool]
) -> None:
    fake.least, fake.alone = 1000, 0
    result = shrink(teacher, tmp_path / "s", Goal(0.97), Options(jobs=2))
    assert result.chosen == "000-linear-by-rewards-relu-seed0"


def test_what_runs_for_a_network_that_is_no_longer_the_best_is_stopped(
    teacher: Path, tmp_path: Path, fake: type[FakePool]
) -> None:
    fake.needed = frozenset({3})
    result = shrink(teacher, tmp_path / "s", Goal(0.97), Options(jobs=3))
    point = result.point(result.chosen)
    assert point is not None
    assert point.network.inputs == 1  # a policy reads something
    assert len(fake.started) == len(set(fake.started))


def test_as_many_attempts_at_an_input_as_at_a_size(
    teacher: Path, tmp_path: Path, fake: type[FakePool]
) -> None:
    shrink(teacher, tmp_path / "s", Goal(0.97), Options(jobs=2, tries=3))
    assert sum("without" in name for name in fake.started) == 3


def test_a_search_without_narrowed_networks_is_written_as_before(
    teacher: Path, tmp_path: Path, fake: type[FakePool]
) -> None:
    calls = iter([False] * 3 + [True])
    shrink(teacher, tmp_path / "s", Goal(0.97), Options(jobs=1), should_stop=lambda: next(calls))
    text = (tmp_path / "s" / FILE).read_text()
    assert '"start": "fresh"' in text
    assert "without" not in text
    assert load_shrink(tmp_path / "s").points[0].candidate.without == ()


def test_time_that_is_over_leaves_the_best_so_far(
    teacher: Path, tmp_path: Path, fake: type[FakePool], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 100_000, 40))
    with monkeypatch.context() as slow:
        slow.setattr("time.monotonic", lambda: float(next(clock)))
        result = shrink(teacher, tmp_path / "s", Goal(0.97), Options(budget_s=200.0, jobs=1))
    point = result.point(result.chosen)
    assert point is not None
    assert point.network.size in (18, 10, 6)
    assert result.status == "complete"
    assert not result.exhausted
    # The same search with more time goes on, until nothing is left to try.
    before = len(fake.started)
    result = shrink(teacher, tmp_path / "s", Goal(0.97), Options(budget_s=1e6, jobs=1))
    point = result.point(result.chosen)
    assert point is not None
    assert point.network.size == 4
    assert result.exhausted
    assert len(fake.started) > before


def test_a_share_that_nothing_keeps(teacher: Path, tmp_path: Path, fake: type[FakePool]) -> None:
    fake.least = 1000
    with pytest.raises(NothingKept, match=r"keep 99\.9% .* hidden units and keeps 9.*--keep$"):
        shrink(teacher, tmp_path / "s", Goal(0.999), Options(jobs=2))
    assert load_shrink(tmp_path / "s").points
    cut = replace(load_shrink(tmp_path / "s"), seconds=1.0)
    save_shrink(replace(cut, points=cut.points[:2]), tmp_path / "s")
    with pytest.raises(NothingKept, match=r"or repeat the command with a longer --budget-minutes$"):
        shrink(teacher, tmp_path / "s", Goal(0.999), Options(jobs=2, budget_s=1.0))


def test_what_was_delivered_for_another_share_does_not_stay(
    teacher: Path, tmp_path: Path, fake: type[FakePool]
) -> None:
    fake.least = 1000
    shrink(teacher, tmp_path / "s", Goal(0.9), Options(jobs=1))
    assert (tmp_path / "s" / POLICY).is_file()
    with pytest.raises(NothingKept):
        shrink(teacher, tmp_path / "s", Goal(0.99), Options(jobs=1))
    assert not (tmp_path / "s" / POLICY).exists()


def test_what_fails_with_the_teacher_is_tried_without_it(
    teacher: Path, tmp_path: Path, fake: type[FakePool]
) -> None:
    first = shrink(teacher, tmp_path / "s", Goal(0.97), Options(jobs=1))
    chosen = first.point(first.chosen)
    assert chosen is not None
    assert chosen.network.inputs == 4  # no input can be left out
    # Rewards find a linear policy that needs one input: what failed above says nothing of that.
    fake.alone, fake.needed = 0, frozenset({3})
    failed = [one for one in first.points if one.candidate.start != "rewards"]
    save_shrink(replace(first, points=tuple(failed)), tmp_path / "s")
    second = shrink(teacher, tmp_path / "s", Goal(0.97), Options(jobs=1))
    chosen = second.point(second.chosen)
    assert chosen is not None
    assert (chosen.network.size, chosen.network.inputs) == (0, 1)


def test_a_teacher_that_moved_is_found_again(
    teacher: Path, tmp_path: Path, fake: type[FakePool]
) -> None:
    (tmp_path / "a").mkdir()
    moved = tmp_path / "a" / "teacher.safetensors"
    moved.write_bytes(teacher.read_bytes())
    calls = iter([False, True])
    shrink(moved, tmp_path / "s", Goal(), Options(jobs=1), should_stop=lambda: next(calls))
    moved = moved.parent.rename(tmp_path / "b") / moved.name
    result = shrink(moved, tmp_path / "s", Goal(), Options(jobs=1))
    assert result.source == str(moved)


def test_time_that_was_spent_counts_when_nothing_had_ended(
    teacher: Path, tmp_path: Path, fake: type[FakePool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake, "finished", lambda pool: [])
    clock, calls = iter(range(0, 100_000, 40)), iter([False] * 10 + [True])
    with monkeypatch.context() as slow:
        slow.setattr("time.monotonic", lambda: float(next(clock)))
        stopped = shrink(
            teacher, tmp_path / "s", Goal(), Options(jobs=1), should_stop=lambda: next(calls)
        )
    assert stopped.seconds >= 400
    assert load_shrink(tmp_path / "s").seconds == stopped.seconds


def test_a_candidate_that_cannot_be_trained_costs_no_other(
    teacher: Path,
    tmp_path: Path,
    fake: type[FakePool],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    finished = fake.finished

    def some(pool: FakePool, broken: str = "pruned-to-6") -> list[Point | Failure]:
        lost = [job for job in pool.jobs if broken in job.candidate.name]
        pool.jobs = [job for job in pool.jobs if job not in lost]
        return [*(Failure(job.candidate, "it said why") for job in lost), *finished(pool)]

    monkeypatch.setattr(fake, "finished", some)
    fake.least = 7
    result = shrink(teacher, tmp_path / "s", Goal(), Options(jobs=2))
    point = result.point(result.chosen)
    assert point is not None
    assert point.network.size == 7
    assert result.exhausted
    assert "relu-seed0 could not be trained and counts as failed: it said why" in caplog.text
    # What ends every process ends the search; nothing that has passed is lost.
    monkeypatch.setattr(fake, "finished", lambda pool: some(pool, "-"))
    with pytest.raises(TrainingFailed, match=r"^training \S+ and \S+ and \S+ failed, .* why"):
        shrink(teacher, tmp_path / "s", Goal(0.98), Options(jobs=2))
    assert len(load_shrink(tmp_path / "s").points) == len(result.points)


def test_a_folder_that_is_a_file(teacher: Path, tmp_path: Path, fake: type[FakePool]) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(OutputExists, match="mine is a file: name a folder"):
        shrink(teacher, tmp_path / "mine", Goal())


def test_nothing_is_no_share(
    teacher: Path, tmp_path: Path, fake: type[FakePool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "play_once", lambda *given: np.zeros(100))
    with pytest.raises(ConfigProblem, match="the teacher's mean return is 0"):
        shrink(teacher, tmp_path / "s", Goal(0.97), Options(jobs=1))
    assert fake.started == []


def test_a_folder_of_something_else_is_left_alone(
    teacher: Path, tmp_path: Path, fake: type[FakePool]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(OutputExists, match="something else"):
        shrink(teacher, tmp_path / "mine", Goal())
    assert [each.name for each in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    shrink(teacher, tmp_path / "s", Goal(), Options(jobs=1))
    other = balancing_policy()
    layers = (replace(other.layers[0], weight=2 * other.layers[0].weight), other.layers[1])
    path = save_policy(replace(other, layers=layers), tmp_path / "other.safetensors")
    with pytest.raises(OutputExists, match="another teacher"):
        shrink(path, tmp_path / "s", Goal())
    with pytest.raises(TeacherMismatch, match="trained on CartPole-v1"):
        shrink(teacher, tmp_path / "t", Goal(), environment="Acrobot-v1")


def test_one_process_searches_in_a_folder(
    teacher: Path, tmp_path: Path, fake: type[FakePool]
) -> None:
    def again() -> bool:
        with pytest.raises(SearchLocked, match=r"another process \(\d+\) works on"):
            shrink(teacher, tmp_path / "s", Goal(), Options(jobs=1))
        return True

    stopped = shrink(teacher, tmp_path / "s", Goal(), Options(jobs=1), should_stop=again)
    assert stopped.status == "partial"
    assert shrink(teacher, tmp_path / "s", Goal(), Options(jobs=1)).status == "complete"
    with pytest.raises(TeacherMismatch):
        shrink(teacher, tmp_path / "t", Goal(), environment="Acrobot-v1")
    assert not (tmp_path / "t").exists()


def test_a_damaged_search_is_refused(teacher: Path, tmp_path: Path, fake: type[FakePool]) -> None:
    shrink(teacher, tmp_path / "s", Goal(), Options(jobs=1))
    path = tmp_path / "s" / FILE
    whole = json.loads(path.read_text())
    for text in ("{", "[]", json.dumps({**whole, "schema": 9}), json.dumps({**whole, "odd": 1})):
        path.write_text(text)
        with pytest.raises(ResultProblem, match="search again in another folder"):
            load_shrink(tmp_path / "s")
    with pytest.raises(ResultProblem, match="dspctl shrink RUN"):
        load_shrink(tmp_path)


def test_the_frontier_has_no_dominated_network(
    teacher: Path, tmp_path: Path, fake: type[FakePool]
) -> None:
    result = shrink(teacher, tmp_path / "s", Goal(), Options(jobs=2))
    frontier = pareto(result.points)
    for one in frontier:
        for other in result.points:
            assert not (
                other.network.weights < one.network.weights
                and other.network.mean >= one.network.mean
            )
    weights = [one.network.weights for one in frontier]
    assert weights == sorted(set(weights))


def test_a_limit_on_flash_finds_the_largest_network_within(
    teacher: Path, tmp_path: Path, fake: type[FakePool], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Bytes by hand: what is compiled is tested elsewhere.
    def costs(policies: Any, target: str) -> Any:
        return {
            name: Costs(None, 1000 + 100 * policy.counts.total_units)
            for name, policy in policies.items()
        }

    monkeypatch.setattr(limits, "measure_costs", costs)
    goal = Goal(max_flash_bytes=1150, target="cortex-m4")
    result = shrink(teacher, tmp_path / "s", goal, Options(jobs=1))
    point = result.point(result.chosen)
    assert point is not None
    assert point.network.size == 1
    with pytest.raises(
        ConfigProblem, match="on this machine, not on cortex-m4: leave out --target"
    ):
        shrink(teacher, tmp_path / "u", Goal(max_latency_ns=50.0, target="cortex-m4"))
    assert not (tmp_path / "u").exists()
    with pytest.raises(NothingKept, match="even a linear policy is beyond 900 B of flash"):
        shrink(teacher, tmp_path / "t", Goal(max_flash_bytes=900), Options(jobs=1))


def test_real_trainings_end_at_a_small_network(teacher: Path, tmp_path: Path) -> None:
    options = Options(budget_s=300.0, jobs=2, tries=1, first=2, steps=30_000)
    result = shrink(teacher, tmp_path / "s", Goal(0.97), options)
    policy = load_policy(tmp_path / "s" / POLICY)
    assert policy.counts.total_units <= 2
    assert policy.inputs.size < 4  # where the cart stands does not matter for 500 steps
    assert np.mean(evaluate(policy.act, "CartPole-v1", episodes=20, seed=7).returns) > 450
    assert result.confirmation is not None
    assert result.confirmation.kept().share >= 0.97
    measured = with_costs(tmp_path / "s")
    point = measured.point(result.chosen)
    assert point is not None
    assert point.flash_bytes is not None
    assert point.latency_ns is not None
    assert 0 < point.latency_ns < 1e6
