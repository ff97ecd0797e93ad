"""Collections as text: there and back, a line an item, and nothing of what is damaged is guessed."""

import difflib
import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffmem.errors import InputError, StoreError
from ffmem.ids import CellId
from ffmem.store.collections import (
    MAX_NOTE,
    MAX_NOTES,
    Collection,
    Item,
    Note,
    Origin,
    Query,
    check_collection_name,
    check_item,
    format_collection,
    parse_collection,
)

ORIGIN = Origin("index-0", "made", "ab", "made.txt", "cd")
TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=30)
AUTHORS = st.text(st.characters(categories=("L", "N", "P", "S")), max_size=8)
CELLS = st.builds(
    CellId,
    layer=st.integers(0, 12),
    index=st.integers(0, 99),
    expert=st.none() | st.integers(0, 3),
    stack=st.sampled_from(["", "enc", "dec"]),
)
NOTES = st.builds(Note, AUTHORS, TEXT.filter(str.strip))
ITEMS = st.builds(
    Item,
    CELLS,
    st.sampled_from([1, -1]),
    st.lists(NOTES, max_size=3).map(tuple),
    st.lists(st.from_regex(r"[\w.+-]{1,8}", fullmatch=True), max_size=3).map(tuple),
)
COLLECTIONS = st.builds(
    Collection,
    name=st.from_regex(r"[a-z][a-z0-9_-]{3,12}", fullmatch=True),
    origin=st.just(ORIGIN),
    items=st.lists(ITEMS, max_size=6, unique_by=lambda one: one.unit).map(tuple),
    description=TEXT,
    query=st.none() | st.builds(Query, st.just("find"), st.dictionaries(TEXT, TEXT | st.booleans(), max_size=2)),
)
FEW = settings(max_examples=30, deadline=None)


@given(COLLECTIONS)
@FEW
def test_there_and_back(made: Collection) -> None:
    text = format_collection(made)
    assert parse_collection(text, "x.json") == made
    assert json.loads(text) == made.to_json()
    assert parse_collection(json.dumps(made.to_json()), "x.json") == made  # whatever white space there is


@given(COLLECTIONS, ITEMS)
@FEW
def test_what_diff_shows_is_what_was_added(made: Collection, new: Item) -> None:
    """One line more for one item more; but for the comma of the line before, where the item is the last one."""
    before = replace(made, items=tuple(one for one in made.items if one.unit != new.unit))
    after = before.with_items([new])
    lines = [format_collection(one).split("\n") for one in (before, after)]
    diff = [one for one in difflib.ndiff(*lines) if one[0] in "+-"]
    added = [json.loads(one[2:].strip().rstrip(",")) for one in diff if one.startswith("+   {")]
    assert new.to_json() in added and len(added) <= 2
    assert len(lines[1]) - len(lines[0]) == (1 if before.items else 2)  # an empty list is closed where it is opened
    assert all(
        len(one.splitlines()) <= 1 for one in lines[1]
    )  # no character that an editor takes for the end of a line


def test_the_file_is_in_order_whatever_was_said_first() -> None:
    cells = ["dec.L0.1", "enc.L2.5", "L9.10", "L9.9", "L10.0", "L9.e1.0", "L9.e0.3"]
    items = [Item(CellId.parse(one), sign) for one in cells for sign in (-1, 1)]
    text = format_collection(Collection("a", ORIGIN, tuple(items)))
    order = [json.loads(line.strip(" ,"))["cell"] for line in text.split("\n") if line.startswith("  {")]
    assert order[::2] == order[1::2]
    assert order[::2] == ["enc.L2.5", "L9.9", "L9.10", "L9.e0.3", "L9.e1.0", "L10.0", "dec.L0.1"]
    two = Item(CellId(0, 0), 1, (Note("b", "x"), Note("a", "y"), Note("b", "x")), ("z", "a", "z"))
    assert two.notes == (Note("a", "y"), Note("b", "x")) and two.tags == ("a", "z")
    assert format_collection(Collection("a", ORIGIN, (two,))) == (
        '{\n "description": "",\n'
        ' "index": {"corpus": "made.txt", "corpus_sha256": "cd", "id": "index-0", "model": "made", "weights_sha256": "ab"},\n'
        ' "items": [\n'
        '  {"cell": "L0.0", "notes": [{"author": "a", "text": "y"}, {"author": "b", "text": "x"}], "sign": 1, '
        '"tags": ["a", "z"]}\n'
        ' ],\n "name": "a",\n "query": null\n}\n'
    )


HOSTILE = (
    "", "../x", "..", ".", "a/b", "a\\b", "a" * 41, "a" * 300, "Water", "wаter", "ｗater", "w\u200bater", "water\n", "1st",
    "-x", "con", "nul", "com1", "lpt9", "a b", "a.json", "\0", "a\0b", "~", "$HOME", "%2e%2e",
)  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_names_that_are_no_files_everywhere_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"is not a valid name for a collection\. Expected a lower-case letter"):
        check_collection_name(name)


@given(st.text(max_size=45))
@settings(max_examples=150, deadline=None)
def test_a_name_that_is_taken_is_plain(name: str) -> None:
    try:
        check_collection_name(name)
    except InputError:
        return
    assert 0 < len(name) <= 40 and set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-") and name[0].isalpha()


def whole() -> dict[str, object]:
    return Collection("water", ORIGIN, (Item(CellId(0, 3), 1, (Note("ann", "wet"),), ("a",)),)).to_json()


def item(**changed: object) -> Callable[[dict[str, object]], dict[str, object]]:
    return lambda values: values | {"items": [values["items"][0] | changed]}  # type: ignore[index]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda _: [], "it has list, and not"),
        (lambda values: values | {"made": "today"}, "'made'"),
        (lambda values: {name: one for name, one in values.items() if name != "query"}, "and not"),
        (lambda values: values | {"name": "../x"}, "'../x' is not a valid name"),
        (lambda values: values | {"items": values["items"] * 2}, "a cell stands there twice"),
        (lambda values: values | {"items": {}}, "its items are no list"),
        (lambda values: values | {"index": "index-0"}, "its index has str"),
        (lambda values: values | {"query": {"verb": 1, "arguments": {}}}, "its query is none"),
        (lambda values: values | {"description": 7}, "its description is no plain text"),
        (item(cell="L0"), "'L0' is not a cell id"),
        (item(cell="l0.3"), "'l0.3' is not how L0.3 is written"),
        (item(cell=3), ""),
        (item(sign=True), "a sign or tags that are none"),
        (item(sign=2), "the sign of L0.3 is 2"),
        (item(tags="wet"), "a sign or tags that are none"),
        (item(tags=["two words"]), "'two words' is not a tag"),
        (item(tags=[["a"]]), "is not a tag"),
        (item(notes=[{"text": "wet"}]), "a note has"),
        (item(notes=[{"text": 7, "author": ""}]), "a note is no plain text"),
        (item(notes=[{"text": "  ", "author": ""}]), "is empty"),
        (item(notes=[{"text": "x", "author": "a\nb"}]), "an author is"),
        (item(notes=[{"text": "x" * 2001, "author": ""}]), "a note has 2,001 characters"),
        (item(notes=[{"text": str(n), "author": ""} for n in range(MAX_NOTES + 1)]), "has 101 notes"),
        (item(rating=5), "an item has"),
    ],
)
def test_what_is_damaged_or_foreign_is_refused(change: Callable[[object], object], told: str) -> None:
    with pytest.raises(StoreError, match=r"^x\.json is no collection, or is damaged: ") as refused:
        parse_collection(json.dumps(change(whole())), "x.json")
    assert told in str(refused.value) and "Expected a file as `ffmem collect` writes it" in str(refused.value)


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 100_000, '{"name": "a", "name": "b"}', "NaN", "\ufeff{}", b"\xff\xfe", "<<<<<<< HEAD\n{}"]
)
def test_what_is_no_json_of_ours_is_refused(text: str | bytes) -> None:
    with pytest.raises(StoreError, match=r"x\.json is no collection"):
        parse_collection(text, "x.json")


def test_a_note_may_be_as_long_as_is_said_and_no_longer() -> None:
    item = Item(CellId(0, 0), notes=(Note("", "x" * MAX_NOTE),))
    assert check_item(item) is item
    for text in ("x" * (MAX_NOTE + 1), "half \ud800", "nul \0"):
        with pytest.raises(InputError, match="a note"):
            check_item(Item(CellId(0, 0), notes=(Note("", text),)))


def test_a_cell_that_is_added_again_keeps_what_was_said() -> None:
    first = Collection("a", ORIGIN, (Item(CellId(0, 1), 1, (Note("ann", "x"),), ("t",)),))
    second = first.with_items([Item(CellId(0, 1), 1, (Note("bob", "y"),)), Item(CellId(0, 1), -1)])
    assert [(one.sign, one.notes, one.tags) for one in second.items] == [
        (1, (Note("ann", "x"), Note("bob", "y")), ("t",)), (-1, (), ()),
    ]  # fmt: skip
    assert second.cells == (CellId(0, 1),)
