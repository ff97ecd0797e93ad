"""The filter panel of the search page: a question in fields, and what each may be."""

from dataclasses import dataclass

from ffmem.json_values import JsonObject
from ffmem.queries.documents import metadata_of
from ffmem.queries.question import Question, part_of_question
from ffmem.queries.question_keys import KEYS, META
from ffmem.server.explorer import Explorer
from ffmem.server.views.search import SORTS, SearchView, kinds
from ffmem.store.collection_files import Collections
from ffmem.store.label_rows import GRADES, SOURCES

_MOST_OFFERED = 300
"""Values that a field of the panel lists; more can be typed."""


@dataclass(frozen=True)
class SearchForm:
    """What stands in each field of the panel."""

    words: str
    """Words, or an expression between slashes."""
    values: dict[str, str]
    """By key; empty where nothing is asked."""
    meta: tuple[tuple[str, str], ...]
    """Fields of the documents' metadata with what they are to be, and one empty row."""
    fields: tuple[str, ...]
    """Fields that documents have."""
    topics: tuple[str, ...]
    collections: tuple[str, ...]
    patterns: tuple[str, ...]
    layers: tuple[str, ...]
    examples: dict[str, str]
    """By key, a question that this index can answer."""
    sources: tuple[str, ...] = (*SOURCES, "guess")
    grades: tuple[str, ...] = GRADES

    @property
    def n_asked(self) -> int:
        """Fields in which something stands, words not counted."""
        return sum(map(bool, self.values.values())) + len(self.meta) - 1


def search_form(explorer: Explorer, question: Question | None) -> SearchForm:
    """See `SearchForm`; a question that was not understood fills in nothing."""
    metadata = metadata_of(explorer.index)
    topics = metadata.fields[metadata.topic_field].values if metadata.topic_field else ()
    return SearchForm(
        words=(question.trigger or "") if question else "",
        values={key: _value(question, key) for key in KEYS},
        meta=(*(question.meta if question else ()), ("", "")),
        fields=tuple(metadata.fields)[:_MOST_OFFERED],
        topics=topics[:_MOST_OFFERED],
        collections=tuple(Collections(explorer.index).names()),
        patterns=tuple(sorted(kinds(explorer, wait=not explorer.warming))),
        layers=tuple(layer.name for layer in explorer.index.cells.layers),
        examples=_examples(explorer),
    )


def search_context(explorer: Explorer, view: SearchView) -> JsonObject:
    """What the page of a search needs."""
    parts = parts_of(view.question) if view.question else ()
    return {"view": view, "form": search_form(explorer, view.question), "parts": parts, "sorts": SORTS}


def _examples(explorer: Explorer) -> dict[str, str]:
    metadata, index = metadata_of(explorer.index), explorer.index
    found = {key: one.example for key, one in KEYS.items()} | {"layer": f"layer:{index.cells.layers[-1].layer}"}
    collections = Collections(index).names()
    found["in"] = part_of_question("in", collections[0]) if collections else ""
    found["pattern"] = "" if explorer.patterns_folder is None else found["pattern"]
    found["topic"] = found["meta.FIELD"] = ""
    if metadata.topic_field:
        found["topic"] = part_of_question("topic", metadata.fields[metadata.topic_field].values[0])
    for name, field in metadata.fields.items():
        if name != metadata.topic_field and len(field.values) < metadata.n_documents / 2:
            found["meta.FIELD"] = part_of_question(META + name, field.values[0])
            break
    return found


@dataclass(frozen=True)
class Part:
    """A part of a question."""

    typed: str
    """As it stands in the box."""
    rest: str
    """The question without it."""


def parts_of(question: Question) -> tuple[Part, ...]:
    """The parts of a question, each to be taken away."""
    typed = [question.trigger or ""]
    typed += [
        part_of_question(key, value, exact=key in question.exact) for key in KEYS if (value := _value(question, key))
    ]
    typed += [part_of_question(META + name, value) for name, value in question.meta]
    typed = [one for one in typed if one]
    return tuple(Part(one, " ".join(typed[:i] + typed[i + 1 :])) for i, one in enumerate(typed))


def _value(question: Question | None, key: str) -> str:
    if question is None:
        return ""
    if key == "active":
        low, high = ("" if one is None else f"{one:g}" for one in (question.min_active, question.max_active))
        return f"{low}..{high}" if low or high else ""
    return str(getattr(question, "collection" if key == "in" else key) or "")
