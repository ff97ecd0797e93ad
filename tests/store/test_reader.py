"""An index that was written by hand, read: every answer follows from tables of coefficients that are known."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.numpy import load_file, save_file

from ffmem import Index, InputError, StoreError, open_index
from ffmem.ids import CellId, CellSpace, LayerCells
from tests.fixtures.made_index import Document, Layer, listed, make_index

TEXT = [["The", " old", " river"], ["a", " river"], ["é", " old", " a"]]
STARTS = [0, 3, 5, 8]
TABLE = np.array(
    # always active, never, at one token, both signs
    [[1, -1, 0, 2], [3, -2, 0, -1], [2, -3, 0, 2], [3, -1, 0, -4], [0.5, 0, 0, 1], [1, -1, 7, 0], [1, -1, 0, 0], [2, -1, 0, -5]]
)  # fmt: skip


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return make_index(tmp_path / "index", [Document(TEXT, metadata={"year": 1900})], [Layer(TABLE)], gated=True)


def damage(index: Index, name: str, change: Callable[[np.ndarray], Any]) -> Index:
    """The index with an array of its first layer changed, of the same length, opened anew."""
    (path,) = (index.folder / "index" / "layers").iterdir()
    values = load_file(path)
    change(values[name])
    save_file(values, path)
    return open_index(index.folder)


def test_triggers_by_hand(index: Index) -> None:
    of_cell = [
        [(one.sign, one.rank, one.coefficient, one.sentence_id, one.position) for one in index[f"L0.{i}"].triggers]
        for i in range(4)
    ]
    assert of_cell[0] == [(1, 0, 3.0, 0, 1), (1, 1, 3.0, 1, 0), (1, 2, 2.0, 2, 2)]  # equals by token
    assert of_cell[1] == [(-1, 0, -3.0, 0, 2), (-1, 1, -1.0, 1, 0), (-1, 2, -1.0, 2, 0)]
    assert of_cell[2] == [(1, 0, 7.0, 2, 0)]
    assert of_cell[3] == [
        (1, 0, 2.0, 0, 0), (1, 1, 1.0, 1, 1),
        (-1, 0, -5.0, 2, 2), (-1, 1, -4.0, 1, 0), (-1, 2, -1.0, 0, 1),
    ]  # fmt: skip


def test_a_trigger_has_its_sentence_and_its_place(index: Index) -> None:
    one = index["L0.2"].triggers[0]
    assert (one.text, one.tokens, one.span, one.next_token) == ("é old a", ("é", " old", " a"), (0, 2), " old")
    assert one.document.metadata == {"year": 1900} and one.marked() == ("", "[é]", " old a")
    last = index["L0.3"].triggers[2]
    assert last.next_token is None and last.marked() == ("é old ", "[a]", "")
    assert len(index.cell("L0.3", n_triggers=1).triggers) == 2  # of each sign
    assert index.cell("L0.3", n_triggers=0).triggers == ()


def test_statistics_by_hand(index: Index) -> None:
    always, never = index["L0.0"].statistics, index["L0.1"].statistics
    assert (always.n_tokens, always.n_sentences, always.active_fraction) == (8, 3, 1.0)
    assert (always.mean, always.mean_square) == (13.5 / 8, (1 + 9 + 4 + 9 + 0.25 + 1 + 1 + 4) / 8)
    assert (never.active_fraction, never.minimum, never.maximum, never.mean) == (0.0, -3.0, 0.0, -10 / 8)
    edges = always.histogram_edges
    for cell in range(4):
        for row, sign in zip(index[f"L0.{cell}"].statistics.histogram, (1, -1), strict=True):
            largest = [(sign * TABLE[a:b, cell]).max() for a, b in ((0, 3), (3, 5), (5, 8))]
            assert row == tuple(
                sum(edges[i] <= value < edges[i + 1] for value in largest) for i in range(len(edges) - 1)
            )


def test_a_sentence_knows_its_cells(index: Index) -> None:
    found = [(str(one.cell), one.coefficient, one.sign, one.rank, one.position) for one in index.cells_of_sentence(2)]
    assert found == [
        ("L0.2", 7.0, 1, 0, 0), ("L0.3", -5.0, -1, 0, 2), ("L0.0", 2.0, 1, 2, 2), ("L0.1", -1.0, -1, 2, 0),
    ]  # fmt: skip
    with pytest.raises(InputError, match="sentence 3 does not exist"):
        index.cells_of_sentence(3)


def test_promoted_tokens_are_shown_with_their_scores(tmp_path: Path) -> None:
    index = make_index(tmp_path / "i", [Document(TEXT)], [Layer(TABLE[:, :2], promoted=[[0, 1], [4, 2]])])
    cell = index["L0.1"]
    assert sorted({*TEXT[0], *TEXT[1], *TEXT[2]}) == [" a", " old", " river", "The", "a", "é"]
    assert [(one.token, one.token_id, one.logit) for one in cell.promoted] == [("a", 4, 2.0), (" river", 2, 1.0)]
    assert [(one.token, one.logit) for one in cell.suppressed] == [(" river", -2.0), ("a", -1.0)]
    assert cell.projection == "raw" and index[CellId(0, 1)] == cell == index.cell("l0.1")


def test_an_index_of_one_cell(tmp_path: Path) -> None:
    whole = LayerCells(4, 10)
    layers = [Layer([[-1], [2]], LayerCells(4, 10))]
    index = make_index(tmp_path / "i", [Document([["a", "b"]])], layers, top=1, kept={"L4": "7"})
    assert index.n_cells == 1 == index.n_layers and index.cells.whole.n_cells == 10
    assert [(one.coefficient, one.position) for one in index["L4.7"].triggers] == [(2.0, 1)]
    assert [str(one.cell) for one in index.cells_of_sentence(0)] == ["L4.7"]
    with pytest.raises(InputError, match=r"L4\.6 is not in this index.*the nearest is L4\.7"):
        index.cell("L4.6")
    rows = np.arange(20).reshape(10, 2)
    assert index.own_rows(0, lambda place: rows if place == 0 else None).tolist() == [[14, 15]]
    with pytest.raises(
        InputError, match=r"^a study needs all cells of the model, and .* has 1 of 10: 1 of 10 cells in L4"
    ):
        index.check_whole("a study")
    index.check_layers(CellSpace([whole]))
    with pytest.raises(
        StoreError, match=r"it says there are 1 layers of 10 cells, and the model has 1 layers of 11 cells"
    ):
        index.check_layers(CellSpace([LayerCells(4, 11)]))


def test_an_expert_that_saw_nothing_has_no_statistics_and_no_triggers(tmp_path: Path) -> None:
    table = np.array([[1.0, np.nan], [2.0, np.nan]])
    index = make_index(tmp_path / "i", [Document([["a"], ["b"]])], [Layer(table, LayerCells(0, 1, n_experts=2))])
    cell = index["L0.e1.0"]
    assert cell.triggers == () and cell.promoted != ()
    found = cell.statistics
    assert (found.n_tokens, found.n_sentences, found.active_fraction, found.mean) == (0, 0, 0.0, 0.0)
    assert index["L0.e0.0"].statistics.mean == 1.5 and index["L0.e0.0"].triggers[0].coefficient == 2.0


def test_held_out_sentences_have_no_cells(tmp_path: Path) -> None:
    documents = [Document([["a"]]), Document([["b", "c"]], held_out=True)]
    index = make_index(tmp_path / "i", documents, [Layer([[3.0]])])
    assert index["L0.0"].statistics.n_tokens == 1 and len(index.cells_of_sentence(0)) == 1
    assert index.cells_of_sentence(1) == [] and index.text.sentence(1).held_out and index.text.n_sentences == 1


def test_layers_that_are_not_there(index: Index) -> None:
    for layer in (-1, 1):
        with pytest.raises(InputError) as error:
            index.layer(layer)
        assert str(error.value) == f"layer {layer} does not exist. Expected 0 to 0. Layers count from 0."
    assert index.layer(0).maximum.tolist() == [3.0, 0.0, 7.0, 2.0]


def test_it_says_what_it_is(index: Index) -> None:
    assert repr(index) == f"Index({str(index.folder)!r}: made, 1 layers, 4 cells, 3 sentences, 8 tokens)"
    assert (
        ">up to 3 a cell and sign</td>" in index._repr_html_() and ">4: 1 layers of 4 cells</td>" in index._repr_html_()
    )


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("trigger_coefficient", lambda a: a.__setitem__((3, 1, 0), np.nan), "a coefficient of L0.3 is nan"),
        ("trigger_token", lambda a: a.__setitem__((3, 0, 0), 8), "no sentence has one of the tokens"),
        ("minimum", lambda a: a.__setitem__(3, 9), "the statistics of L0.3 contradict each other"),
        ("maximum", lambda a: a.__setitem__(3, np.inf), "the statistics of L0.3 contradict each other"),
        ("n_active", lambda a: a.__setitem__(3, 9), "the statistics of L0.3 contradict each other"),
        ("n_active", lambda a: a.__setitem__(3, -1), "the statistics of L0.3 contradict each other"),
        ("square_sum", lambda a: a.__setitem__((0, 3), -100), "the statistics of L0.3 contradict each other"),
        ("counts", lambda a: a.__setitem__((0, 0), -8), "the statistics of L0.3 contradict each other"),
        ("promoted_scores", lambda a: a.__setitem__((3, 1), np.inf), "a score of a promoted token is not a finite"),
        ("suppressed_ids", lambda a: a.__setitem__((3, 1), 6), "no row for"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_not_shown(index: Index, name: str, change: Callable[[np.ndarray], None], told: str) -> None:
    damaged = damage(index, name, change)
    with pytest.raises(StoreError, match=told):
        damaged.cell("L0.3")


@pytest.mark.parametrize("change", [lambda a: a.sort(), lambda a: a.__setitem__(slice(None), 24)])
def test_a_list_from_sentences_to_cells_that_is_out_of_order(
    index: Index, change: Callable[[np.ndarray], None]
) -> None:
    damaged = damage(index, "slot_by_token", change)
    with pytest.raises(StoreError, match="its list from sentences to cells is not in order"):
        [damaged.cells_of_sentence(i) for i in range(3)]


@pytest.mark.parametrize(
    ("name", "n", "told"),
    [("n_sentences", 3, "4 sentences, and the text has 3"), ("n_tokens", 8, "9 tokens, and the text has 8")],
)
def test_text_of_another_index_is_refused(index: Index, name: str, n: int, told: str) -> None:
    manifest = index.folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace(f'"{name}": {n},', f'"{name}": {n + 1},'))
    with pytest.raises(StoreError, match=f"it counts {told}"):
        open_index(index.folder)


SMALL = arrays(np.float32, (8, 3), elements=st.sampled_from([-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0]))


@given(table=SMALL, gated=st.booleans(), top=st.integers(1, 4))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_table_is_the_cells_say_it(
    tmp_path_factory: pytest.TempPathFactory, table: np.ndarray, gated: bool, top: int
) -> None:
    folder = tmp_path_factory.mktemp("made") / "i"
    index = make_index(folder, [Document(TEXT)], [Layer(table)], gated=gated, top=top)
    in_sentence: dict[int, set[tuple[str, int, int]]] = {0: set(), 1: set(), 2: set()}
    for i in range(3):
        cell, column = index[f"L0.{i}"], table[:, i].astype(np.float64)
        expected = [(1, one) for one in listed(column, STARTS, 1)[:top]]
        expected += [(-1, one) for one in listed(column, STARTS, -1)[:top]] if gated else []
        assert [(t.sign, (t.coefficient, STARTS[t.sentence_id] + t.position)) for t in cell.triggers] == expected
        assert cell.statistics.mean == pytest.approx(column.mean()) and cell.statistics.minimum == column.min()
        assert cell.statistics.mean_square == pytest.approx((column**2).mean())
        assert cell.statistics.active_fraction == (column > 0).mean()
        for t in cell.triggers:
            in_sentence[t.sentence_id].add((str(cell.cell), t.sign, t.rank))
    for number, cells in in_sentence.items():
        found = index.cells_of_sentence(number)
        assert {(str(one.cell), one.sign, one.rank) for one in found} == cells and len(found) == len(cells)
