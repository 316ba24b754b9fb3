"""Faults put in from outside, and what the loop says of them; the injector counts for itself."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from dspctl.errors import InvalidFaults
from dspctl.runtime import NumpyRunner, Policy
from dspctl.runtime.loop import EventLog, Summary
from dspctl.runtime.loop.injection import Injector
from dspctl.runtime.loop.plans import INJECTABLE, plan_of
from tests.runtime.loop.test_event_log import accounted
from tests.runtime.loop.virtual import Rig, Scripted
from tests.runtime.policies import make_policy

EXACT = ("invalid", "observe", "backend", "apply", "stall")
"""What nothing else causes on a virtual clock; a stall makes later steps late."""


def rig_of(policy: Policy) -> Rig:
    """A rig with a fallback, and with an observation that is valid to the policy."""
    rig = Rig(policy, runners=[Scripted(policy), NumpyRunner(policy)])
    rig.valid = policy.guard.fill
    return rig


def assert_accounted(rig: Rig, injector: Injector, summary: Summary) -> None:
    """Every fault that was put in is in the events at its step, and in the counters."""
    put = Counter((one.step, one.kind) for one in injector.injected)
    told = Counter(rig.kinds())
    assert put - told == Counter()
    for kind in EXACT:
        if kind in injector.counts:
            assert summary.faults[kind] == injector.counts[kind], kind
    assert Counter(event.kind for event in rig.events) == Counter(
        {kind: count for kind, count in summary.faults.items() if count}
    )
    assert sum(summary.actions.values()) == summary.steps


@pytest.mark.parametrize("kind", INJECTABLE)
@pytest.mark.parametrize("rule", ["argmax", "clip"])
def test_each_fault_alone(kind: str, rule: str) -> None:
    policy = make_policy(rule=rule, ranged=True, on_invalid="flag")
    rig = rig_of(policy)
    injector = rig.inject(f"{kind}=0.03")
    summary = rig.run(5000)
    assert summary.steps == 5000
    assert 90 < injector.counts[kind] < 220  # 150 on average
    assert_accounted(rig, injector, summary)
    others = {"late", "behind"} if kind in ("late", "stall") else set()
    assert {name for name, count in summary.faults.items() if count} - others == {kind} - others


@pytest.mark.parametrize("mode", ["flag", "hold", "zero", "clamp"])
def test_all_of_them_together(mode: str) -> None:
    policy = make_policy(rule="tanh_unscale", ranged=True, on_invalid=mode)
    rig = rig_of(policy)
    rates = "invalid=0.01,late=0.01,backend=0.01,observe=0.01,apply=0.01,stall=0.002"
    injector = rig.inject(rates, seed=5)
    summary = rig.run(20_000)
    assert summary.steps == 20_000
    assert min(injector.counts.values()) > 10
    assert_accounted(rig, injector, summary)
    assert len(rig.stalls) == injector.counts["stall"]
    assert len(rig.applied) == 20_000 - injector.counts["apply"]
    low, high = policy.action.low, policy.action.high
    actions = np.array(rig.applied)
    assert np.isfinite(actions).all()
    assert ((actions >= low - 1e-6) & (actions <= high + 1e-6)).all()


def test_everything_fails_at_every_step() -> None:
    policy = make_policy(rule="clip")
    rig = Rig(policy)  # a single runner
    injector = rig.inject("observe=0.5,late=1,backend=1,apply=1,stall=1")
    summary = rig.run(300)
    assert summary.steps == 300
    assert rig.applied == []
    assert_accounted(rig, injector, summary)
    assert summary.faults["no_backend"] == injector.counts["backend"] > 100
    assert summary.faults["behind"] == 1


def test_one_of_each_in_turn_every_second() -> None:
    rig = rig_of(make_policy(rule="clip"))
    injector = rig.inject("every=1s")
    summary = rig.run(200 * 61)
    assert [one.step for one in injector.injected] == [200 * k for k in range(1, 61)]
    assert [one.kind for one in injector.injected] == list(INJECTABLE) * 10
    assert injector.counts == dict.fromkeys(INJECTABLE, 10)
    assert_accounted(rig, injector, summary)


def test_the_same_seed_gives_the_same_faults() -> None:
    def faults(seed: int) -> list[tuple[int, str]]:
        rig = rig_of(make_policy(rule="clip"))
        injector = rig.inject("invalid=0.02,backend=0.02,late=0.02", seed)
        rig.run(2000)
        return [(one.step, one.kind) for one in injector.injected]

    assert faults(1) == faults(1)
    assert faults(1) != faults(2)


def test_a_log_of_all_of_them_accounts_for_each(tmp_path: Path) -> None:
    """On disk: through the queue, the limit and the thread."""
    path = tmp_path / "loop.jsonl"
    rig = rig_of(make_policy(rule="clip"))
    with EventLog(path, queue=200, lines_per_second=2) as log:
        rig.log = log.put
        injector = rig.inject("invalid=0.2,late=0.1,backend=0.1,observe=0.1,apply=0.1,stall=0.01")
        summary = rig.run(5000)
        account = log.close(summary)
    expected = {kind: count for kind, count in summary.faults.items() if count}
    assert accounted(path) == expected
    assert {kind: account.events(kind) for kind in expected} == expected
    assert sum(account.dropped.values()) > 0
    assert sum(account.aggregated.values()) > 0
    for kind in EXACT:
        assert injector.counts[kind] == expected[kind]


def test_a_policy_that_reads_nothing_has_no_invalid_observations() -> None:
    policy = make_policy(rule="clip")
    rig = Rig(policy)
    injector = rig.inject("invalid=1")
    object.__setattr__(policy, "inputs", np.zeros(0, np.int64))
    observe = injector.observing(lambda: "as it is")
    assert observe() == "as it is"
    assert injector.counts == {"invalid": 0}


def test_an_invalid_observation_is_a_copy() -> None:
    rig = Rig()
    before = rig.valid.copy()
    rig.inject("invalid=1")
    rig.run(20)
    np.testing.assert_array_equal(rig.valid, before)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "no fault ''"),
        ("sensor=0.1", "no fault 'sensor'"),
        ("late", "probability '' of late"),
        ("late=often", "probability 'often' of late"),
        ("late=1.5", "probability '1.5' of late"),
        ("late=-0.1", "probability '-0.1'"),
        ("late=nan", "probability 'nan'"),
        ("late=0.1,late=0.2", "late is given twice"),
        ("every=1", "no fault 'every'"),
        ("every=1ms", "shorter than a step at 200 Hz"),
        ("every=0s", "shorter than a step"),
        (f"every={'9' * 400}s", "longer than any loop runs: give a shorter time"),
        ("behind=0.1", "no fault 'behind'"),
    ],
)
def test_faults_that_cannot_be_read(text: str, part: str) -> None:
    with pytest.raises(InvalidFaults, match=r"such as invalid=0\.01") as caught:
        plan_of(text, hz=200, seed=0)
    assert part in str(caught.value)


def test_times_of_a_plan() -> None:
    for text, first in (("every=1s", 200), ("every=250ms", 50), ("every=0.5s", 100)):
        plan = plan_of(text, hz=200, seed=0)
        assert [step for step in range(first + 1) if plan.due(step)] == [first]
