"""What was said of a cell, in a terminal."""

from ffmem.cell import Name
from ffmem.ids import CellId
from ffmem.names.exchange import LabelsRead
from ffmem.names.people import History, Said
from ffmem.render.names import history, label_counts, labels_read
from ffmem.store.label_rows import Event, Label, Score


def label(number: int, text: str, **more: object) -> Label:
    made = {"id": number, "made": "2026-01-02 03:04:05"} | more
    return Label(CellId(0, 1), 1, "lm", text, author="m\x1b", **made)  # type: ignore[arg-type]


def test_a_history() -> None:
    said = (
        Said(label(1, "old", superseded_by=2, note="no\nte"), ()),
        Said(label(2, "x" * 300, tags=("a", "b"), adjudicated=True), (Score("detection", 0.75, 0.5, 1, 20),)),
        Said(label(3, "", rejected_by="b"), ()),
    )
    events = (Event(2, "adjudicate", "bob", "why", "2026-01-02 03:04:06"),)
    found = History(CellId(0, 1), 1, Name("rivers", "lm", "settled, lm"), said, events, "3.1")
    assert history(found, whole=True).split("\n") == [
        "L0.1  = rivers (settled, lm)",
        "  2026-01-02 03:04:05  1  old  [lm m\\x1b]  replaced",
        "      no te",
        f"  2026-01-02 03:04:05  2  {'x' * 200}…  [lm m\\x1b]  settled",
        "      detection 0.75 (0.50 to 1.00, n 20)",
        "      tags: a, b",
        "  2026-01-02 03:04:05  3  (no name)  [lm m\\x1b]  rejected",
        "  2026-01-02 03:04:06  bob: adjudicate 2: why",
    ]
    assert history(found, whole=False) == "L0.1  = rivers (settled, lm)"


def test_counts() -> None:
    assert labels_read(LabelsRead(5, 2, 1, 2)).endswith(
        "2 added, 1 were there already; 2 names by rule of another index left out"
    )
    assert label_counts({}) == "no names" and label_counts({"human": 1}).split() == ["names:", "human", "1"]
