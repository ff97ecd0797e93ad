"""One box for everything: cells by triggers, values, patterns and what people said; sentences by text."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from ffmem.cell import Trigger
from ffmem.errors import InputError
from ffmem.ids import CellId
from ffmem.json_values import JsonObject, fields_to_json
from ffmem.queries.compiled import is_compiled
from ffmem.queries.find import Conditions, FoundCell, Matches, in_all, match_cells, read_ahead
from ffmem.queries.found_table import promoted_by
from ffmem.queries.matches import FindSort, Masks
from ffmem.queries.question import Question, TokenChoice, choose_token, parse_question
from ffmem.queries.question_keys import KEYS, META_HELP, Key
from ffmem.queries.search import SearchResult, search
from ffmem.server.explorer import Explorer
from ffmem.server.limits import REGEX_TIME_S
from ffmem.server.views.said import Said, masks_of, said_of_cells
from ffmem.store.collection_cells import selected
from ffmem.store.reader import Index
from ffmem.studies.geva2021.cell_patterns import CellPattern, cells_with_text, kinds_of_cells, patterns_of

_TOKENS = ("promotes", "fires", "next")
_N_PATTERNS = 3
"""Patterns of a cell that are shown with it."""
Show = Literal["both", "cells", "sentences"]
Parts = Literal["auto", "yes", "no"]
SORTS: dict[FindSort, str] = {
    "auto": "best first",
    "lift": "times the rate of all",
    "triggers": "matching triggers",
    "coefficient": "strength",
    "active": "active fraction",
    "name": "surest name",
    "index": "layer",
}


@dataclass(frozen=True)
class CellHit:
    """A cell that was found, with why."""

    found: FoundCell
    promoted: tuple[str, ...]
    """The first tokens that it promotes with this sign."""
    said: tuple[Said, ...] = ()
    """What people said of it, where that was asked."""
    patterns: tuple[CellPattern, ...] = ()
    """What its triggers share, where that was asked."""
    example: Trigger | None = None
    """Its first trigger, or the first that a pattern is of, where nothing was asked of triggers."""

    def to_json(self) -> JsonObject:
        """As plain JSON values."""
        return fields_to_json(self.found) | fields_to_json(self, "found")


@dataclass(frozen=True)
class SearchView:
    """What was asked, how it was understood, and what was found."""

    text: str
    question: Question | None
    """None if it was not understood."""
    problem: str
    """Why not, or why nothing can be found; empty otherwise."""
    tokens: dict[str, TokenChoice]
    """Tokens that were asked about, by key."""
    cells: tuple[CellHit, ...]
    n_cells: int
    sentences: SearchResult | None
    notes: tuple[str, ...]
    base_rate: float | None = None
    """The share of all indexed positions that match what was asked of triggers."""
    start: int = 0
    """Cells, or sentences, that were passed over."""
    limit: int = 20
    sort: FindSort = "auto"
    show: Show = "both"
    cells_later: bool = False
    """Whether only the sentences are here, and the cells are to be asked for: of a large index they take longer."""
    keys: tuple[Key, ...] = (*KEYS.values(), META_HELP)

    def to_json(self) -> JsonObject:
        """As plain JSON values."""
        return {"q": self.text} | fields_to_json(self, "text", "keys", "cells_later")


@dataclass(frozen=True)
class Asked:
    """A question as far as it was understood."""

    question: Question | None
    tokens: dict[str, TokenChoice]
    problem: str
    """Why it cannot be answered; empty if it can."""


def understood(index: Index, text: str) -> Asked:
    """What was typed, with the tokens that are meant."""
    try:
        question = parse_question(index, text)
    except InputError as error:
        return Asked(None, {}, str(error))
    tokens = {
        key: choose_token(index, asked, key in question.exact)
        for key in _TOKENS
        if (asked := getattr(question, key)) is not None
    }
    unknown = [choice.asked for choice in tokens.values() if choice.token is None]
    told = f"{', '.join(map(repr, unknown))}: no token of this model's vocabulary; perhaps one of those below"
    return Asked(question, tokens, told if unknown else "")


def search_view(
    explorer: Explorer,
    text: str,
    limit: int,
    start: int = 0,
    sort: FindSort = "auto",
    show: Show = "both",
    parts: Parts = "no",
) -> SearchView:
    """See `SearchView`; what is wrong with a question is told beside the box, since it may be half typed."""
    index, asked = explorer.index, understood(explorer.index, text)
    question = asked.question
    view = SearchView(
        text, question, asked.problem, asked.tokens, (), 0, None, (), start=start, limit=limit, sort=sort, show=show
    )
    if question is None or asked.problem or question.cell is not None or question.empty:
        return view
    if show == "both" and not start and question.only_text and in_parts(index, parts):
        view = replace(view, cells_later=True)
    try:
        found = None
        if show != "sentences" and not view.cells_later:
            found = matched(explorer, asked, sort, start + limit)
        sentences = _sentences(index, question, start, limit) if show != "cells" else None
        hits = () if found is None else _hits(explorer, question, found, start, limit)
    except InputError as error:
        return replace(view, problem=str(error))
    notes = dict.fromkeys(one for one in (found.note if found else "", sentences.note if sentences else "") if one)
    return replace(
        view,
        cells=hits,
        n_cells=found.n_found if found else 0,
        sentences=sentences,
        notes=tuple(notes),
        base_rate=found.base_rate if found else None,
    )


def in_parts(index: Index, parts: Parts) -> bool:
    """Whether a page has the sentences first, and its cells come when they are found."""
    return parts == "yes" or (parts == "auto" and is_compiled(index))


def warm_search(explorer: Explorer) -> None:
    """Read once what questions look at, so that the first one need not wait for the disk."""
    read_ahead(explorer.index)
    if explorer.patterns_folder is not None:
        kinds(explorer)


def matched(explorer: Explorer, asked: Asked, sort: FindSort, most: int | None = None) -> Matches:
    """Every cell that answers a question.

    Raises:
        InputError: it asks for what there is not.
    """
    question = asked.question
    assert question is not None
    tokens = {key: choice.token for key, choice in asked.tokens.items()}
    conditions = Conditions(
        trigger=question.trigger,
        fires_on=tokens.get("fires"),
        next_token=tokens.get("next"),
        promotes=tokens.get("promotes"),
        layer=question.layer,
        min_active=question.min_active,
        max_active=question.max_active,
        among=_among(explorer, question),
        names=question.of_names,
        meta=dict(question.meta),
        topic=question.topic or "",
        within=question.within or "auto",
    )
    return match_cells(explorer.index, conditions, sort=sort, most=most, time_limit_s=REGEX_TIME_S)


def _sentences(index: Index, question: Question, start: int, limit: int) -> SearchResult | None:
    """Only where nothing but text is asked about."""
    if not question.only_text:
        return None
    if question.regex:
        return search(index, question.regex, syntax="regex", start=start, limit=limit, time_limit_s=REGEX_TIME_S)
    return search(index, question.words, start=start, limit=limit, time_limit_s=REGEX_TIME_S)


def _hits(explorer: Explorer, question: Question, found: Matches, start: int, limit: int) -> tuple[CellHit, ...]:
    said = said_of_cells(explorer, question.said) if question.said is not None else {}
    return tuple(_hit(explorer, question, one, said) for one in found.rows(start, start + limit))


def _hit(explorer: Explorer, question: Question, one: FoundCell, said: Mapping[CellId, tuple[Said, ...]]) -> CellHit:
    index, patterns = explorer.index, _patterns(explorer, question, one)
    example = None
    if not one.triggers:
        ranks = patterns[0].triggers if patterns else ()
        own = [each for each in index.cell(one.cell, max(ranks, default=0) + 1).triggers if each.sign == one.sign]
        example = next((each for each in own if not ranks or each.rank in ranks), None)
    return CellHit(one, promoted_by(index, one), said.get(one.cell, ()), patterns, example)


def _patterns(explorer: Explorer, question: Question, one: FoundCell) -> tuple[CellPattern, ...]:
    """Those patterns of a cell that were asked for."""
    folder = explorer.patterns_folder
    if question.pattern is None or folder is None:
        return ()
    asked = question.pattern
    layer = explorer.index.cells.layers[explorer.index.cells.place(one.cell)[0]]
    own = [each for each in patterns_of(folder, layer.name, one.cell) or () if each.sign == one.sign]
    plain = asked.replace('"', "").casefold()
    chosen = [
        each
        for each in own
        if asked in (each.kind, each.pattern_class) or plain in each.text.replace('"', "").casefold()
    ]
    return tuple(chosen[:_N_PATTERNS])


def _among(explorer: Explorer, question: Question) -> Masks | None:
    masks: list[Masks] = []
    if question.pattern is not None:
        masks.append(_patterned(explorer, question.pattern))
    if question.said is not None:
        masks.append(masks_of(explorer, said_of_cells(explorer, question.said)))
    if question.collection is not None:
        masks.append(selected(explorer.index, f"@{question.collection}"))
    return in_all(masks) if masks else None


def _patterned(explorer: Explorer, asked: str) -> Masks:
    folder = explorer.patterns_folder
    if folder is None:
        raise InputError(
            f"pattern:{asked} asks for patterns, and none have been looked for",
            "Expected the results of a study beside the index",
            "Run ffmem reproduce on the index, which adds them, or leave pattern: out",
        )
    return kinds(explorer).get(asked) or cells_with_text(folder, explorer.index, asked)


def kinds(explorer: Explorer, wait: bool = True) -> Mapping[str, Masks]:
    """The kinds and classes of patterns that a study has found, each with its cells; none without a study.

    Args:
        explorer: of the index.
        wait: False: none where they have not been read yet.
    """
    folder = explorer.patterns_folder
    if folder is None:
        return {}
    name = f"kinds {folder}"
    if not wait:
        found: Mapping[str, Masks] | None = explorer.ready(name)
        return found or {}
    return explorer.kept(name, lambda: kinds_of_cells(folder, explorer.index))
