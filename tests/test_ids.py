"""Cell ids."""

import pytest

from ffmem import CellId, InputError
from ffmem.ids import parse_cell_id


def test_round_trip_and_order() -> None:
    assert str(parse_cell_id(" l9.2997 ", 10, 3000)) == "L9.2997"
    assert sorted([CellId(1, 0), CellId(0, 9), CellId(0, 10)]) == [CellId(0, 9), CellId(0, 10), CellId(1, 0)]


@pytest.mark.parametrize("text", ["", "9.2997", "L9", "L9.", "L-1.2", "L1.2.3", "L١.٢", "L1.2x"])
def test_what_is_no_cell_id_says_how_one_looks(text: str) -> None:
    with pytest.raises(InputError, match=r"is not a cell id\. Expected a cell id from L0\.0 to L9\.2999\. Write"):
        parse_cell_id(text, 10, 3000)


@pytest.mark.parametrize("text", ["L10.0", "L9.3000"])
def test_out_of_range_says_the_range(text: str) -> None:
    with pytest.raises(
        InputError, match=r"does not exist: this model has 10 layers of 3000 cells\. Expected .* L9\.2999"
    ):
        parse_cell_id(text, 10, 3000)
