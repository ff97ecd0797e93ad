"""Changes of cells as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffmem.analyses.change import Change, read_change
from ffmem.errors import InputError
from ffmem.ids import CellSpace, LayerCells

CELLS = CellSpace([LayerCells(0, 8), LayerCells(1, 8)])


@given(
    layer=st.integers(0, 1),
    index=st.integers(0, 7),
    how=st.sampled_from(["*", "=", "+"]),
    amount=st.integers(-99, 99),
    at=st.none() | st.integers(-9, 9),
    space=st.sampled_from(["", " "]),
)
def test_what_is_written_is_read(layer: int, index: int, how: str, amount: int, at: int | None, space: str) -> None:
    text = f"L{layer}.{index}{space}{how}{space}{amount / 4}{'' if at is None else f'{space}@{at}'}"
    change = read_change(CELLS, text)
    assert (str(change.cell), change.how, change.amount, change.at) == (f"L{layer}.{index}", how, amount / 4, at)
    assert read_change(CELLS, str(change)) == change


def test_an_amount_may_have_an_exponent() -> None:
    assert read_change(CELLS, "L0.1=-2.5e-3") == Change(CELLS.parse("L0.1"), "=", -0.0025)


@pytest.mark.parametrize(
    "text", ["", "L0.1", "L0.1?0", "L0.1*", "L0.1*1.2.3", "*0", "@few*0", "L0.1*0@", "L0.1*0@x", "L0.1*1e400"]
)
def test_what_is_no_change_is_refused_with_examples(text: str) -> None:
    with pytest.raises(InputError, match=r"is not a change of a cell.*\n?.*For example: L9\.12\*0"):
        read_change(CELLS, text)


def test_a_cell_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match=r"L0\.8"):
        read_change(CELLS, "L0.8*0")
