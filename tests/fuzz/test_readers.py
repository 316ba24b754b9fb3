"""Files of every kind, made wrong: each reader makes a value of one or refuses it by name."""

import os
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.checking import check
from tests.fuzz.mutations import mutated
from tests.fuzz.targets import TARGETS

EXAMPLES = int(os.environ.get("DSPCTL_FUZZ_EXAMPLES", "40"))
CHECKED = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@pytest.mark.parametrize("name", TARGETS)
def test_valid_files_are_read(name: str) -> None:
    """Else the others would only show that everything is refused."""
    refused = [data for data in TARGETS[name].seeds() if not check(name, data)]
    allowed = 1 if name == "board-message" else 0  # an error that a board tells is raised
    assert len(refused) == allowed, refused


@pytest.mark.parametrize("name", TARGETS)
@given(seed=st.integers(0, 2**48))
@CHECKED
def test_changed_files_are_read_or_refused(name: str, seed: int) -> None:
    rng = random.Random(seed)
    target = TARGETS[name]
    data = mutated(rng.choice(target.seeds()), target.kind, rng)
    try:
        check(name, data)
    except Exception as error:  # whatever it is: the input belongs beside it
        raise AssertionError(f"keep in tests/fuzz/corpus/{name}: {data[:5000]!r}") from error


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.binary(max_size=200))
@settings(CHECKED, max_examples=max(5, EXAMPLES // 10))
def test_any_bytes_are_refused_or_read(name: str, data: bytes) -> None:
    check(name, data)
