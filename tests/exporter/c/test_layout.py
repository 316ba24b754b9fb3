"""Which layout a layer gets: the cheaper one by a count, and never rows where order matters."""

import pytest

from dspctl.exporter.c.layout import affine_layout

AVX512 = (16, 32)


def rows(inputs: int, outputs: int, activation: str = "tanh", *, prepared: bool = False) -> bool:
    """Whether fast code for AVX-512 has the inputs in lanes."""
    layout = affine_layout(inputs, outputs, *AVX512, False, activation, prepared=prepared)
    assert bool(layout.rows) != bool(layout.columns)
    return bool(layout.rows)


def test_a_wide_layer_that_feeds_a_few_outputs_is_a_dot_product_for_each() -> None:
    assert rows(128, 4, "identity")
    assert not rows(9, 4, "identity")
    assert not rows(128, 128)


def test_an_activation_of_one_number_costs_what_one_of_a_vector_does() -> None:
    assert rows(8, 2, "identity", prepared=True)
    assert not rows(8, 2, "tanh", prepared=True)
    assert rows(8, 1, "tanh", prepared=True)


def test_what_was_written_one_by_one_is_not_loaded_as_a_vector() -> None:
    assert not rows(11, 1, prepared=True)
    assert rows(11, 1)
    assert rows(12, 1, prepared=True)
    assert rows(376, 9, prepared=True)  # the wait is nothing beside so many inputs


@pytest.mark.parametrize("activation", ["tanh", "relu", "identity"])
@pytest.mark.parametrize(("inputs", "outputs"), [(128, 1), (8, 2), (11, 3)])
def test_strict_code_adds_in_the_order_of_the_inputs(
    inputs: int, outputs: int, activation: str
) -> None:
    layout = affine_layout(inputs, outputs, *AVX512, True, activation, prepared=True)
    assert not layout.rows
    assert all(block.chains == 1 for block in layout.columns)


@pytest.mark.parametrize(
    ("inputs", "chains"), [(1, 1), (5, 1), (6, 2), (7, 2), (8, 2), (11, 2), (12, 3), (64, 4)]
)
def test_partial_sums_are_worth_their_addition(inputs: int, chains: int) -> None:
    layout = affine_layout(inputs, 16, *AVX512, False, "tanh", prepared=True)
    assert [block.chains for block in layout.columns] == [chains]
