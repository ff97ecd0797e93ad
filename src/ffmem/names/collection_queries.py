"""A question kept with its answer: saved as a collection, and asked again later."""

import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ffmem.errors import InputError
from ffmem.json_values import Record
from ffmem.queries.atlas.points import cells_within, masks_of
from ffmem.queries.find import Found, find
from ffmem.queries.named import NameQuestion
from ffmem.queries.promotes import Promoting, promotes
from ffmem.queries.question import parse_meta
from ffmem.queries.search import SearchResult, search
from ffmem.queries.similar import Similar, similar
from ffmem.queries.table import CellRow, cells
from ffmem.store.collection_cells import selected
from ffmem.store.collection_files import Collections, Kept, other_text
from ffmem.store.collections import Collection, Item, Origin, Query
from ffmem.store.label_rows import Unit
from ffmem.store.reader import Index

if TYPE_CHECKING:
    from ffmem.models.transformer import Transformer

_TYPES: dict[str, type | tuple[type, ...]] = {
    "layer": (str, int), "sort": str, "limit": int, "cells": str, "text": str, "syntax": str, "token": str,
    "suppressed": bool, "label": bool,
    "cell": str, "by": str, "trigger": str, "fires_on": str, "next_token": str, "promotes": str,
    "min_active": (float, int), "max_active": (float, int), "with_model": bool,
    "named": str, "topic": str, "source": str, "grade": str, "meta": str, "within": str, "start": int,
}  # fmt: skip
"""Every argument that a question may have."""
_OF_NAMES = ("named", "source", "grade")
_OF = {
    "atlas": {"by", "within"},
    "cells": {"layer", "sort", "limit", "cells"},
    "find": {
        "trigger", "fires_on", "next_token", "promotes", "layer", "min_active", "max_active", "sort", "limit", "cells",
        "topic", "meta", "within", "start", *_OF_NAMES,
    },
    "promotes": {"token", "suppressed", "layer", "limit", "label", "with_model"},
    "search": {"text", "syntax", "limit"},
    "similar": {"cell", "by", "limit"},
}  # fmt: skip
"""The arguments of each verb whose answer can be saved; all are keywords of the query of that name."""
_NEEDED = {"atlas": "within", "promotes": "token", "search": "text", "similar": "cell"}
_FLAGS = {"next_token": "next"}
NEEDS_MODEL = ("key", "gate-key", "up-key", "value")
"""What cells can be alike in, that an index does not hold."""

Answer = Found | Promoting | SearchResult | Similar | list[CellRow]


@dataclass(frozen=True)
class Refreshed(Record):
    """What a question answers now, beside what a collection holds."""

    name: str
    added: tuple[Item, ...]
    removed: tuple[Item, ...]
    """No longer in the answer, and with nothing said of them."""
    kept: tuple[Item, ...]
    """No longer in the answer, but with notes or tags: they stay."""
    not_here: tuple[Item, ...]
    """Cells that this index does not have."""
    n_same: int
    note: str
    """Whether it was made with another text; empty if not."""
    refreshed: Collection
    """The collection as it would be."""


def units_of(answer: Answer) -> list[Unit]:
    """The cells of an answer, each with the sign that was found."""
    if isinstance(answer, SearchResult):
        return list(dict.fromkeys((one.cell, one.sign) for hit in answer.hits for one in hit.cells or ()))
    if isinstance(answer, Found):
        return [(row.cell, row.sign) for row in answer.rows]
    rows: Iterable[Any] = answer if isinstance(answer, list) else answer.rows
    return [(row.cell, 1) for row in rows]


def query_of(verb: str, arguments: Mapping[str, Any]) -> Query:
    """A question as it is saved: what was left out when it was asked is left out, and so are switches that are off.

    Raises:
        InputError: no such verb, or an argument that it does not have.
    """
    given = {name: value for name, value in arguments.items() if value is not None and value is not False}
    if verb not in _OF:
        raise InputError(
            f"the query is of {verb[:40]!r}", f"Expected one of: {', '.join(_OF)}", "Save the answer again, with --save"
        )
    for name, value in given.items():
        wanted = _TYPES.get(name, ())
        if name not in _OF[verb] or not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
            raise InputError(
                f"the query of {verb} has {name[:40]!r} as {str(value)[:100]!r}",
                f"Expected, with their types, only: {', '.join(sorted(_OF[verb]))}",
                "Save the answer again, with --save",
            )
    if verb in _NEEDED and _NEEDED[verb] not in given:
        raise InputError(
            f"the query of {verb} has no {_NEEDED[verb]}", "Expected it", "Save the answer again, with --save"
        )
    return Query(verb, given)


def as_typed(query: Query | None, folder: str = "DIR") -> str:
    """The command that asks a question; empty if there is none."""
    if query is None:
        return ""
    words = ["ffmem", query.verb, folder]
    first = "" if query.verb == "atlas" else _NEEDED.get(query.verb, "")  # whose outline is an option
    words += [str(query.arguments[first])] if first in query.arguments else []
    for name, value in sorted(query.arguments.items()):
        flag = f"--{_FLAGS.get(name, name).replace('_', '-')}"
        if name == "syntax":
            words += [] if value == "words" else [f"--{value}"]
        elif name == "with_model":
            words += ["--model", "MODEL"]
        elif name != first:
            words += [flag] if value is True else [flag, str(value)]
    return shlex.join(words)


def ask(index: Index, query: Query, model: "Transformer | None" = None) -> list[Unit]:
    """The cells that answer a question now.

    Raises:
        InputError: it is none, or this index cannot answer it.
    """
    checked = query_of(query.verb, query.arguments)
    return units_of(_ASK[checked.verb](index, dict(checked.arguments), model))


def needs_model(query: Query) -> bool:
    """Whether vectors are asked about, or all scores, which an index does not hold."""
    return query.arguments.get("by") in NEEDS_MODEL or query.arguments.get("with_model") is True


def _atlas(index: Index, asked: dict[str, Any], _: Any) -> Answer:
    found = cells_within(index, asked.get("by", "values"), asked["within"])
    return cells(index, among=masks_of(index, found), limit=len(found))


def _cells(index: Index, asked: dict[str, Any], _: Any) -> Answer:
    return cells(index, **_among(index, asked))


def _find(index: Index, asked: dict[str, Any], _: Any) -> Answer:
    names = NameQuestion(**{name: asked.pop(name, "") for name in _OF_NAMES})
    meta = parse_meta(asked.pop("meta", ""))
    return find(index, n_triggers=0, names=names, meta=meta, **_among(index, asked))


def _promotes(index: Index, asked: dict[str, Any], model: "Transformer | None") -> Answer:
    with_model = asked.pop("with_model", False)
    return promotes(index, model=model if with_model else None, **asked)


def _search(index: Index, asked: dict[str, Any], _: Any) -> Answer:
    return search(index, with_cells=True, **asked)


def _similar(index: Index, asked: dict[str, Any], model: "Transformer | None") -> Answer:
    return similar(index, model=model, **asked)


_ASK: dict[str, Callable[[Index, dict[str, Any], Any], Answer]] = {
    "atlas": _atlas, "cells": _cells, "find": _find, "promotes": _promotes, "search": _search, "similar": _similar,
}  # fmt: skip


def _among(index: Index, asked: dict[str, Any]) -> dict[str, Any]:
    """Arguments with the cells that a selection names in its place."""
    chosen = asked.pop("cells", None)
    return asked if chosen is None else asked | {"among": selected(index, chosen)}


def save(index: Index, name: str, verb: str, arguments: Mapping[str, Any], answer: Answer) -> Kept:
    """Keep a question with its answer as a collection; the same question again brings it up to date.

    Raises:
        InputError: no valid name, or one that a collection with other cells has.
    """
    asked, units = query_of(verb, arguments), units_of(answer)
    collections = Collections(index)

    def change(before: Collection | None) -> Collection:
        if before is None:
            return Collection(name, collections.origin, tuple(Item(*unit) for unit in units), query=asked)
        if before.query != asked:
            raise InputError(
                f"there is a collection {name} of something else",
                "Expected a new name, or the same question again",
                f"Choose another name, or see it: ffmem collect show {index.folder} {name}",
            )
        return _refreshed(index, before, units).refreshed

    kept = collections.change(name, change)
    assert kept is not None
    return kept


def refresh(index: Index, collection: Collection, model: "Transformer | None" = None) -> Refreshed:
    """What a collection would be if its question were asked now; without one, whether its cells are there.

    Raises:
        InputError: the question is none, or this index cannot answer it.
    """
    if collection.query is not None:
        return _refreshed(index, collection, ask(index, collection.query, model))
    return _refreshed(index, collection, None)


def _refreshed(index: Index, collection: Collection, answer: Iterable[Unit] | None) -> Refreshed:
    here, origin = index.cells, Origin.of(index)
    not_here = tuple(one for one in collection.items if one.cell not in here)
    there = [one for one in collection.items if one.cell in here]
    units = [one.unit for one in there] if answer is None else list(dict.fromkeys(answer))
    before, now = {one.unit for one in there}, set(units)
    added = tuple(Item(*unit) for unit in units if unit not in before)
    gone = [one for one in there if one.unit not in now]
    kept = tuple(one for one in gone if one.notes or one.tags)
    same = [one for one in there if one.unit in now]
    return Refreshed(
        name=collection.name,
        added=added,
        removed=tuple(one for one in gone if one not in kept),
        kept=kept,
        not_here=not_here,
        n_same=len(same),
        note=other_text(collection, origin),
        refreshed=replace(collection, origin=origin, items=(*same, *added, *kept, *not_here)),
    )
