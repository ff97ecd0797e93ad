"""Where in each sentence a text is first complete: from which token on a prefix contains it."""

import time
from array import array
from dataclasses import dataclass
from itertools import islice

import numpy as np

from ffmem.queries.compiled import is_compiled
from ffmem.queries.search import Scanner, Spans, matching_sentences, read_sentences, stopped
from ffmem.queries.wanted import Wanted, parse_words
from ffmem.store.reader import Index

_AT_ONCE = 20_000
"""Sentences whose text is in memory at a time, at most."""
_MOST_TOKENS = 1 << 21
"""Tokens of them together, at most, unless one alone has more."""
_ONE_S = 0.2
"""Seconds that an expression may take in one sentence."""
_MOST_SPANS = 50
"""Matches in one sentence that are marked."""


@dataclass(frozen=True)
class TextPlaces:
    """Sentences that have a text, and from where on."""

    sentences: np.ndarray
    """Their ids, ascending, uint32; only of those that are indexed."""
    positions: np.ndarray
    """In each, the first token at which all that is asked for has been read, from 0 within the sentence; uint32."""
    note: str
    """What was left out; empty if nothing was."""

    @property
    def n_bytes(self) -> int:
        """In memory."""
        return self.sentences.nbytes + self.positions.nbytes


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

    Cost: the text of each sentence that matches is read, some microseconds each, and 8 bytes are kept of it; without
    ``prefix`` none is read.
    """
    n_indexed = index.manifest.counts.n_sentences
    if not prefix:
        ids, note = matching_sentences(index, text, time_limit_s)
        ids = ids[ids < n_indexed].astype(np.uint32)
        return TextPlaces(ids, np.zeros(len(ids), dtype=np.uint32), note)
    if is_expression(text):
        return _of_expression(index, text[1:-1], n_indexed, time_limit_s)
    wanted, ids, note = _sentences(index, text, time_limit_s)
    ids = ids[ids < n_indexed].astype(np.uint32)
    deadline, positions = time.monotonic() + time_limit_s, np.zeros(len(ids), dtype=np.uint32)
    first = 0
    while first < len(ids):
        some = _next(index, ids[first : first + _AT_ONCE])
        if first and time.monotonic() > deadline:
            told = stopped(time_limit_s, int(some[0]), index.text.n_all_sentences)
            return TextPlaces(ids[:first], positions[:first], f"{note} {told}".strip())
        positions[first : first + len(some)] = _tokens_at(index, some, ends_in(index, wanted, some))
        first += len(some)
    return TextPlaces(ids, positions, note)


def _of_expression(index: Index, pattern: str, n_indexed: int, time_limit_s: float) -> TextPlaces:
    scanner, deadline = Scanner(index, pattern, None, time_limit_s), time.monotonic() + time_limit_s
    found, sizes = array("q"), array("q")
    for number, own, spans in scanner:
        if number < n_indexed:
            end = _shortest_end(pattern, own, spans[0][1], deadline) if spans else 0
            found.append(number)
            sizes.append(len(own[:end].encode()))
    ids, of_each = np.array(found, dtype=np.uint32), np.array(sizes, dtype=np.int64)
    blocks = range(0, len(ids), _AT_ONCE)
    positions = [_tokens_at(index, ids[at : at + _AT_ONCE], of_each[at : at + _AT_ONCE]) for at in blocks]
    return TextPlaces(ids, np.concatenate([np.zeros(0, dtype=np.uint32), *positions]), scanner.note)


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


def _next(index: Index, ids: np.ndarray) -> np.ndarray:
    """The first of some sentences, as far as their text is not too much at a time; at least one."""
    starts, some = index.text.sentence_start, ids.astype(np.int64)
    n_tokens = np.cumsum((starts[some + 1] - starts[some]).astype(np.int64))
    return ids[: max(1, int(np.searchsorted(n_tokens, _MOST_TOKENS, side="right")))]


def ends_in(index: Index, wanted: Wanted, ids: np.ndarray) -> np.ndarray:
    """Bytes of each sentence up to where it has all that is wanted; the whole of one in which it cannot be made out."""
    if not is_compiled(index) or not wanted.is_ascii:
        return np.array(_read(index, wanted, ids))
    from ffmem.queries.text_kernel import first_ends  # takes longer than a whole question of a small index

    data, ends = np.frombuffer(index.text.utf8(ids), dtype=np.uint8), np.zeros(len(ids), dtype=np.int64)
    for word in wanted.words:
        first_ends(data, np.frombuffer(b"\0".join(word.lower().encode().split()), dtype=np.uint8), True, ends)
    for one in wanted.literals:
        first_ends(data, np.frombuffer(one.text.lower().encode(), dtype=np.uint8), False, ends)
    others = np.flatnonzero(ends < 0)
    ends[others] = _read(index, wanted, ids[others])
    return ends


def _read(index: Index, wanted: Wanted, ids: np.ndarray) -> list[int]:
    """The same, sentence by sentence."""
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
    """In each sentence, the first token that ends at or after so many bytes; the last one, if none does; uint32."""
    starts, token_end = index.text.sentence_start, index.text.token_end
    first, last = starts[ids].astype(np.int64), starts[ids.astype(np.int64) + 1].astype(np.int64) - 1
    low, high = first.copy(), last.copy()
    for _ in range(int((last - first).max(initial=0)).bit_length()):
        middle = (low + high) // 2
        before = (token_end[middle] < sizes) & (low < high)
        low, high = np.where(before, np.minimum(middle + 1, last), low), np.where(before, high, middle)
    found: np.ndarray = (low - first).astype(np.uint32)
    return found
