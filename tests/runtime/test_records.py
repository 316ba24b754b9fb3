import copy
import dataclasses
import pickle
from typing import Any

import pytest

from dspctl.runtime.records import field, record


@record(frozen=True)
class Point:
    x: int
    y: int = 2
    tags: list[str] = field(default_factory=list)

    @property
    def double(self) -> int:
        return 2 * self.x


@record(frozen=True, eq=False)
class Checked:
    x: Any

    def __post_init__(self) -> None:
        if self.x == 0:
            raise ValueError("zero")


@dataclasses.dataclass(frozen=True)
class Twin:
    x: int
    y: int = 2
    tags: list[str] = dataclasses.field(default_factory=list)


def test_a_record_is_what_a_dataclass_is() -> None:
    for values, named in (
        ((1,), {}),
        ((1, 3), {}),
        ((), {"y": 4, "x": 5}),
        ((1,), {"tags": ["a"]}),
    ):
        point, twin = Point(*values, **named), Twin(*values, **named)
        assert (point.x, point.y, point.tags) == (twin.x, twin.y, twin.tags)
        assert repr(point) == repr(twin).replace("Twin", "Point")
    assert Point(1).double == 2
    assert Point(1).tags is not Point(1).tags
    assert Point.y == 2


@pytest.mark.parametrize(
    ("values", "named"), [((), {}), ((1, 2, [], 4), {}), ((1,), {"x": 1}), ((1,), {"z": 1})]
)
def test_wrong_arguments_are_refused(values: Any, named: Any) -> None:
    for kind in (Point, Twin):
        with pytest.raises(TypeError):
            kind(*values, **named)


def test_records_are_frozen() -> None:
    point: Any = Point(1)
    with pytest.raises(dataclasses.FrozenInstanceError, match="'x'"):
        point.x = 2
    with pytest.raises(dataclasses.FrozenInstanceError, match="'x'"):
        del point.x
    with pytest.raises(AttributeError):
        point.new = 1


def test_equality_and_hashes() -> None:
    assert Point(1) == Point(1, 2, [])
    assert Point(1) != Point(2)
    others: tuple[Any, ...] = (Twin(1), (1, 2, []))
    assert all(Point(1) != other for other in others)
    one = Point(1, 2, ())  # type: ignore[arg-type]
    assert hash(one) == hash(Point(1, 2, ()))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        hash(Point(1))  # a list has no hash
    checked = Checked(1)
    assert checked == checked
    assert checked != Checked(1)
    assert len({checked, checked, Checked(1)}) == 2


def test_checks_run_on_construction_and_on_replacing() -> None:
    with pytest.raises(ValueError, match="zero"):
        Checked(0)
    with pytest.raises(ValueError, match="zero"):
        dataclasses.replace(Checked(1), x=0)


def test_the_dataclasses_module_works_on_records() -> None:
    assert dataclasses.is_dataclass(Point)
    assert [entry.name for entry in dataclasses.fields(Point)] == ["x", "y", "tags"]
    assert dataclasses.replace(Point(1), y=7) == Point(1, 7)
    assert dataclasses.asdict(Point(1, tags=["a"])) == {"x": 1, "y": 2, "tags": ["a"]}
    assert dataclasses.astuple(Point(1)) == (1, 2, [])
    with pytest.raises(TypeError):
        dataclasses.replace(Point(1), z=1)  # type: ignore[call-arg]


def test_records_can_be_copied_and_pickled() -> None:
    point = Point(1, 3, ["a"])
    assert copy.copy(point) == copy.deepcopy(point) == pickle.loads(pickle.dumps(point)) == point


def test_what_records_do_not_support_is_refused() -> None:
    with pytest.raises(TypeError, match="inherits"):

        @record(frozen=True)
        class Derived(Point):
            z: int = 0

    with pytest.raises(TypeError, match="without a default"):

        @record(frozen=True)
        class Disordered:
            x: int = 0
            y: int  # type: ignore[misc]

    with pytest.raises(TypeError, match="frozen"):
        record(frozen=False)
