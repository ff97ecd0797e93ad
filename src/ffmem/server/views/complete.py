"""What may be meant by a half-typed question: keys, and values of them."""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice

from ffmem.errors import FfmemError
from ffmem.json_values import Record
from ffmem.queries.documents import metadata_of
from ffmem.queries.question import part_of_question
from ffmem.queries.question_keys import KEYS, META, SAME
from ffmem.server.explorer import Explorer
from ffmem.server.views.search import kinds
from ffmem.store.collection_files import Collections
from ffmem.store.label_rows import GRADES, SOURCES, one_line

_MOST = 12
_LAST = re.compile(r'(?:(meta\."[^"]+"|[A-Za-z]+(?:\.[^\s:"]*)?):)?("(?:\\.|[^"\\])*|[^\s"]*)$', re.IGNORECASE)
"""The part that is being typed: perhaps a key, and what stands behind it."""


@dataclass(frozen=True)
class Choice(Record):
    """Something that may be meant."""

    insert: str
    """What would stand in the place of what was typed."""
    what: str
    """About it, in a few words; may be empty."""


@dataclass(frozen=True)
class Completion(Record):
    """What may stand in the place of one part of a question."""

    start: int
    """Where the part begins, in characters."""
    end: int
    """Where it ends."""
    choices: tuple[Choice, ...]


def complete(explorer: Explorer, text: str, at: int | None = None) -> Completion:
    """What the part of a question before a place may become.

    Args:
        explorer: of the index.
        text: what was typed so far.
        at: the place, in characters; None: the end.
    """
    end = len(text) if at is None else min(max(at, 0), len(text))
    match = _LAST.search(text, 0, end)
    assert match is not None  # nothing at all is a match
    key, typed = match[1], match[2]
    if key is None and typed.startswith('"'):
        return Completion(match.start(), end, ())
    found = _of_words(explorer, typed) if key is None else _of_key(explorer, key, typed.removeprefix('"'))
    return Completion(match.start(), end, tuple(islice(found, _MOST)))


def _of_words(explorer: Explorer, typed: str) -> Iterator[Choice]:
    """Keys that begin so, fields, and topics."""
    wanted = typed.casefold()
    for one in KEYS.values():
        if one.name.startswith(wanted) or any(
            name == one.name and same.startswith(wanted) for same, name in SAME.items()
        ):
            yield Choice(f"{one.name}:", one.what)
    metadata = metadata_of(explorer.index)
    if META.startswith(wanted) or wanted.startswith(META):
        for name in metadata.fields:
            if name.casefold().startswith(wanted.removeprefix(META) if wanted.startswith(META) else ""):
                yield replace(_meta(name, ""), what=f"{len(metadata.fields[name].values):,} values")
    if wanted and metadata.topic_field:
        for value, n in _values(explorer, metadata.topic_field, wanted):
            yield Choice(part_of_question("topic", value), f"topic of {n:,} documents")


def _of_key(explorer: Explorer, key: str, typed: str) -> Iterator[Choice]:
    """Values of a key that begin so, or have it within."""
    if key.lower().startswith(META):
        name = key[len(META) :].strip('"')
        fields = {one.casefold(): one for one in metadata_of(explorer.index).fields}
        if name.casefold() in fields:
            own = fields[name.casefold()]
            for value, n in _values(explorer, own, typed.casefold()):
                yield replace(_meta(own, value), what=f"{n:,} documents")
        return
    name = SAME.get(key.lower(), key.lower())
    kind = KEYS[name].values if name in KEYS else "words"
    if kind == "token":
        yield from _tokens(explorer, name, typed)
    elif kind == "topic":
        field = metadata_of(explorer.index).topic_field
        for value, n in _values(explorer, field, typed.casefold()) if field else ():
            yield Choice(part_of_question(name, value), f"{n:,} documents")
    else:
        for value, what in _fixed(explorer, kind):
            if value.casefold().startswith(typed.casefold()):
                yield Choice(part_of_question(name, value), what)


def _fixed(explorer: Explorer, kind: str) -> Iterable[tuple[str, str]]:
    """The values of a key that has few, with what is to be said of each."""
    if kind == "layer":
        return ((layer.name, f"{layer.n_cells:,} cells") for layer in explorer.index.cells.layers)
    if kind == "collection":
        return _collections(explorer)
    if kind == "pattern":
        return ((one, f"{sum(int(m.sum()) for m in masks):,} cells") for one, masks in sorted(kinds(explorer).items()))
    return {
        "source": [(one, "") for one in (*SOURCES, "guess")],
        "grade": [(one, "") for one in GRADES],
        "within": [("prefix", "up to the firing token"), ("sentence", "anywhere in the sentence")],
    }.get(kind, [])


def _collections(explorer: Explorer) -> Iterator[tuple[str, str]]:
    collections = Collections(explorer.index)
    for name in collections.names():
        with suppress(FfmemError):  # one that cannot be read is no choice
            yield name, f"{len(collections.load(name).collection.items):,} cells"


def _meta(name: str, value: str) -> Choice:
    typed = part_of_question(META + name, value or "x")
    return Choice(typed if value else typed.removesuffix("x"), "")


def _values(explorer: Explorer, field: str, wanted: str) -> Iterator[tuple[str, int]]:
    """Values of a field that begin so, the most frequent first; then those that have it within."""
    found = metadata_of(explorer.index).fields[field]
    counts = found.n_documents
    within: list[tuple[str, int]] = []
    for number, value in enumerate(found.values):
        folded = value.casefold()
        if folded.startswith(wanted):
            yield value, int(counts[number])
        elif len(within) < _MOST and wanted in folded:
            within.append((value, int(counts[number])))
    yield from within


def _tokens(explorer: Explorer, key: str, typed: str) -> Iterator[Choice]:
    """Tokens that begin so, whatever their case and the space before them; short ones first."""
    wanted = typed.strip().casefold()
    if not wanted:
        return
    by_beginning = explorer.kept("tokens by beginning", lambda: _by_beginning(explorer.index.text.vocabulary))
    first = bisect_left(by_beginning, (wanted, ""))
    near = [token for folded, token in islice(by_beginning, first, first + 2000) if folded.startswith(wanted)]
    for token in sorted(near, key=lambda one: (len(one.strip()), not one.startswith(" "), one))[:_MOST]:
        yield Choice(part_of_question(key, token, exact=True), f"token {one_line(token, 40)}")


def _by_beginning(vocabulary: Iterable[str]) -> list[tuple[str, str]]:
    return sorted({(token.strip().casefold(), token) for token in vocabulary if token.strip()})
