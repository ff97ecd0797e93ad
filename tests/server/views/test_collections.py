"""Collections in the page: what a link holds, which cells are in which, and notes that are text whatever they say."""

from pathlib import Path
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffmem import Index
from ffmem.errors import InputError
from ffmem.ids import CellId
from ffmem.names.collections import adding
from ffmem.server.explorer import Explorer
from ffmem.server.links import FolderLinks, Links
from ffmem.server.pages import render
from ffmem.server.views.collections import (
    MAX_LINKED,
    collection_view,
    collections_view,
    items_from,
    link_of,
    linked_view,
    memberships,
    notes_of_form,
    units_in,
)
from ffmem.store.collection_files import Collections, Kept
from ffmem.store.collections import Collection, Item, Note, Origin, Query
from ffmem.store.label_rows import NewLabel
from tests.fixtures.collected import collected_index
from tests.server.page import FEW, HOSTILE, Element, assert_sound, shape


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return collected_index(tmp_path / "index")


@pytest.fixture(scope="module")
def read_index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    return collected_index(tmp_path_factory.mktemp("made") / "index")


def drawn(explorer: Explorer, kept: Kept, links: Links | None = None) -> Element:
    view = collection_view(explorer, kept, 100)
    return assert_sound(
        render("collection.html", links or Links(), explorer=explorer, here="/collections/a", view=view, sent=None)
    )


def test_the_page_has_each_item_with_what_is_known_of_it(index: Index) -> None:
    index.names.add([NewLabel(CellId(0, 3), -1, "human", "asleep", author="ann")])
    items = (Item(CellId(0, 3), -1, (Note("ann", "wet"),), ("t",)), Item(CellId(1, 2)), Item(CellId(9, 0)))
    found = Collection("a", Origin.of(index), items, "what it is", Query("cells", {"limit": 5}))
    page = drawn(Explorer(index), Kept(found, "r1"))
    rows = [row.all("td") for row in page.one("table").one("tbody").all("tr")]
    assert (
        rows[0][0].words == "negative: asleep by hand" and rows[0][1].words == "river·" and rows[0][3].words == "25 %"
    )
    assert rows[1][1].words == "never" and rows[2][0].words == "not in this index"
    assert [one.words for one in rows[0][4].all("span", class_="said-note")] == ["ann: wet"]
    assert [one.words for one in page.one("table").all("th")[-3:]] == ["L0.3 −", "L1.2 +", "L9.0 +"]
    assert "ffmem cells DIR --limit 5" in page.one("main").words and "what it is" in page.one("main").words


def test_a_page_that_is_read_only_has_no_forms(index: Index) -> None:
    kept = Kept(Collection("a", Origin.of(index), (Item(CellId(0, 0)),)), "r1")
    for explorer, links in ((Explorer(index, read_only=True), Links()), (Explorer(index), FolderLinks(1))):
        assert not drawn(explorer, kept, links).one("main").all("form")
    page = drawn(Explorer(index), kept, FolderLinks(1))
    assert page.one("table").one("a").attributes["href"] == "../cells/L0/0.html"
    assert all(one.attributes["method"] == "post" for one in drawn(Explorer(index), kept).one("main").all("form"))


@given(
    text=HOSTILE.filter(lambda one: one.strip() and "\0" not in one and not any("\ud800" <= c <= "\udfff" for c in one))
)
def test_what_people_write_is_text(text: str, read_index: Index) -> None:
    explorer = Explorer(read_index)

    def page(said: str) -> Element:
        item = Item(CellId(0, 3), 1, (Note(said, said),), ("t",))
        return drawn(explorer, Kept(Collection("a", Origin.of(read_index), (item,), said), "r1"))

    shown = page(text)
    assert shape(shown) == shape(page("plain"))
    assert shown.one("span", class_="said-note").text == f"{text}: {text}"
    assert shown.one("p", class_="lead").text == text
    assert [one.text for one in shown.all("textarea")][:1] == ["\n" + text]  # a browser leaves the first line end out


UNITS = st.lists(
    st.tuples(st.builds(CellId, st.integers(0, 1), st.integers(0, 2)), st.sampled_from([1, -1])),
    min_size=1,
    unique=True,
)


@given(units=UNITS, about=st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=40))
@FEW
def test_a_link_holds_all_cells_with_their_signs(
    units: list[tuple[CellId, int]], about: str, read_index: Index
) -> None:
    found = Collection("water", Origin.of(read_index), tuple(Item(*one) for one in units), about)
    query = {name: values[0] for name, values in parse_qs(link_of(found), keep_blank_values=True).items()}
    again = linked_view(Explorer(read_index), query["cells"], query["name"], query.get("about", ""), query["weights"])
    assert again.collection == found and again.revision == ""


def test_a_link_is_short_of_this_model_and_of_cells_that_there_are(read_index: Index) -> None:
    explorer, origin = Explorer(read_index), Origin.of(read_index)
    many = [Item(CellId(9, n)) for n in range(MAX_LINKED + 1)]
    assert link_of(Collection("a", origin, tuple(many))) == link_of(Collection("a", origin)) == ""
    assert len(link_of(Collection("a", origin, tuple(many[1:])))) < 2_000
    for cells, name, weights, told in (
        ("L0.0", "a", "xy", "of another model"),
        ("L0.9", "a", "ab", r"cell L0\.9 does not exist"),
        ("", "a", "ab", "0 cells are named"),
        (",".join(["L0.0"] * 151), "a", "ab", "151 cells are named"),
        ("L0.0", "../a", "ab", "valid name"),
        ("<script>", "a", "", "is not a cell id"),
    ):
        with pytest.raises(InputError, match=told):
            linked_view(explorer, cells, name, "", weights)
    assert units_in(explorer, " -L0.1,\nl1.0 ") == [(CellId(0, 1), -1), (CellId(1, 0), 1)]


def test_which_collections_a_cell_is_in_follows_the_files(index: Index) -> None:
    explorer, collections = Explorer(index), Collections(index)
    assert memberships(explorer, CellId(0, 3)) == () and collections_view(explorer).rows == ()
    items = [Item(CellId(0, 3), sign) for sign in (1, -1)]
    collections.change("a", adding("a", collections.origin, items))
    collections.change("b", adding("b", collections.origin, [Item(CellId(1, 0))]))
    (index.folder / "collections" / "c.json").write_text("{")
    assert [(one.name, [item.sign for item in one.items]) for one in memberships(explorer, CellId(0, 3))] == [
        ("a", [1, -1])
    ]
    told = collections_view(explorer).rows
    assert [(one.name, one.n_items, bool(one.problem)) for one in told] == [
        ("a", 2, False),
        ("b", 1, False),
        ("c", 0, True),
    ]
    collections.change("b", adding("b", collections.origin, [Item(CellId(0, 3), 1, (Note("", "new"),))]))
    assert [one.name for one in memberships(explorer, CellId(0, 3))] == ["a", "b"]
    collections.change("a", lambda _: None)
    assert [one.name for one in memberships(explorer, CellId(0, 3))] == ["b"]


def test_what_a_program_sends_is_read_strictly(read_index: Index) -> None:
    explorer = Explorer(read_index)
    sent = [{"cell": "L0.3", "sign": -1, "notes": [{"author": "ann", "text": "x"}], "tags": ["t"]}, {"cell": "L0.3"}]
    assert items_from(explorer, sent) == (Item(CellId(0, 3), -1, (Note("ann", "x"),), ("t",)), Item(CellId(0, 3)))
    for wrong in (
        None, 7, [7], [{}], ["L0.3"], [{"cell": "L0.3", "sign": True}],
        [{"cell": "L0.3", "sign": "1"}], [{"cell": "L0.3", "sign": 1.0}],
        [{"cell": "L0.3", "tags": "t"}], [{"cell": "L0.3", "tags": [7]}],
        [{"cell": "L0.3", "notes": ["x"]}], [{"cell": "L0.3", "notes": [{"text": 7}]}], [{"cell": "L0.3"}] * 2,
    ):  # fmt: skip
        with pytest.raises(InputError):
            items_from(explorer, wrong)


def test_notes_that_were_emptied_are_gone() -> None:
    fields = {"note-0": " ", "author-0": "ann", "note-1": "a\r\nb ", "author-1": " bob ", "note-3": "c"}
    assert list(notes_of_form(fields)) == [Note("bob", "a\nb"), Note("", "c")]
