"""Cell ids."""

import pytest

from ffmem import CellId, InputError
from ffmem.ids import CellSpace, LayerCells

DENSE = CellSpace(LayerCells(layer, 3000) for layer in range(10))
MIXED = CellSpace([LayerCells(0, 7), LayerCells(1, 5, n_experts=4), LayerCells(2, 7)])
STACKS = CellSpace([LayerCells(0, 4, stack="enc"), LayerCells(1, 4, stack="enc"), LayerCells(0, 4, stack="dec")])


@pytest.mark.parametrize("space", [DENSE, MIXED, STACKS])
def test_every_cell_has_one_id_and_one_row(space: CellSpace) -> None:
    places = [(place, row) for place, layer in enumerate(space.layers) for row in range(layer.n_cells)]
    ids = [space.cell_id(place, row) for place, row in places]
    assert len(set(map(str, ids))) == space.n_cells == len(places)
    assert [space.place(space.parse(str(cell))) for cell in ids] == places
    assert CellSpace.from_json(space.to_json()).layers == space.layers


def test_how_ids_are_written() -> None:
    assert str(DENSE.parse(" l9.2997 ")) == "L9.2997" == str(CellId(9, 2997))
    assert str(MIXED.cell_id(1, 5 * 3 + 2)) == "L1.e3.2"
    assert STACKS.parse("DEC.L0.3") == CellId(0, 3, stack="dec")
    assert [DENSE.parse_layer(text) for text in ("9", 9, "L9", " l9")] == [9] * 4
    assert STACKS.parse_layer("dec.0") == STACKS.parse_layer("dec.L0") == 2


@pytest.mark.parametrize("text", ["", "9.2997", "L9", "L9.", "L-1.2", "L1.2.3", "L١.٢", "L1.2x", "L1.e.2", "mid.L1.2"])
def test_what_is_no_cell_id_says_how_one_looks(text: str) -> None:
    with pytest.raises(InputError, match=r"is not a cell id\. Expected a cell id from L0\.0 to L9\.2999\. Write"):
        DENSE.parse(text)


@pytest.mark.parametrize("text", ["L10.0", "L9.3000", "L9.e0.1", "dec.L9.1"])
def test_out_of_range_says_the_range(text: str) -> None:
    with pytest.raises(
        InputError, match=r"does not exist: this model has 10 layers of 3000 cells\. Expected .* L9\.2999"
    ):
        DENSE.parse(text)


@pytest.mark.parametrize(
    ("space", "text", "sizes"),
    [
        (MIXED, "L1.3", "1 layers of 7 cells, 1 layers of 4 experts of 5 cells, 1 layers of 7 cells"),
        (MIXED, "L1.e4.0", "4 experts of 5 cells"),
        (MIXED, "L0.e0.0", "this model has"),
        (STACKS, "L0.0", "2 enc layers of 4 cells, 1 dec layers of 4 cells"),
        (STACKS, "dec.L1.0", "Expected a cell id from enc.L0.0 to dec.L0.3"),
    ],
)
def test_the_sizes_are_told_as_they_are(space: CellSpace, text: str, sizes: str) -> None:
    with pytest.raises(InputError, match=sizes):
        space.parse(text)


@pytest.mark.parametrize("text", ["10", "L10", "-1", "", "dec.L0", "x"])
def test_unknown_layers(text: str) -> None:
    with pytest.raises(InputError, match=r"does not exist: this model has 10 layers.*Expected L0 to L9"):
        DENSE.parse_layer(text)
