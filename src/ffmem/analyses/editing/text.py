"""The text that an edit is made with, and other text that it is held against: documents take turns."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from ffmem.corpus.documents import Document
from ffmem.errors import InputError
from ffmem.models.inputs import longest_input, tokenize
from ffmem.models.transformer import Transformer

_MOST_DOCUMENTS = 4_000
_MOST_CHARACTERS = 20_000
"""Of a document that is read: more would be cut anyway."""
Part = Literal["own", "held-out"]
"""Documents with an even number, for what an edit is made with; those with an odd one, for what it is held against."""


@dataclass(frozen=True)
class Window:
    """A stretch of one document."""

    document: int
    ids: tuple[int, ...]
    """Special tokens included."""
    first: int
    """Where its own tokens begin."""


def windows(
    model: Transformer, documents: Iterable[Document], part: Part, *, n_tokens: int, length: int
) -> list[Window]:
    """Stretches of documents, the first of each before the second of any, until there are enough tokens.

    Args:
        model: whose tokens.
        documents: read from the first on; the even and the odd ones are for different uses.
        part: which of them.
        n_tokens: as many as are wanted; fewer come back where there are no more.
        length: most tokens of a stretch.

    Raises:
        InputError: there is no text in these documents.
    """
    before, after = model.special_tokens("auto")
    length = max(2, min(length, longest_input(model) - len(before) - len(after)))
    found: list[Window] = []
    total = 0
    for document, own in _rounds(model, documents, part, length, -(-n_tokens // length)):
        some = own[: n_tokens - total]
        if len(some) >= 2:
            found.append(Window(document, (*before, *some, *after), len(before)))
            total += len(some)
        if total >= n_tokens - 1:
            break
    if not found:
        raise InputError(
            "the corpus has no text for what is " + ("measured" if part == "held-out" else "learned from it"),
            "Expected at least two documents of some words: the odd ones are held out",
            "Name a larger corpus, for example --corpus topics",
        )
    return found


def _rounds(
    model: Transformer, documents: Iterable[Document], part: Part, length: int, wanted: int
) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Tokens of each document's first stretch, then of the second ones, ..."""
    texts: list[tuple[int, str]] = []
    for number, document in enumerate(documents):
        if number % 2 == (part == "held-out") and document.text.strip():
            texts.append((number, document.text[:_MOST_CHARACTERS]))
        if len(texts) >= min(wanted * 2, _MOST_DOCUMENTS):
            break
    tokens: dict[int, tuple[int, ...]] = {}
    for first in range(0, _MOST_CHARACTERS, length):
        some = False
        for number, text in texts:
            if number not in tokens:
                tokens[number] = tokenize(model, text).ids
            own = tokens[number][first : first + length]
            if len(own) >= 2:
                some = True
                yield number, own
        if not some:
            return
