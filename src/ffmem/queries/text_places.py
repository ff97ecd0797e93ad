"""Where in each sentence a text is first complete: from which token on a prefix contains it."""

import time
from dataclasses import dataclass
from itertools import islice

import numpy as np

from ffmem.queries.search import Spans, matching_sentences, read_sentences, scan_sentences
from ffmem.queries.wanted import Wanted, parse_words
from ffmem.store.reader import Index

_AT_ONCE = 20_000
"""Sentences whose text is in memory at a time."""
_ONE_S = 0.2
"""Seconds that an expression may take in one sentence."""
_MOST_SPANS = 50
"""Matches in one sentence that are marked."""


@dataclass(frozen=True)
class TextPlaces:
    """Sentences that have a text, and from where on."""

    sentences: np.ndarray
    """Their ids, ascending; only of those that are indexed."""
    positions: np.ndarray
    """In each, the first token at which all that is asked for has been read, from 0 within the sentence."""
    note: str
    """What was left out; empty if nothing was."""


def is_expression(text: str) -> bool:
    """Whether it is ``/a regular expression/``."""
    return len(text) > 2 and text[0] == text[-1] == "/"


def text_places(index: Index, text: str, *, prefix: bool, time_limit_s: float) -> TextPlaces:
    """The indexed sentences with these words, or that match ``/an expression/``.

    Args:
        index: an opened index.
        text: what is looked for.
        prefix: say also at which token it is complete; False: 0, as anywhere in the sentence will do.
        time_limit_s: seconds for which the text itself may be searched.

    Raises:
        InputError: there is nothing to look for, or no such expression.

    Cost: the text of each sentence that matches is read, some microseconds each; without ``prefix`` none is.
    """
    n_indexed = index.manifest.counts.n_sentences
    if not prefix:
        ids, note = matching_sentences(index, text, time_limit_s)
        ids = ids[ids < n_indexed]
        return TextPlaces(ids, np.zeros(len(ids), dtype=np.int64), note)
    if is_expression(text):
        scan = scan_sentences(index, text[1:-1], None, time_limit_s)
        here = [(number, own, spans) for number, own, spans in scan.found if number < n_indexed]
        deadline = time.monotonic() + time_limit_s
        ends = [_shortest_end(text[1:-1], own, spans[0][1], deadline) if spans else 0 for _, own, spans in here]
        ids = np.array([number for number, _, _ in here], dtype=np.int64)
        sizes = [len(own[:end].encode()) for (_, own, _), end in zip(here, ends, strict=True)]
        return TextPlaces(ids, _tokens_at(index, ids, np.array(sizes, dtype=np.int64)), scan.note)
    wanted, ids, note = _sentences(index, text, time_limit_s)
    ids = ids[ids < n_indexed]
    sizes = [size for first in range(0, len(ids), _AT_ONCE) for size in _read(index, wanted, ids[first:][:_AT_ONCE])]
    return TextPlaces(ids, _tokens_at(index, ids, np.array(sizes, dtype=np.int64)), note)


def match_spans(asked: str, text: str, end: int) -> Spans:
    """Where in the first ``end`` characters of a text stands what is asked for; nothing, if an expression takes too long.

    Raises:
        InputError: there is nothing to look for.
    """
    if is_expression(asked):
        import regex  # takes longer than to look up a cell

        found = regex.compile(asked[1:-1]).finditer(text, 0, end, timeout=_ONE_S)
    else:
        found = parse_words(asked).pattern.finditer(text, 0, end)
    try:
        return tuple(match.span() for match in islice(found, _MOST_SPANS) if match.group())
    except TimeoutError:
        return ()


def _sentences(index: Index, text: str, time_limit_s: float) -> tuple[Wanted, np.ndarray, str]:
    """What was looked for in the end, and where it is."""
    wanted = parse_words(text)
    if not wanted.literals:
        ids = index.text.matching(wanted.query)
        if len(ids):
            return wanted, ids, ""
    reading = read_sentences(index, wanted, time_limit_s)
    return reading.wanted, reading.ids, reading.note


def _read(index: Index, wanted: Wanted, ids: np.ndarray) -> list[int]:
    """Bytes of each sentence up to where it has all that is wanted; the whole of one in which it cannot be made out."""
    searches = [one.search for one in wanted.patterns]
    sizes = []
    for _, text in index.text.alike(ids, ["%"], "text"):
        end = 0
        for search in searches:
            match = search(text)
            end = max(end, match.end() if match else len(text))
        sizes.append(end if text.isascii() else len(text[:end].encode()))
    return sizes


def _shortest_end(pattern: str, text: str, end: int, deadline: float) -> int:
    """The end of the shortest beginning of a text in which an expression matches: one with ``.*`` takes more than it needs.

    When the time is over, the end of the match that was found.
    """
    import regex

    compiled = regex.compile(pattern)  # from its cache
    low, high = 0, end
    try:
        while low < high:
            middle = (low + high) // 2
            left = min(_ONE_S, deadline - time.monotonic())
            if left <= 0:
                return end
            match = compiled.search(text, endpos=middle, timeout=left)
            if match and match.group():
                high = middle
            else:
                low = middle + 1
    except TimeoutError:
        return end
    return high


def _tokens_at(index: Index, ids: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """In each sentence, the first token that ends at or after so many bytes; the last one, if none does."""
    starts, token_end = index.text.sentence_start, index.text.token_end
    first, last = starts[ids].astype(np.int64), starts[ids + 1].astype(np.int64) - 1
    low, high = first.copy(), last.copy()
    for _ in range(int((last - first).max(initial=0)).bit_length()):
        middle = (low + high) // 2
        before = (token_end[middle] < sizes) & (low < high)
        low, high = np.where(before, np.minimum(middle + 1, last), low), np.where(before, high, middle)
    found: np.ndarray = low - first
    return found
