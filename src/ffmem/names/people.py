"""What people call cells: said, taken back, settled, and how it came to be. Needs no model."""

from dataclasses import dataclass

from ffmem.cell import MAX_NAME, Name
from ffmem.errors import InputError
from ffmem.ids import CellId
from ffmem.json_values import JsonObject, Record, fields_to_json
from ffmem.store.label_rows import Event, Label, NewLabel, Score, name_text
from ffmem.store.reader import Index

MAX_NOTE = 2_000
"""Characters of a note."""
MAX_TAGS = 20
MAX_AUTHOR = 60
NOBODY = "me"
"""Who says it, if that is not said."""


@dataclass(frozen=True)
class Said(Record):
    """A label, and how well it holds."""

    label: Label
    scores: tuple[Score, ...]

    def to_json(self) -> JsonObject:
        """The fields of the label, and its scores."""
        return fields_to_json(self.label) | {"scores": [one.to_json() for one in self.scores]}


@dataclass(frozen=True)
class History:
    """All that was ever said of a unit, and what was done with it."""

    cell: CellId
    sign: int
    name: Name | None
    labels: tuple[Said, ...]
    """In the order in which they were made."""
    events: tuple[Event, ...]
    revision: str
    """What tells whether anything has happened since."""

    def to_json(self) -> JsonObject:
        """As plain JSON values."""
        return fields_to_json(self)


def history(index: Index, cell: CellId, sign: int = 1) -> History:
    """See `History`."""
    labels = index.names.labels_of(cell, sign)
    scores = index.names.scores_of(*(one.id for one in labels))
    return History(
        cell=cell,
        sign=sign,
        name=index.names.name(cell, sign),
        labels=tuple(Said(one, tuple(scores[one.id])) for one in labels),
        events=tuple(index.names.events_of(cell, sign)),
        revision=index.names.revision(cell, sign),
    )


def say(
    index: Index,
    cell: CellId,
    text: str,
    *,
    sign: int = 1,
    author: str = NOBODY,
    note: str = "",
    tags: tuple[str, ...] = (),
    on: str | None = None,
) -> Label:
    """Give a cell a name; what the same author has said of it before stays in its history.

    Args:
        index: of the cell.
        cell: which.
        text: the name: one line of at most `MAX_NAME` characters. Empty: the author's last one, for a new note.
        sign: of the coefficients that it speaks of.
        author: who says so.
        note: anything more.
        tags: words to group names by.
        on: the revision that the unit must still have.

    Raises:
        InputError: it is no name, or there is no such cell.
        Conflict: somebody else was first.
    """
    text = " ".join(one for one in text.split(" ") if one)
    if not text:
        mine = [one for one in index.names.labels_of(cell, sign) if one.author == author and one.source == "human"]
        text = next((one.text for one in reversed(mine) if one.superseded_by is None), "")
    if name_text(text) != text or (not text and not note and not tags):
        raise InputError(
            f"the name of {cell} is {text[:200]!r}",
            f"Expected one line of 1 to {MAX_NAME} characters, all of which can be seen",
            "Say the rest in --note",
        )
    tags = tuple(dict.fromkeys(" ".join(one.split()) for one in tags if one.strip()))
    for what, value, most in (("note", note, MAX_NOTE), ("author", author, MAX_AUTHOR)):
        if len(value) > most:
            raise InputError(f"the {what} has {len(value):,} characters", f"Expected at most {most:,}", "Shorten it")
    if len(tags) > MAX_TAGS or any(name_text(one) != one for one in tags):
        raise InputError(
            f"the tags are {', '.join(tags)[:200]!r}",
            f"Expected at most {MAX_TAGS}, of at most {MAX_NAME} characters each",
            "Leave some out",
        )
    if name_text(author) != author or not author:
        raise InputError(f"the author is {author[:80]!r}", "Expected a name on one line", "Leave --author out")
    new = NewLabel(cell, sign, "human", text, author=author, note=note, tags=tags)
    (number,) = index.names.add([new], on=None if on is None else {(cell, sign): on})
    return index.names.label(number)


def reject(
    index: Index,
    cell: CellId,
    *,
    sign: int = 1,
    author: str = NOBODY,
    note: str = "",
    label: int | None = None,
    on: str | None = None,
) -> None:
    """Reject a label of a unit: it is no name any more, and stays in the history.

    Args:
        index: of the cell.
        cell: which.
        sign: of the coefficients that the label speaks of.
        author: who says so.
        note: why.
        label: its number; None: the one that is the name.
        on: the revision that the unit must still have.

    Raises:
        InputError: it has no name, or no such label.
        Conflict: somebody else was first.
    """
    index.names.reject(_chosen(index, cell, sign, label), author, note, on=on)


def unreject(
    index: Index,
    cell: CellId,
    *,
    sign: int = 1,
    author: str = NOBODY,
    note: str = "",
    label: int,
    on: str | None = None,
) -> None:
    """Take a rejection back: see `reject`."""
    index.names.unreject(_chosen(index, cell, sign, label), author, note, on=on)


def settle(
    index: Index,
    cell: CellId,
    *,
    sign: int = 1,
    author: str = NOBODY,
    note: str = "",
    label: int | None = None,
    on: str | None = None,
) -> None:
    """Settle that a label is the name of a unit, whatever else is said later: see `reject`."""
    index.names.adjudicate(_chosen(index, cell, sign, label), author, note, on=on)


def _chosen(index: Index, cell: CellId, sign: int, label: int | None) -> int:
    if label is None:
        number = index.names.label_of_name(cell, sign)
        if number is None:
            raise InputError(
                f"{cell} has no name", "Expected one that has", f'Give it one: ffmem name DIR {cell} "text"'
            )
        return number
    if label not in (one.id for one in index.names.labels_of(cell, sign)):
        raise InputError(
            f"{label} is no label of {cell} with the sign {sign}",
            "Expected the number of one of its labels",
            f"See them with: ffmem name DIR {cell} --history",
        )
    return label
