"""Sentences by their text, and the cells that they trigger."""

import re
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, get_args

import numpy as np

from ffmem.cell import Document
from ffmem.errors import InputError
from ffmem.json_values import Record
from ffmem.markup import captioned
from ffmem.queries.inverted import n_cells_of_sentences
from ffmem.queries.names import storable
from ffmem.queries.remembered import Remembered
from ffmem.queries.wanted import Wanted, literal, parse_words
from ffmem.store.reader import Index, SentenceCell
from ffmem.store.text import MARKS

Syntax = Literal["words", "literal", "raw", "regex"]
TIME_LIMIT_S = 10.0
"""Default limit of a search that reads the text itself."""
_RANKED = 10_000
"""Most matches that are ranked; scoring takes microseconds each."""
_AT_ONCE = 10_000
"""Sentences read at a time where the text itself is searched."""

Spans = tuple[tuple[int, int], ...]
_Hit = tuple[int, float | None, Spans]


@dataclass(frozen=True)
class SentenceHit(Record):
    """A sentence that was found."""

    sentence_id: int
    text: str
    spans: Spans
    """The parts that match: first character and character after the last."""
    score: float | None
    """BM25, larger is better; None where the text itself was searched."""
    n_cells: int
    """Cells that have it among their triggers."""
    cells: tuple[SentenceCell, ...] | None
    """These cells, if they were asked for."""
    n_occurrences: int
    held_out: bool
    """Held-out sentences are found too; they are no cell's trigger."""
    document: Document


@dataclass(frozen=True)
class SearchResult(Record):
    """The sentences that were found, and how much was searched."""

    hits: tuple[SentenceHit, ...]
    n_matches: int
    """Sentences known to match, those beyond the limit included."""
    n_searched: int
    """Sentences that were searched for these; with a regular expression, up to the last one needed."""
    n_sentences: int
    """Sentences there are, held-out ones included."""
    note: str
    """What was left out, and how to get it; empty if nothing was."""
    sought: str
    """How the text was looked for, and so what is not found."""

    def _repr_html_(self) -> str:
        """For notebooks."""
        rows = [(str(hit.sentence_id), str(hit.n_cells), marked(hit), hit.document.name) for hit in self.hits]
        return captioned(f"{self.n_matches:,} matches. {self.note}", ("sentence", "cells", "text", "document"), rows)


def marked(hit: SentenceHit, before: str = "[", after: str = "]") -> str:
    """The text of a hit with marks around each part that matches."""
    pieces, last = [], 0
    for start, end in hit.spans:
        pieces += [hit.text[last:start], before, hit.text[start:end], after]
        last = end
    return "".join([*pieces, hit.text[last:]])


def search(
    index: Index,
    text: str,
    *,
    syntax: Syntax = "words",
    with_cells: bool = False,
    start: int = 0,
    limit: int = 20,
    time_limit_s: float = TIME_LIMIT_S,
) -> SearchResult:
    """Sentences that contain a text, with the number of cells that each of them triggers.

    Args:
        index: an opened index.
        text: what to look for.
        syntax: "words": sentences with all these words, in any order and case; words in double quotes stand together. What
            has marks or symbols, or is of a script without spaces, is looked for as it stands, also within words; so are all
            words if no sentence has them as whole words. "literal": all of the text as it stands, in any case of its letters.
            "raw": the query syntax of SQLite's FTS5. "regex": a regular expression of the package ``regex``.
        with_cells: also give the cells.
        start: so many sentences are passed over first.
        limit: at most this many sentences. Whole words: the best by BM25, equal ones by id. Otherwise: the first ones.
        time_limit_s: seconds for which the text itself may be searched; then the result says how far it came.

    Raises:
        InputError: nothing to look for, or not the syntax.
    """
    if syntax not in get_args(Syntax):
        raise InputError(f"syntax is {syntax!r}", f"Expected one of: {', '.join(get_args(Syntax))}", 'Write "words"')
    start, limit = max(start, 0), max(limit, 0)
    shown = slice(start, start + limit)
    if syntax == "regex":
        scan = scan_sentences(index, text, shown.stop, time_limit_s)
        hits: list[_Hit] = [(number, None, spans) for number, _, spans in scan.found]
        told = (scan.note, "as a regular expression")
        return _result(index, hits[shown], len(hits), scan.n_searched, told, with_cells)
    if syntax == "raw":
        return _ranked(index, storable(text), shown, with_cells, "by a query of FTS5")
    wanted = literal(text) if syntax == "literal" else parse_words(text)
    if not wanted.literals:
        found = _ranked(index, wanted.query, shown, with_cells, _WHOLE)
        if found.n_matches:
            return found
    reading = read_sentences(index, wanted, time_limit_s)
    ids = reading.ids[shown].tolist()
    hits = [(number, None, _spans(reading.wanted, index.text.sentence(number).text)) for number in ids]
    told = (reading.note, _sought(reading.wanted))
    return _result(index, hits, len(reading.ids), reading.n_searched, told, with_cells)


_WHOLE = "as whole words; --literal finds them within longer words too"


def _sought(wanted: Wanted) -> str:
    if not wanted.words:
        return "exactly as written, within words too"
    return (
        f"{' '.join(wanted.words)} as whole words, {' '.join(one.text for one in wanted.literals)} exactly as written"
    )


@dataclass(frozen=True)
class _Ranking:
    """Matches by BM25, the best first; of many the first."""

    ids: np.ndarray
    scores: np.ndarray
    n_matches: int

    @property
    def n_bytes(self) -> int:
        """In memory."""
        return self.ids.nbytes + self.scores.nbytes


_rankings: Remembered[_Ranking] = Remembered()


def _rank(index: Index, query: str) -> _Ranking:
    ids = index.text.matching(query, _RANKED + 1)
    last = int(ids[_RANKED - 1]) if len(ids) > _RANKED else index.text.n_all_sentences
    return _Ranking(*index.text.ranked(query, last), len(ids))


def _ranked(index: Index, query: str, shown: slice, with_cells: bool, sought: str) -> SearchResult:
    found = _rankings.get(index, query, lambda: _rank(index, query))
    ids, scores = found.ids[shown].tolist(), found.scores[shown].tolist()
    hits: list[_Hit] = [
        (number, score, _unmark(index.text.marked(query, number))) for number, score in zip(ids, scores, strict=True)
    ]
    note = ""
    if found.n_matches > _RANKED:
        note = f"More than {_RANKED:,} sentences match: the best of the first {_RANKED:,} are shown. Add words."
    return _result(index, hits, found.n_matches, index.text.n_all_sentences, (note, sought), with_cells)


def matching_sentences(index: Index, text: str, time_limit_s: float = TIME_LIMIT_S) -> tuple[np.ndarray, str]:
    """Ids of all sentences with these words, or, for a text ``/.../``, that match an expression; and what was left out."""
    if len(text) > 2 and text[0] == text[-1] == "/":
        scanner = Scanner(index, text[1:-1], None, time_limit_s)
        return np.array(array("q", (number for number, _, _ in scanner)), dtype=np.int64), scanner.note
    wanted = parse_words(text)
    if not wanted.literals:
        ids = index.text.matching(wanted.query)
        if len(ids):
            return ids, ""
    reading = read_sentences(index, wanted, time_limit_s)
    return reading.ids, reading.note


@dataclass(frozen=True)
class Reading:
    """What was found in the text itself, in corpus order."""

    wanted: Wanted
    """What was looked for in the end."""
    ids: np.ndarray
    n_searched: int
    note: str


def read_sentences(index: Index, wanted: Wanted, time_limit_s: float) -> Reading:
    """Sentences with everything that is wanted, as far as the time allows; words that no sentence has, within longer ones.

    Cost: a million sentences take some tenths of a second; those that have the words alone, where some are asked for.
    """
    whole = index.text.matching(wanted.query) if wanted.words else None
    if wanted.literals and (whole is None or len(whole)):
        found = _read(index, wanted, whole, time_limit_s)
        if len(found.ids) or not wanted.words:
            return found
    found = _read(index, wanted.anywhere, None, time_limit_s)
    if not len(found.ids):
        return found
    told = f"No sentence has {' '.join(wanted.words)} as whole words: these have it within longer words."
    return replace(found, note=f"{told} {found.note}".strip())


def _read(index: Index, wanted: Wanted, among: np.ndarray | None, time_limit_s: float) -> Reading:
    deadline, n = time.monotonic() + time_limit_s, index.text.n_all_sentences
    likes = [one.like for one in wanted.literals]
    checks = [one.pattern for one in wanted.literals if not one.is_exact]
    ids = array("q")
    for first in range(0, n, _AT_ONCE):
        if time.monotonic() > deadline:
            return Reading(wanted, np.array(ids, dtype=np.int64), first, stopped(time_limit_s, first, n))
        some: range | np.ndarray = range(first, min(first + _AT_ONCE, n))
        if among is not None:
            begin, end = np.searchsorted(among, (first, first + _AT_ONCE))
            some = among[begin:end]
        found = index.text.alike(some, likes, "text" if checks else "id")
        ids.extend(number for number, text in found if all(check.search(text) for check in checks))
    return Reading(wanted, np.array(ids, dtype=np.int64), n, "")


def _spans(wanted: Wanted, text: str) -> Spans:
    return tuple(match.span() for match in wanted.pattern.finditer(text))


def _unmark(text: str) -> Spans:
    """Where the parts between the marks lie in the text without marks."""
    start, end = MARKS
    pieces = re.split(f"[{start}{end}]", text)
    ends = np.cumsum([len(piece) for piece in pieces]).tolist()
    return tuple(zip(ends[0:-1:2], ends[1::2], strict=False))


@dataclass(frozen=True)
class Scan:
    """What a regular expression found, in corpus order."""

    found: list[tuple[int, str, Spans]]
    n_searched: int
    note: str


class Scanner:
    """Reads sentences one after the other, and gives those that match a regular expression, as far as the time allows.

    Args:
        index: an opened index.
        pattern: the expression.
        limit: so many are enough; None: all.
        time_limit_s: seconds.

    Raises:
        InputError: no such expression.
    """

    def __init__(self, index: Index, pattern: str, limit: int | None, time_limit_s: float) -> None:
        import regex  # takes longer than to look up a cell

        try:
            self._compiled = regex.compile(pattern)
        except regex.error as error:
            raise InputError(
                f"the regular expression {pattern!r} is not understood: {error}",
                "Expected the syntax of Python's re, or of the package regex",
                "Put a backslash before characters that are meant literally",
            ) from error
        self._index, self._limit, self._time_limit_s = index, limit, time_limit_s
        self._literal = storable(required_literal(pattern))
        self.n_searched = index.text.n_all_sentences
        self.note = ""
        """Why it stopped before the end, if it did; known when all is read."""

    def __iter__(self) -> Iterator[tuple[int, str, Spans]]:
        deadline, n, n_found = time.monotonic() + self._time_limit_s, self._index.text.n_all_sentences, 0
        for first in range(0, n, _AT_ONCE):
            for number, text in self._index.text.texts(first, min(first + _AT_ONCE, n), self._literal):
                if self._limit is not None and n_found >= self._limit:
                    self.n_searched, self.note = number, f"The first {self._limit:,} are shown, in corpus order."
                    return
                try:
                    left = deadline - time.monotonic()
                    matches = list(self._compiled.finditer(text, timeout=left)) if left > 0 else None
                except TimeoutError:
                    matches = None
                if matches is None:
                    self._stop(number, n)
                    return
                if matches:
                    n_found += 1
                    yield number, text, tuple(match.span() for match in matches if match.group())
            if time.monotonic() > deadline and first + _AT_ONCE < n:
                self._stop(first + _AT_ONCE, n)
                return

    def _stop(self, n_searched: int, n: int) -> None:
        self.n_searched, self.note = n_searched, stopped(self._time_limit_s, n_searched, n)


def scan_sentences(index: Index, pattern: str, limit: int, time_limit_s: float) -> Scan:
    """Sentences that match a regular expression: the first ``limit``, as far as the time allows."""
    scanner = Scanner(index, pattern, limit, time_limit_s)
    found = list(scanner)
    return Scan(found, scanner.n_searched, scanner.note)


def stopped(time_limit_s: float, n_searched: int, n: int) -> str:
    """What to say of a search that its time ended."""
    return (
        f"Stopped after {time_limit_s:g} s with {n_searched:,} of {n:,} sentences searched: "
        "a larger --time-limit searches the rest."
    )


_UNKNOWN = re.compile(r"[|()\[\]{}]|\\[^bBdDwWsS.^$*+?/\"' -]")
"""What makes an expression too hard to say which text every match contains."""


def required_literal(pattern: str) -> str:
    """The longest text that every match of an expression is seen to contain; empty if the expression is not simple."""
    if _UNKNOWN.search(pattern):
        return ""
    runs = [""]
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    for part, following in pairwise([*parts, ""]):
        plain = part[1:] if len(part) == 2 and not part[1].isalpha() else part
        if part in (".", "^", "$", "*", "+", "?") or len(plain) == 2 or following in ("*", "?"):
            runs.append("")
        else:
            runs[-1] += plain
    return max(runs, key=len)


def _result(
    index: Index,
    found: list[_Hit],
    n_matches: int,
    n_searched: int,
    told: tuple[str, str],
    with_cells: bool,
) -> SearchResult:
    counts = n_cells_of_sentences(index, np.array([number for number, _, _ in found], dtype=np.int64))
    hits = []
    for (number, score, spans), n_cells in zip(found, counts.tolist(), strict=True):
        row = index.text.sentence(number)
        document = index.text.document(row.document_id)
        hits.append(
            SentenceHit(
                sentence_id=number,
                text=row.text,
                spans=spans if score is None or not set(MARKS) & set(row.text) else (),
                score=score,
                n_cells=n_cells,
                cells=tuple(index.cells_of_sentence(number)) if with_cells else None,
                n_occurrences=row.n_occurrences,
                held_out=row.held_out,
                document=Document(document.id, document.name, document.metadata),
            )
        )
    return SearchResult(tuple(hits), n_matches, n_searched, index.text.n_all_sentences, *told)
