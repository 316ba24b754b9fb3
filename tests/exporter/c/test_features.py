"""How a policy that reads some features gets at them."""

from dataclasses import replace

import numpy as np
import pytest

from dspctl.exporter.c import c_from_policy
from dspctl.exporter.c.features import Features, features_of
from dspctl.exporter.c.layout import Affine, affine_layout, stripes_of
from dspctl.exporter.native.targets import NATIVE_TARGETS
from dspctl.runtime import Policy
from tests.runtime.policies import make_policy

COLUMNS = affine_layout(8, 8, 16, 32, True, "tanh", prepared=True)
ROWS = replace(COLUMNS, columns=(), rows=stripes_of(5, 16))


def _reading(read: list[int], observed: int) -> Policy:
    policy = make_policy(0, sizes=(len(read), 8, 3), unread=observed - len(read))
    return replace(policy, inputs=np.array(read))


def _found(read: list[int], observed: int, first: Affine = COLUMNS) -> Features:
    return features_of(_reading(read, observed), first)


def test_all_features_are_gone_through_one_after_the_other() -> None:
    found = _found([0, 1, 2, 3, 4], 5)
    assert (found.selected, found.spread, found.skips) == (False, False, False)
    assert (found.index, found.count) == ("i", 5)


def test_vectors_go_over_the_features_in_between() -> None:
    found = _found([0, 1, 2, 4, 6], 9)
    assert (found.spread, found.skips, found.index, found.count) == (True, True, "i", 7)
    assert found.skipped == ["0U", "0U", "0U", "1U", "0U", "1U", "0U"]
    values = np.array([1, 2, 3, 4, 5], np.float32)
    assert found.along(values).tolist() == [1, 2, 3, 0, 4, 0, 5]


def test_nothing_is_skipped_where_only_the_last_are_unread() -> None:
    found = _found([0, 1, 2, 3], 9)
    assert (found.spread, found.skips, found.index, found.count) == (True, False, "i", 4)


@pytest.mark.parametrize(
    ("read", "observed", "first"),
    [
        ([0, 2, 3], 4, COLUMNS),  # few: each costs less than a vector
        ([0, 1, 2, 16], 17, COLUMNS),  # far apart: 17 looked at for 4
        ([0, 1, 2, 4, 6], 9, ROWS),  # vectors are made of what is read
        ([0, 1, 2, 4, 6], 9, Affine(5, 8, (), ())),  # a microcontroller
    ],
)
def test_the_others_are_gathered(read: list[int], observed: int, first: Affine) -> None:
    found = _found(read, observed, first)
    assert (found.spread, found.skips, found.index) == (False, False, "FEATURE[i]")
    assert found.count == len(read)
    values = np.arange(len(read), dtype=np.float32)
    assert found.along(values) is values


def test_sixteen_of_the_farthest_are_still_worth_it() -> None:
    assert _found([0, 1, 2, 15], 17).spread


def test_without_a_normaliser_the_layer_reads_the_observation_itself() -> None:
    policy = make_policy(0, sizes=(6, 8, 3), unread=3, normalizer=False)
    source = c_from_policy(policy, "net", NATIVE_TARGETS["x86-64-v3"]).source
    assert "prepare(" not in source
    assert "hidden_1(observation, &layer_1)" in source
    assert f"* input[{policy.inputs[-1]}];" in source


def test_a_loop_over_the_inputs_picks_them_from_a_table() -> None:
    policy = make_policy(0, sizes=(30, 56, 3), unread=20)
    source = c_from_policy(policy, "net", NATIVE_TARGETS["x86-64-v3"]).source
    assert "static const uint16_t FEATURE[30]" in source
    assert "input[FEATURE[i]]" in source
    assert "observation[FEATURE[i]]" not in source
