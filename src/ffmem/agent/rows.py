"""Answers as short rows of plain values: what a reader needs to go on, and nothing twice."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ffmem.cell import Name, PromotedToken, Trigger
from ffmem.json_values import JsonObject
from ffmem.names.people import History
from ffmem.server.views.cell import CellView
from ffmem.server.views.search import SearchView
from ffmem.server.views.sentence import SentenceView

if TYPE_CHECKING:
    from ffmem.analyses.activation import ActiveCell

BEFORE, AFTER = "⟦", "⟧"
"""Around the token on which a cell fires."""


def name_of(name: Name | None) -> JsonObject:
    """What something is called, and what that rests on; empty without a name."""
    return {} if name is None else {"name": name.text, "name_from": name.mark, "name_is_a_guess": name.is_guess}


def trigger_row(one: Trigger) -> JsonObject:
    """A trigger with its firing token marked in the sentence."""
    return {
        "sign": one.sign,
        "rank": one.rank,
        "coefficient": one.coefficient,
        "text": "".join(one.marked(BEFORE, AFTER)),
        "sentence_id": one.sentence_id,
        "document": one.document.name,
    }


def tokens_row(promoted: Iterable[PromotedToken], n: int) -> list[str]:
    """The first tokens of a list."""
    return [one.token for one in promoted][:n]


def cell_row(view: CellView, triggers: Sequence[Trigger], n_tokens: int) -> JsonObject:
    """A cell, with some of its triggers."""
    cell, statistics = view.cell, view.cell.statistics
    patterns = [
        {"pattern": one.text, "class": one.pattern_class, "frequency": one.frequency} for one in view.patterns or ()
    ]
    return {
        "cell": str(cell.cell),
        "names": [name_of(one) | {"sign": one.sign} for one in cell.names],
        "active_fraction": statistics.active_fraction,
        "maximum": statistics.maximum,
        "minimum": statistics.minimum,
        "promoted": tokens_row(cell.promoted, n_tokens),
        "suppressed": tokens_row(cell.suppressed, n_tokens),
        "triggers": [trigger_row(one) for one in triggers],
        "patterns": patterns,
        "collections": [one.name for one in view.collections],
        "previous": None if view.previous is None else str(view.previous),
        "next": None if view.next is None else str(view.next),
    }


def search_row(view: SearchView) -> JsonObject:
    """What was found: cells, then sentences."""
    cells = [
        {
            "cell": str(one.found.cell),
            "sign": one.found.sign,
            "active_fraction": one.found.active_fraction,
            "n_triggers": one.found.n_triggers,
            "promoted": list(one.promoted),
            "triggers": [trigger_row(trigger) for trigger in one.found.triggers[:2]],
        }
        | name_of(one.found.name)
        for one in view.cells
    ]
    sentences = view.sentences.hits if view.sentences is not None else ()
    return {
        "cells": cells,
        "n_cells": view.n_cells,
        "sentences": [
            {"sentence_id": one.sentence_id, "text": one.text, "n_cells": one.n_cells, "document": one.document.name}
            for one in sentences
        ],
        "notes": list(view.notes),
    }


def sentence_row(view: SentenceView, start: int, limit: int) -> JsonObject:
    """A sentence, and some of the cells that have it among their triggers."""
    cells = [
        {"cell": str(one.cell), "sign": one.sign, "coefficient": one.coefficient, "fires_on": view.tokens[one.position]}
        | name_of(one.name)
        for one in view.cells[start : start + limit]
    ]
    return {
        "sentence_id": view.sentence_id,
        "text": view.text,
        "document": view.document.name,
        "metadata": view.document.metadata,
        "held_out": view.held_out,
        "n_cells": view.n_cells,
        "cells": cells,
    }


def history_row(found: History) -> JsonObject:
    """What was said of a cell, the name that stands first."""
    labels = [
        {
            "text": one.text,
            "source": one.source,
            "author": one.author,
            "note": one.note,
            "made": one.made,
            "is_current": one.is_current,
        }
        for one in (said.label for said in found.labels)
    ]
    return {"cell": str(found.cell), "sign": found.sign, "labels": labels} | name_of(found.name)


def active_row(one: "ActiveCell") -> JsonObject:
    """A cell at a token of a text."""
    before, firing, after = one.trigger or ("", "", "")
    return {
        "cell": str(one.cell),
        "coefficient": one.coefficient,
        "promoted": list(one.promoted[:5]),
        "best_trigger": f"{before}{BEFORE}{firing[1:-1]}{AFTER}{after}" if one.trigger else None,
    } | name_of(one.name)
