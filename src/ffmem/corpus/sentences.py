"""Documents -> sentences, as exact pieces of the text with their place in it."""

from collections.abc import Iterator
from typing import NamedTuple

from sentencex import get_sentence_boundaries

from ffmem.corpus.lines import WHITE_SPACE, blank_lines, is_blank, lines_of


class Sentence(NamedTuple):
    """A piece of a document, without white space around it unless it is a window."""

    text: str
    start_byte: int
    """Where it begins in the document's UTF-8 bytes."""


def split_sentences(text: str, how: str, language: str = "en") -> Iterator[Sentence]:
    """The sentences of a document, in order; what lies between them is white space.

    Args:
        text: the document.
        how: "sentences" by the rules of `sentencex`, where a blank line always ends one; "lines" at line ends; "windows":
            one piece, white space included, which is cut when its tokens are known.
        language: whose abbreviations and marks are used.
    """
    if how == "windows":
        if not is_blank(text):
            yield Sentence(text, 0)
        return
    pieces = lines_of(text) if how == "lines" else _sentence_pieces(text, language)
    at = 0
    is_ascii = text.isascii()
    for piece in pieces:
        stripped = piece.strip(WHITE_SPACE)
        if stripped:
            lead = piece[: len(piece) - len(piece.lstrip(WHITE_SPACE))]
            yield Sentence(stripped, at + (len(lead) if is_ascii else len(lead.encode())))
        at += len(piece) if is_ascii else len(piece.encode())


def _sentence_pieces(text: str, language: str) -> Iterator[str]:
    """Pieces that join to the text again."""
    start = 0
    for end in [*blank_lines(text), len(text)]:
        paragraph = text[start:end]
        place = 0
        for boundary in get_sentence_boundaries(language, paragraph):
            yield paragraph[place : boundary["end_index"]]
            place = boundary["end_index"]
        yield paragraph[place:]
        start = end
