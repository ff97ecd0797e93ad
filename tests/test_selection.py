"""What a user writes for some cells."""

import pytest

from ffmem import IndexOptions, InputError
from ffmem.ids import CellId, CellSpace, LayerCells, format_runs, parse_runs, runs_of
from ffmem.selection import select

DENSE = CellSpace(LayerCells(layer, 300) for layer in range(10))
MIXED = CellSpace([LayerCells(0, 7), LayerCells(1, 5, n_experts=4), LayerCells(2, 7)])
BESIDE = CellSpace(
    [LayerCells(0, 9), LayerCells(1, 9), LayerCells(0, 200, dictionary="e1x"), LayerCells(1, 7, dictionary="tc-1")]
)
STACKS = CellSpace([LayerCells(n, 4, stack="enc") for n in range(3)] + [LayerCells(0, 40, stack="dec")])


def chosen(space: CellSpace, text: str, seed: int = 0) -> dict[str, str]:
    return {one.name: format_runs(one.kept or ((0, one.d_ff),)) for one in select(space, text, seed).layers}


@pytest.mark.parametrize(
    ("space", "text", "expected"),
    [
        (DENSE, "L3", {"L3": "0-299"}),
        (DENSE, "L3-L4", {"L3": "0-299", "L4": "0-299"}),
        (DENSE, "l3-4", {"L3": "0-299", "L4": "0-299"}),
        (DENSE, "L9.7", {"L9": "7"}),
        (DENSE, "L9.0-20,L9.21-30", {"L9": "0-30"}),
        (DENSE, "L9.5-L9.6 , L2.1\nL9.299", {"L2": "1", "L9": "5-6,299"}),
        (DENSE, "L9.5,L9,L9.5-8", {"L9": "0-299"}),
        (MIXED, "L1.2-3", {"L1": "2-3"}),
        (STACKS, "dec.L0.3,enc.L1-L2", {"enc.L1": "0-3", "enc.L2": "0-3", "dec.L0": "3"}),
        (BESIDE, "L0-L1", {"L0": "0-8", "L1": "0-8"}),
        (BESIDE, "L1.3,L1.TC-1.4-5", {"L1": "3", "L1.tc-1": "4-5"}),
        (BESIDE, "l1.tc-1,L0.e1x.199", {"L0.e1x": "199", "L1.tc-1": "0-6"}),
        (STACKS, "enc.L1-enc.L2", {"enc.L1": "0-3", "enc.L2": "0-3"}),
    ],
)
def test_forms(space: CellSpace, text: str, expected: dict[str, str]) -> None:
    assert chosen(space, text) == expected


def test_a_share_is_so_many_of_each_layer_and_at_least_one() -> None:
    found = select(DENSE, "1.5%", 0)
    assert [one.group_size for one in found.layers] == [5] * 10  # 4.5, rounded up
    assert len({one.kept for one in found.layers}) == 10
    assert [one.group_size for one in select(DENSE, "0.001%", 0).layers] == [1] * 10
    assert [one.group_size for one in select(MIXED, "30%", 0).layers] == [2, 2, 2]
    assert [one.n_cells for one in select(MIXED, "30%", 0).layers] == [2, 8, 2]
    assert [*chosen(DENSE, "L2-L3:2%")] == ["L2", "L3"] and [*chosen(STACKS, "dec.L0:10%")] == ["dec.L0"]
    assert [one.n_cells for one in select(BESIDE, "10%", 0).layers] == [1, 1, 20, 1]
    assert [(one.name, one.n_cells) for one in select(BESIDE, "L0.e1x:5%", 0).layers] == [("L0.e1x", 10)]
    assert select(DENSE, "100%", 0).is_whole and select(DENSE, None, 0) is DENSE


def test_a_larger_share_holds_each_smaller_one_of_its_seed() -> None:
    small, large = (select(DENSE, text, 7) for text in ("2%", "20%"))
    for one, other in zip(small.layers, large.layers, strict=True):
        assert set(one.indices) < set(other.indices)
    assert chosen(DENSE, "2%", 7) != chosen(DENSE, "2%", 8)


def test_a_draw_is_the_same_for_ever() -> None:
    assert chosen(CellSpace([LayerCells(0, 1000)]), "0.5%", 0) == {"L0": "72,280,414,537,955"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"which names no cell\. Expected layers .* Write for example --cells 1%"),
        (" , ", "names no cell"),
        ("L3.e5.7", "names an expert"),
        ("L3.e5", "names an expert"),
        ("L3.tc.5-2", "is not a range of cells"),
        ("1", r"--cells has '1', which has none of the accepted forms\. Expected layers \(L3, L0-L5\)"),
        ("0.05", "none of the accepted forms"),
        ("x%", "none of the accepted forms"),
        ("L1.-3", "none of the accepted forms"),
        ("L3;L4", "none of the accepted forms"),
        ("@cells.txt", "none of the accepted forms"),
        ("@Water", "none of the accepted forms"),
        ("@", "none of the accepted forms"),
        ("0%", r"not a share of a layer\. Expected more than 0%"),
        ("100.5%", "not a share of a layer"),
        ("L5-L3", r"not a range of layers\. Expected the first and the last"),
        ("enc.L0-dec.L1", "not a range of layers"),
        ("L1.5-3", "not a range of cells"),
        ("L1.5-L2.7", r"not a range of cells\. Expected the first and the last cell of one layer"),
        ("L1.e0.5", r"names an expert\. Expected .* the same indices are taken in every expert\. Write L1"),
    ],
)
def test_what_has_no_form_is_refused_without_a_model(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        IndexOptions(cells=text)


@pytest.mark.parametrize(
    ("space", "text", "message"),
    [
        (
            DENSE,
            "L3,L10",
            r"'L10', which the model does not have: it has 10 layers of 300 cells\. Expected layers from L0",
        ),
        (DENSE, "L3-L10", "does not have"),
        (DENSE, "dec.L3", "does not have"),
        (
            DENSE,
            "L3.tc",
            r"'L3.tc', which the model does not have: it has 10 layers of 300 cells\. Expected layers from L0",
        ),
        (BESIDE, "L0.tc-1.3", r"which the model does not have: .*Expected layers from L0\.e1x to L1\.tc-1"),
        (BESIDE, "L1.tc-1.7", r"layer L1\.tc-1 has 7 cells\. Expected cells from L1\.tc-1\.0 to L1\.tc-1\.6"),
        (STACKS, "L0", r"Expected layers from enc\.L0 to dec\.L0"),
        (DENSE, "L3.300", r"layer L3 has 300 cells\. Expected cells from L3\.0 to L3\.299\. Write .*L3\.0-299"),
        (DENSE, "L3.5-300", "layer L3 has 300 cells"),
        (MIXED, "L1.5", "layer L1 has 5 cells in each expert"),
    ],
)
def test_what_the_model_does_not_have_is_refused(space: CellSpace, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        select(space, text, 0)


def test_a_collection_has_its_cells_elsewhere() -> None:
    for text in ("@water", "L3,@a/b.json", "@lists.json"):
        assert IndexOptions(cells=text).cells == text
        with pytest.raises(InputError, match=r"which is a collection, whose cells are not known here"):
            select(DENSE, text, 0)


@pytest.mark.parametrize("space", [DENSE, MIXED, STACKS])
def test_every_chosen_cell_has_one_id_and_one_row(space: CellSpace) -> None:
    some = select(space, "30%", 3)
    places = [(place, row) for place, layer in enumerate(some.layers) for row in range(layer.n_cells)]
    ids = [some.cell_id(place, row) for place, row in places]
    assert [some.place(some.parse(str(cell))) for cell in ids] == places
    whole = [(some.whole_place(place), row) for place, layer in enumerate(some.layers) for row in layer.whole_rows]
    assert [space.place(cell) for cell in ids] == whole
    everything = [space.cell_id(place, row) for place, one in enumerate(space.layers) for row in range(one.n_cells)]
    assert {cell for cell in everything if cell in some} == set(ids)
    back = CellSpace.from_json(some.to_json(), some.kept_to_json())
    assert back.layers == some.layers and back.whole.layers == space.layers


def test_a_cell_that_is_not_there_is_told_apart_from_one_that_does_not_exist() -> None:
    some = select(DENSE, "L2.5-9,L2.20,L4-L5", 0)
    with pytest.raises(InputError, match=r"cell L2\.12 is not in this index, which has 606 of 3,000 cells\. Expected a "
                       r"cell among 6 of 300 cells in L2, all 300 cells in each of L4 to L5; the nearest are L2\.9 and "
                       r"L2\.20\. Build an index of it: ffmem index .* --cells L2\.12"):  # fmt: skip
        some.parse("L2.12")
    with pytest.raises(InputError, match=r"the nearest is L2\.5\."):
        some.place(CellId(2, 0))
    with pytest.raises(InputError, match=r"there is none of layer L3"):
        some.parse("L3.0")
    with pytest.raises(InputError, match=r"does not exist: this model has 10 layers of 300 cells"):
        some.parse("L2.300")
    with pytest.raises(InputError, match=r"layer L3 is not in this index.*Expected one of L2, L4, L5\."):
        some.parse_layer("L3")
    with pytest.raises(InputError, match=r"layer L10 does not exist: this model has 10 layers"):
        some.parse_layer("L10")
    assert some.parse_layer("L4") == 1 and some.whole_place(1) == 4


def test_amounts_are_told_as_they_are() -> None:
    assert select(DENSE, "1%", 0).describe() == "3 of 300 cells in each of L0 to L9"
    assert select(MIXED, "L1.3", 0).describe() == "1 of 5 cells in each of 4 experts in L1"
    assert select(DENSE, "L1,L3,L5,L7,L9", 0).describe() == (
        "all 300 cells in L1, all 300 cells in L3, all 300 cells in L5, all 300 cells in L7, and some in 1 further places"
    )


def test_runs_have_one_form() -> None:
    assert runs_of([5, 3, 4, 9, 3]) == ((3, 6), (9, 10)) and runs_of([]) == ()
    assert format_runs(runs_of([5, 3, 4, 9])) == "3-5,9"
    assert parse_runs("3-5,9") == ((3, 6), (9, 10))
    for text in ("", "5,3", "3-3", "3,4", "3-5,6", "5-3", "03", "+3", " 3", "3,", "-3", "٣", "1_0", "3-5,5", "x"):
        with pytest.raises(ValueError, match=r"are not indices in order|invalid literal"):
            parse_runs(text)
