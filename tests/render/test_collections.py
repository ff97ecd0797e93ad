"""Collections in a terminal: nothing that somebody wrote disturbs it."""

from ffmem.cell import Name
from ffmem.ids import CellId
from ffmem.names.collection_lines import Line
from ffmem.names.collection_queries import Refreshed
from ffmem.names.collections import CollectionDiff, Compared
from ffmem.render.collections import collection, collection_diff, collections, compared_collection, refreshed
from ffmem.store.collections import Collection, Item, Note, Origin, Query

ORIGIN = Origin("index-0", "ma\x1b[31mde", "ab", "made.txt", "cd")
ITEM = Item(CellId(1, 2), -1, (Note("a\u202e", "x\x1b[2Jy\nz"),), ("t",))


def test_what_is_shown_of_one() -> None:
    found = Collection(
        "a", ORIGIN, (ITEM, Item(CellId(3, 0))), "first\nsecond\x07", Query("find", {"trigger": "x\x1b"})
    )
    lines = [
        Line(ITEM, True, 0.25, -2.0, "to\x1bken", Name("na\x1bme", "rule", "rule B"), ("p", "q")),
        Line(found.items[1], False),
    ]
    told = collection(found, lines, "said")
    assert told.split("\n") == [
        "a: 2 items, of ma\\x1b[31mde over made.txt",
        "  first",
        "  second\\x07",
        "  the answer to: ffmem find DIR --trigger 'x\\x1b'",
        "  said",
        "      L1.2 (-)   25.00%  ⟨to\\x1bken⟩       ⟨p⟩ ⟨q⟩  = na\\x1bme (rule B) #t",
        "              a\\x202e: x\\x1b[2Jy",
        "              z",
        "          L3.0  not in this index",
    ]
    assert collection(found, lines[:1], "").endswith("  and 1 more: --limit")


def test_a_list_with_what_cannot_be_read() -> None:
    rows = [
        {
            "name": "a",
            "n_items": 1200,
            "description": "",
            "query": Query("cells", {"limit": 5}),
            "note": "",
            "problem": "",
        },
        {"name": "b", "n_items": None, "description": "", "query": None, "note": "", "problem": "it is\ndamaged"},
        {"name": "c", "n_items": 0, "description": "wet", "query": None, "note": "another text", "problem": ""},
    ]
    assert collections(rows).split("\n") == [
        "a                      1,200  ffmem cells DIR --limit 5",
        "b                          -  it is damaged",
        "c                          0  wet",
        "                              another text",
    ]


def test_a_difference_names_the_first_and_counts_the_rest() -> None:
    added = tuple(Item(CellId(0, n)) for n in range(23))
    told = collection_diff(CollectionDiff("a", "b", added, (ITEM,), (), 1_000), ["of another text"]).split("\n")
    assert told[:2] == ["a and b: 1,000 the same, 23 added, 1 removed, 0 with other notes or tags", "  of another text"]
    assert told[21:] == ["+ L0.19", "+ and 3 more: --json", "- L1.2 (-)"]
    assert compared_collection(Compared("a", None, ("the texts differ",))) == "a is empty\n  the texts differ"


def test_a_refresh_says_what_would_be_kept() -> None:
    found = Refreshed(
        "a", (Item(CellId(0, 0)),), (), (ITEM,), (Item(CellId(9, 9)),), 3, "note", Collection("a", ORIGIN)
    )
    assert refreshed(found, False).split("\n") == [
        "a: 3 the same, 1 added, 0 removed (--write keeps this)", "  note", "+ L0.0",
        "no longer in the answer, and kept for what was said of them:", "= L1.2 (-)", "not in this index:", "? L9.9",
    ]  # fmt: skip
    assert refreshed(found, True).split("\n")[0] == "a: 3 the same, 1 added, 0 removed"
