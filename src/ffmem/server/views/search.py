"""One box for everything: cells by triggers, values, patterns and what people said; sentences by text."""

from collections.abc import Mapping
from dataclasses import dataclass

from ffmem.annotations.store import cells_with_words
from ffmem.errors import InputError
from ffmem.json_values import JsonObject, fields_to_json
from ffmem.queries.find import Found, FoundCell, Masks, find, in_all, read_ahead
from ffmem.queries.question import KEYS, Question, TokenChoice, choose_token, parse_question
from ffmem.queries.search import SearchResult, search
from ffmem.server.explorer import Explorer
from ffmem.server.limits import REGEX_TIME_S
from ffmem.store.reader import Index
from ffmem.studies.geva2021.cell_patterns import cells_with_text, kinds_of_cells

_TOKENS = ("promotes", "fires", "next")


@dataclass(frozen=True)
class CellHit:
    """A cell that was found, with the first tokens that it promotes with this sign."""

    found: FoundCell
    promoted: tuple[str, ...]

    def to_json(self) -> JsonObject:
        """As plain JSON values."""
        return fields_to_json(self.found) | {"promoted": self.promoted}


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
    keys: tuple[tuple[str, str], ...] = tuple(KEYS.items())

    def to_json(self) -> JsonObject:
        """As plain JSON values."""
        return {"q": self.text} | fields_to_json(self, "text", "keys")


def search_view(explorer: Explorer, text: str, limit: int) -> SearchView:
    """See `SearchView`; what is wrong with a question is told beside the box, since it may be half typed."""
    index = explorer.index
    try:
        question = parse_question(index, text)
    except InputError as error:
        return SearchView(text, None, str(error), {}, (), 0, None, ())
    if question.cell is not None or question.empty:
        return SearchView(text, question, "", {}, (), 0, None, ())
    tokens = {
        key: choose_token(index, asked, key in question.exact)
        for key in _TOKENS
        if (asked := getattr(question, key)) is not None
    }
    unknown = [choice.asked for choice in tokens.values() if choice.token is None]
    if unknown:
        told = f"{', '.join(map(repr, unknown))}: no token of this model's vocabulary; perhaps one of those below"
        return SearchView(text, question, told, tokens, (), 0, None, ())
    try:
        found = _found(explorer, question, {key: choice.token for key, choice in tokens.items()}, limit)
        sentences = _sentences(index, question, limit)
    except InputError as error:
        return SearchView(text, question, str(error), tokens, (), 0, None, ())
    hits = tuple(CellHit(one, _promoted(index, one)) for one in found.rows)
    notes = dict.fromkeys(one for one in (found.note, sentences.note if sentences else "") if one)
    return SearchView(text, question, "", tokens, hits, found.n_found, sentences, tuple(notes))


def warm_search(explorer: Explorer) -> None:
    """Read once what questions look at, so that the first one need not wait for the disk."""
    read_ahead(explorer.index)
    if explorer.patterns_folder is not None:
        _kinds(explorer)


def _found(explorer: Explorer, question: Question, tokens: dict[str, str | None], limit: int) -> Found:
    return find(
        explorer.index,
        trigger=question.trigger,
        fires_on=tokens.get("fires"),
        next_token=tokens.get("next"),
        promotes=tokens.get("promotes"),
        layer=question.layer,
        min_active=question.min_active,
        max_active=question.max_active,
        among=_among(explorer, question),
        limit=limit,
        time_limit_s=REGEX_TIME_S,
    )


def _sentences(index: Index, question: Question, limit: int) -> SearchResult | None:
    """Only where nothing but text is asked about."""
    if question != Question(None, question.words, question.regex, layer=question.layer):
        return None
    if question.regex:
        return search(index, question.regex, syntax="regex", limit=limit, time_limit_s=REGEX_TIME_S)
    return search(index, question.words, limit=limit, time_limit_s=REGEX_TIME_S)


def _promoted(index: Index, one: FoundCell) -> tuple[str, ...]:
    place, row = index.cells.place(one.cell)
    arrays = index.layer(place)
    ids = arrays.promoted_ids if one.sign > 0 else arrays.suppressed_ids
    return index.text.token_strings(ids[row, :6].tolist())


def _among(explorer: Explorer, question: Question) -> Masks | None:
    masks: list[Masks] = []
    if question.pattern is not None:
        masks.append(_patterned(explorer, question.pattern))
    if question.said is not None:
        masks.append(cells_with_words(explorer.index, question.said))
    return in_all(masks) if masks else None


def _patterned(explorer: Explorer, asked: str) -> Masks:
    folder = explorer.patterns_folder
    if folder is None:
        raise InputError(
            f"pattern:{asked} asks for patterns, and none have been looked for",
            "Expected the results of a study beside the index",
            f"Run ffmem reproduce {explorer.index.folder}",
        )
    return _kinds(explorer).get(asked) or cells_with_text(folder, explorer.index, asked)


def _kinds(explorer: Explorer) -> Mapping[str, Masks]:
    folder = explorer.patterns_folder
    assert folder is not None
    return explorer.kept(f"kinds {folder}", lambda: kinds_of_cells(folder, explorer.index))
