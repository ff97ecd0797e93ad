"""Colours against what was written by hand, and against sorting."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ffmem import Index, InputError
from ffmem.ids import CellId
from ffmem.names import people
from ffmem.queries.atlas.colours import NOTHING, STEPS, Colour, colour_cells
from tests.fixtures.collected import FIRST, SECOND, collected_index
from tests.fixtures.made_index import Document, Layer, make_index
from tests.queries.atlas.made import made_atlas


def labels_of(colour: Colour | None) -> list[str]:
    """Of each cell, as a reader of the legend sees them."""
    assert colour is not None
    known = {one.number: one.label for one in colour.legend} | {NOTHING: ""}
    return [known[one] for one in colour.numbers.tolist()]


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return collected_index(tmp_path / "index")


def test_layers_go_from_one_end_of_the_scale_to_the_other(index: Index) -> None:
    found = colour_cells(index, "layer")
    assert found is not None and found.numbers.tolist() == [0] * 4 + [STEPS] * 3
    assert [(one.label, one.number) for one in found.legend] == [("L0", 0), ("L1", STEPS)]


def test_statistics_are_coloured_by_rank(index: Index) -> None:
    columns = [*np.array(FIRST, dtype=float).T, *np.array(SECOND, dtype=float).T]
    wanted = {
        "active": [(one > 0).mean() for one in columns],
        "largest": [np.abs(one).max() for one in columns],
        "size": [np.sqrt((one**2).mean()) for one in columns],
    }
    for by, values in wanted.items():
        found = colour_cells(index, by)  # type: ignore[arg-type]
        assert found is not None
        for a in range(len(columns)):
            for b in range(len(columns)):
                # more is never less bright, and equals are equal
                assert (values[a] > values[b]) <= (found.numbers[a] > found.numbers[b]) or values[a] == values[b]
                assert np.isclose(values[a], values[b]) == (found.numbers[a] == found.numbers[b])
        ends = [float(found.legend[i].label) for i in (0, 2, 4)]
        assert ends == pytest.approx([min(values), np.median(values), max(values)], rel=0.01)
        assert [one.number for one in found.legend] == [0, 64, 127, 190, STEPS]


def test_names_are_coloured_by_who_gave_them_and_those_without_are_counted(index: Index) -> None:
    assert colour_cells(index, "kind") is None
    people.say(index, CellId(0, 1), "wet things")
    people.say(index, CellId(1, 2), "wind")
    found = colour_cells(index, "kind")
    assert labels_of(found) == ["", "human", "", "", "", "", "human"]
    assert found is not None and found.n_without == 5 and found.legend[0].n_cells == 2
    assert colour_cells(index, "grade") is None and colour_cells(index, "topic") is None


def test_documents_of_triggers(tmp_path: Path) -> None:
    documents = [
        Document([["a"], ["b"], ["c"]], metadata={"topic": "rivers"}),
        Document([["d"], ["e"]], name="b", metadata={"topic": "<winds>"}),
    ]
    table = np.array([[1, 0, 3], [2, 0, 0], [3, 0, 0], [0, 2, 0], [0, 1, 4]], dtype=np.float32)
    index = make_index(tmp_path / "index", documents, [Layer(np.c_[table, np.zeros(5)])])
    found = colour_cells(index, "documents")
    # the third has one trigger of each topic: of equals, the first in the alphabet
    assert labels_of(found) == ["rivers", "<winds>", "<winds>", ""]
    assert found is not None and found.title == "commonest topic of its triggers, from 20% of them on"
    plain = make_index(tmp_path / "plain", [Document([["a"]])], [Layer([[1.0]])])
    assert colour_cells(plain, "documents") is None


def test_agreement_is_that_of_the_overview(index_of: Callable[[str], Index]) -> None:
    from ffmem.queries.overview import overview

    index = index_of("gpt2")
    found = labels_of(colour_cells(index, "agreement"))
    rows = overview(index)
    agreeing = sum(round(row.agreement_rate * row.n_compared) for row in rows if row.agreement_rate is not None)
    assert sum(one.startswith("its top token") for one in found) == agreeing
    assert sum(bool(one) for one in found) == sum(row.n_compared for row in rows)


def test_trust_and_norm_are_of_a_picture(index: Index) -> None:
    assert colour_cells(index, "kept") is None and colour_cells(index, "norm") is None
    atlas = made_atlas(index.n_cells)
    found = colour_cells(index, "kept", atlas)
    assert found is not None and found.n_without == 3
    assert [one == NOTHING for one in found.numbers.tolist()] == np.isnan(atlas.kept).tolist()
    assert colour_cells(index, "norm", atlas) is None
    with pytest.raises(InputError, match="the colour is 'taste'"):
        colour_cells(index, "taste")  # type: ignore[arg-type]
