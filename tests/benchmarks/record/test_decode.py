from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from dspctl.benchmarks.record.decode import decode, decode_record


@dataclass(frozen=True)
class Inner:
    name: str
    value: float | None


@dataclass(frozen=True)
class Outer:
    kind: Literal["a", "b"]
    count: int
    flag: bool
    pair: tuple[int, float]
    many: tuple[Inner, ...]
    by_name: Mapping[str, float]
    beside: tuple[str, ...] = ()


GOOD: dict[str, Any] = {
    "kind": "a",
    "count": 3,
    "flag": True,
    "pair": [1, 2],
    "many": [{"name": "x", "value": None}, {"name": "y", "value": 1}],
    "by_name": {"z": 0.5},
    "beside": [],
}


def test_a_record_comes_back_with_its_own_types() -> None:
    found = decode(Outer, GOOD, "it")
    assert found == Outer(
        "a", 3, True, (1, 2.0), (Inner("x", None), Inner("y", 1.0)), {"z": 0.5}, ()
    )
    assert isinstance(found.pair[1], float)


def test_fields_that_are_stored_elsewhere_keep_their_defaults() -> None:
    values = {name: value for name, value in GOOD.items() if name != "beside"}
    assert decode_record(Outer, values, "it", without=frozenset({"beside"})).beside == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "c"}, r"it\.kind is 'c', not one of"),
        ({"count": True}, r"it\.count is bool"),
        ({"count": 1.0}, r"it\.count is float"),
        ({"flag": 1}, r"it\.flag is int"),
        ({"pair": [1]}, r"it\.pair has 1 entries, not 2"),
        ({"pair": {"a": 1}}, r"it\.pair is no JSON array"),
        ({"many": [{"name": "x"}]}, r"it\.many\[0\] lacks \['value'\]"),
        ({"many": [{"name": "x", "value": 1, "more": 2}]}, r"has \['more'\], which is unknown"),
        ({"many": [3]}, r"it\.many\[0\] is no JSON object"),
        ({"many": [{"name": None, "value": 1}]}, r"it\.many\[0\]\.name is NoneType"),
        ({"by_name": {"z": "1"}}, r"it\.by_name\.z is str"),
        ({"by_name": []}, r"it\.by_name is no JSON object"),
        ({"by_name": {"z": float("nan")}}, r"no finite number"),
        ({"by_name": {"z": float("inf")}}, r"no finite number"),
        ({"extra": 1}, r"has \['extra'\], which is unknown"),
    ],
)
def test_anything_else_is_refused_with_its_place(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode(Outer, {**GOOD, **change}, "it")


def test_a_missing_field_is_named() -> None:
    values = {name: value for name, value in GOOD.items() if name != "count"}
    with pytest.raises(ValueError, match=r"lacks \['count'\]"):
        decode(Outer, values, "it")
