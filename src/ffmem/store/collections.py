"""Collections: named lists of cells with notes, as files whose every line means something.

A file has its names in order and one item a line, in the order of cells, with no times: what `diff` shows of two versions is
what was said, and what git merges line by line is merged cell by cell. docs/design/store-format.md is normative.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ffmem.errors import InputError, StoreError
from ffmem.ids import CellId
from ffmem.json_values import JsonObject
from ffmem.store.files import parse_json
from ffmem.store.identity import identity_id, sha256_of_identity

if TYPE_CHECKING:
    from ffmem.store.reader import Index

MAX_NAME, MAX_NOTE, MAX_DESCRIPTION, MAX_TAG, MAX_AUTHOR = 40, 2_000, 4_000, 40, 60
"""Characters."""
MAX_ITEMS = 100_000
MAX_NOTES = 100
"""Of one item; tags too."""
MAX_FILE_BYTES = 64_000_000
_NAME = re.compile(rf"[a-z][a-z0-9_-]{{0,{MAX_NAME - 1}}}", re.ASCII)
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
"""What some systems do not take as the name of a file, whatever its suffix."""
_TAG = re.compile(rf"[\w.+-]{{1,{MAX_TAG}}}")
_INVISIBLE = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
"""What an editor might obey, or take for the end of a line; JSON itself escapes only what is below U+0020."""


@dataclass(frozen=True, order=True)
class Note:
    """What somebody says of a cell."""

    author: str
    """Empty if nobody is named."""
    text: str


@dataclass(frozen=True)
class Item:
    """A cell in a collection, with one of its signs."""

    cell: CellId
    sign: int = 1
    """-1: the cell with its negative coefficients, which gated cells have."""
    notes: tuple[Note, ...] = ()
    """In order, none twice."""
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("notes", "tags"):
            object.__setattr__(self, name, tuple(sorted(set(getattr(self, name)))))

    @property
    def unit(self) -> tuple[CellId, int]:
        """What it is about; a collection has each once."""
        return self.cell, self.sign

    def with_more(self, other: "Item") -> "Item":
        """The same item with the notes and tags of both."""
        return replace(self, notes=self.notes + other.notes, tags=self.tags + other.tags)

    def to_json(self) -> JsonObject:
        """As plain JSON values."""
        notes = [{"author": one.author, "text": one.text} for one in self.notes]
        return {"cell": str(self.cell), "notes": notes, "sign": self.sign, "tags": list(self.tags)}


@dataclass(frozen=True)
class Origin:
    """The index that a collection is of."""

    id: str
    """`identity_id` of it."""
    model: str
    weights: str
    """SHA-256: what a cell id means, it means in these weights only."""
    corpus: str
    corpus_sha256: str

    @classmethod
    def of(cls, index: "Index") -> "Origin":
        """That of an opened index."""
        identity = index.manifest.identity
        return cls(
            identity_id(identity.json),
            _plain(identity.model.name),
            identity.model.weights_sha256,
            _plain(identity.corpus.name),
            sha256_of_identity(identity.corpus.json),
        )

    def to_json(self) -> JsonObject:
        """As plain JSON values."""
        return {
            "corpus": self.corpus,
            "corpus_sha256": self.corpus_sha256,
            "id": self.id,
            "model": self.model,
            "weights_sha256": self.weights,
        }


def _plain(name: str) -> str:
    """A name for people; a folder's may have bytes that are no text."""
    return name.encode("utf-8", "backslashreplace").decode().replace("\0", " ")[:MAX_DESCRIPTION]


@dataclass(frozen=True)
class Query:
    """A question whose answer a collection is: it can be asked again."""

    verb: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> JsonObject:
        """As plain JSON values."""
        return {"arguments": dict(self.arguments), "verb": self.verb}


@dataclass(frozen=True)
class Collection:
    """A named list of cells; its items in the order of cells, each cell and sign once."""

    name: str
    origin: Origin
    items: tuple[Item, ...] = ()
    description: str = ""
    query: Query | None = None
    """What was asked, where the items are the answer."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "items", tuple(sorted(self.items, key=_order)))

    @property
    def by_unit(self) -> dict[tuple[CellId, int], Item]:
        """Its items by cell and sign."""
        return {one.unit: one for one in self.items}

    @property
    def cells(self) -> tuple[CellId, ...]:
        """Its cells, each once whatever its signs."""
        return tuple(dict.fromkeys(one.cell for one in self.items))

    def with_items(self, items: Iterable[Item]) -> "Collection":
        """The collection with more items: of a cell that it has, the notes and tags are added."""
        found = self.by_unit
        for one in items:
            found[one.unit] = found[one.unit].with_more(one) if one.unit in found else one
        return replace(self, items=tuple(found.values()))

    def to_json(self) -> JsonObject:
        """As plain JSON values, in the order of the file."""
        return {
            "description": self.description,
            "index": self.origin.to_json(),
            "items": [one.to_json() for one in self.items],
            "name": self.name,
            "query": None if self.query is None else self.query.to_json(),
        }


def _order(item: Item) -> tuple[bool, int, str, int, int, int]:
    cell = item.cell
    expert = -1 if cell.expert is None else cell.expert
    return cell.stack == "dec", cell.layer, cell.dictionary, expert, cell.index, -item.sign


def check_collection_name(name: str) -> None:
    """Refuse what cannot be the name of a file everywhere.

    Raises:
        InputError: it is none.
    """
    if not isinstance(name, str) or _NAME.fullmatch(name) is None or name in _RESERVED:
        raise InputError(
            f"{str(name)[:100]!r} is not a valid name for a collection",
            f"Expected a lower-case letter (a to z), then up to {MAX_NAME - 1} of them, digits, - and _; "
            "and not what a system keeps for itself, such as con or nul",
            "Choose another name, such as water",
        )


def check_item(item: Item) -> Item:
    """The same item, if a file may hold it.

    Raises:
        InputError: a note, a tag or the name of an author is too long, or no text.
    """
    if item.sign not in (1, -1):
        raise InputError(f"the sign of {item.cell} is {item.sign!r}", "Expected 1 or -1", "Leave it out")
    for what, n in (("notes", len(item.notes)), ("tags", len(item.tags))):
        if n > MAX_NOTES:
            raise InputError(f"{item.cell} has {n:,} {what}", f"Expected at most {MAX_NOTES}", "Remove some of them")
    for note in item.notes:
        check_text(note.text, MAX_NOTE, "a note")
        check_text(note.author, MAX_AUTHOR, "an author", lines=False)
        if not note.text.strip():
            raise InputError(f"a note on {item.cell} is empty", "Expected some text", "Leave the note out")
    for tag in item.tags:
        if not isinstance(tag, str) or _TAG.fullmatch(tag) is None:
            raise InputError(
                f"{str(tag)[:100]!r} is not a tag",
                f"Expected up to {MAX_TAG} letters, digits and . + - _",
                "Write several tags one after the other",
            )
    return item


def check_text(text: str, most: int, what: str, lines: bool = True) -> str:
    """The same text, if it is some, and not too long.

    Raises:
        InputError: it is not.
    """
    if not isinstance(text, str) or len(text) > most or re.search("[\0\ud800-\udfff]", text):
        size = f"has {len(text):,} characters" if isinstance(text, str) and len(text) > most else "is no plain text"
        raise InputError(f"{what} {size}", f"Expected at most {most:,} characters of Unicode", "Shorten or correct it")
    if not lines and not (text.isprintable() or not text):
        raise InputError(f"{what} is {text[:100]!r}", "Expected one line of printable characters", "Correct it")
    return text


def format_collection(collection: Collection) -> str:
    """The text of its file: names in order, one item a line."""
    values = collection.to_json()
    items = ",\n".join(f"  {_line(one)}" for one in values["items"])
    parts = {name: _line(value) for name, value in values.items()} | {"items": f"[\n{items}\n ]" if items else "[]"}
    return "{\n" + ",\n".join(f" {_line(name)}: {parts[name]}" for name in sorted(parts)) + "\n}\n"


def _line(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, allow_nan=False)
    return _INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def parse_collection(text: str | bytes, where: str) -> Collection:
    """What `format_collection` was given, whatever white space stands in the file.

    Raises:
        StoreError: it is no collection, or a damaged one; nothing of it is guessed.
    """
    try:
        values = parse_json(text)
        _only(values, "it", {"description", "index", "items", "name", "query"})
        _only(values["index"], "its index", {"corpus", "corpus_sha256", "id", "model", "weights_sha256"})
        check_collection_name(values["name"])
        origin = Origin(
            id=_text(values["index"]["id"]),
            model=_text(values["index"]["model"]),
            weights=_text(values["index"]["weights_sha256"]),
            corpus=_text(values["index"]["corpus"]),
            corpus_sha256=_text(values["index"]["corpus_sha256"]),
        )
        if not isinstance(values["items"], list) or len(values["items"]) > MAX_ITEMS:
            raise ValueError(f"its items are no list of at most {MAX_ITEMS:,}")
        items = tuple(_item(one) for one in values["items"])
        if len({one.unit for one in items}) != len(items):
            raise ValueError("a cell stands there twice")
        description = check_text(values["description"], MAX_DESCRIPTION, "its description")
        return Collection(values["name"], origin, items, description, _query(values["query"]))
    except (ValueError, KeyError, TypeError, AttributeError, InputError) as error:
        why = f"{error} is missing" if isinstance(error, KeyError) else str(error).rstrip(".")
        raise StoreError(
            f"{where} is no collection, or is damaged: {why}",
            "Expected a file as `ffmem collect` writes it",
            "Correct or remove it; if lines were merged by hand, look for a comma or for marks of a conflict",
        ) from error


def _only(values: Any, what: str, names: set[str]) -> None:
    """Refuse names that do not belong there: they would be lost with the next change."""
    if not isinstance(values, dict) or values.keys() != names:
        known = sorted(values) if isinstance(values, dict) else type(values).__name__
        raise ValueError(f"{what} has {str(known)[:200]}, and not {sorted(names)}")


def _text(value: Any) -> str:
    return check_text(value, MAX_DESCRIPTION, "a field")


def _item(values: Any) -> Item:
    _only(values, "an item", {"cell", "notes", "sign", "tags"})
    if type(values["sign"]) is not int or not isinstance(values["tags"], list):
        raise ValueError(f"{str(values)[:100]} has a sign or tags that are none")
    notes = []
    for one in values["notes"]:
        _only(one, "a note", {"author", "text"})
        notes.append(Note(one["author"], one["text"]))
    cell = CellId.parse(values["cell"])
    if str(cell) != values["cell"]:
        raise ValueError(f"{values['cell']!r} is not how {cell} is written")
    raw = Item(cell, values["sign"])
    for name, found in (("notes", notes), ("tags", values["tags"])):  # checked before they are sorted
        check_item(_unsorted(raw, name, tuple(found)))
    return Item(cell, values["sign"], tuple(notes), tuple(values["tags"]))


def _unsorted(item: Item, name: str, found: tuple[Any, ...]) -> Item:
    made = replace(item)
    object.__setattr__(made, name, found)
    return made


def _query(values: Any) -> Query | None:
    if values is None:
        return None
    _only(values, "its query", {"arguments", "verb"})
    if not isinstance(values["arguments"], dict) or not isinstance(values["verb"], str):
        raise ValueError("its query is none")
    return Query(values["verb"], values["arguments"])
