"""What people call cells."""

from pathlib import Path

import pytest

from ffmem import Index, InputError
from ffmem.annotations.batches import draw
from ffmem.annotations.store import write_sheets
from ffmem.ids import CellId
from ffmem.names import people
from ffmem.store.labels import Conflict

CELL = CellId(0, 0)


def test_a_name_its_history_and_its_end(index: Index) -> None:
    people.say(
        index, CELL, "  old   rivers ", note="by the bank", tags=("water", " water ", "wet  and cold"), author="ann"
    )
    people.say(index, CELL, "rivers", author="ann")
    people.say(index, CELL, "", author="ann", note="again")
    found = people.history(index, CELL)
    assert str(found.name) == "rivers (by hand)"
    assert [(one.label.text, one.label.note, one.label.tags) for one in found.labels] == [
        ("old rivers", "by the bank", ("water", "wet and cold")), ("rivers", "", ()), ("rivers", "again", ()),
    ]  # fmt: skip
    people.reject(index, CELL, author="bob", note="no")
    assert people.history(index, CELL).name is None
    last = found.labels[-1].label.id
    people.unreject(index, CELL, label=last)
    people.settle(index, CELL, author="bob")
    people.say(index, CELL, "lakes", author="eve")
    found = people.history(index, CELL)
    assert str(found.name) == "rivers (settled)" and found.name is not None and found.name.n_others == 1
    assert [(one.what, one.by) for one in found.events] == [
        ("reject", "bob"),
        ("unreject", "me"),
        ("adjudicate", "bob"),
    ]
    assert people.history(index, CELL, -1).name is None
    people.say(index, CELL, "dry", sign=-1)
    assert str(people.history(index, CELL, -1).name) == "negative: dry (by hand)"


def test_somebody_else_was_first(index: Index) -> None:
    shown = people.history(index, CELL).revision
    people.say(index, CELL, "rivers", author="ann", on=shown)
    for late in (lambda: people.say(index, CELL, "x", on=shown), lambda: people.reject(index, CELL, on=shown)):
        with pytest.raises(Conflict):
            late()
    assert str(people.history(index, CELL).name) == "rivers (by hand)"


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"text": "x" * 61}, "the name of L0.0 is"),
        ({"text": "two\nlines"}, "the name of L0.0 is"),
        ({"text": "\u202eturned"}, "the name of L0.0 is"),
        ({"text": " "}, "the name of L0.0 is"),
        ({"text": "x", "note": "n" * 2001}, "the note has 2,001"),
        ({"text": "x", "tags": ("a",) * 3 + tuple(map(str, range(20)))}, "the tags are"),
        ({"text": "x", "tags": ("a\x1b[31m",)}, "the tags are"),
        ({"text": "x", "author": ""}, "the author is"),
        ({"text": "x", "author": "a\nb"}, "the author is"),
        ({"text": "x", "author": "a" * 61}, "the author has 61"),
        ({"text": "x", "sign": 3}, "sign 3"),
    ],
)
def test_what_is_no_name(index: Index, said: dict[str, object], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        people.say(index, CELL, **said)  # type: ignore[arg-type]
    assert index.names.labels_of(CELL) == []


def test_what_has_no_name_cannot_be_rejected(index: Index) -> None:
    with pytest.raises(InputError, match=r"L0\.0 has no name"):
        people.reject(index, CELL)
    other = people.say(index, CellId(0, 1), "x").id
    with pytest.raises(InputError, match=r"is no label of L0\.0"):
        people.settle(index, CELL, label=other)


def test_no_sheet_for_annotators_tells_a_name(index: Index, tmp_path: Path) -> None:
    for cell in (CellId(layer, i) for layer in (0, 1) for i in range(4)):
        for sign in (1, -1):
            people.say(index, cell, "zebra crossing", sign=sign, note="zebra", tags=("zebra",), author="zebra")
    batch = draw(index, "b", per_layer=4, n_triggers=3)
    files = write_sheets(index, batch, ["ann"], tmp_path)
    texts = [path.read_text("utf-8-sig") for path in [*files, *index.folder.glob("annotations/**/*.json")]]
    assert len(texts) == 3 and not [one for one in texts if "zebra" in one]
