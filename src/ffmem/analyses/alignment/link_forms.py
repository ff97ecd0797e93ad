"""The forms that files of links have, each read into the same plain record; which words a link may name is not known here.

A file has one form throughout, which its first line with something in it shows:

- a line for each pair, of links such as ``3-4``, with marks (``3p4``, ``3?4``, ``3-4S``, ``3-4P``) and scores (``3-4:0.9``,
  ``3-4/0.9``, ``3-4|0.9``, ``3-4-0.9``), perhaps after the number of the line, or between the texts and a score, as fast_align
  writes them (``source ||| target ||| 3-4 ||| -12.3``);
- a line for each link, ``pair source target``, perhaps with S or P and a confidence, as in the shared task of 2003;
- three lines for each pair, as GIZA++ writes them (``.A3.final``).

Blanks and tabs part what stands in a line, and nothing else does. Lines that begin with ``#`` are comments.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ffmem.analyses.alignment.pairs import same_length, split_words
from ffmem.errors import InputError

_NUMBER = r"[0-9]{1,9}"
_SCORE = r"-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_LINK = re.compile(
    rf"(?P<first>{_NUMBER})(?P<kind>[-p?])(?P<second>{_NUMBER})(?P<mark>[SP]?)(?:(?P<sign>[-:/|])(?P<score>{_SCORE}))?"
)
_ROW = re.compile(rf"({_NUMBER})[ \t]+({_NUMBER})[ \t]+({_NUMBER})(?:[ \t]+([SP]))?(?:[ \t]+{_SCORE})?")
_BARS = "|||"
_GIZA = re.compile(rf"# Sentence pair \(({_NUMBER})\) source length ({_NUMBER}) target length ({_NUMBER})\b.*")
_GIZA_WORD = re.compile(rf"(?P<word>[^ \t]+)[ \t]+\(\{{(?P<positions>(?:[ \t]+{_NUMBER})*)[ \t]+\}}\)(?:[ \t]+|$)")


@dataclass(frozen=True)
class WrittenLink:
    """A link as its file has it."""

    pair: int
    """From 0."""
    line: int
    """From 1."""
    text: str
    first: int
    """The number that stands first, by the file's own count."""
    second: int
    sure: bool


@dataclass(frozen=True)
class WrittenPair:
    """What a file says about the text of a pair, to be held against that text."""

    pair: int
    """From 0."""
    line: int
    """From 1."""
    first: tuple[str, ...]
    """The words that the first numbers count."""
    second: tuple[str, ...]


@dataclass(frozen=True)
class WrittenLinks:
    """All links of a file."""

    links: list[WrittenLink]
    texts: list[WrittenPair]
    """Empty if the file has links alone."""
    base: int | None
    """The number of the first word, where the form says it; else None."""


def parse_links(path: str | Path, lines: Sequence[str], n_pairs: int) -> WrittenLinks:
    """The links of a file.

    Args:
        path: for messages.
        lines: of the file.
        n_pairs: pairs that the text has.

    Raises:
        InputError: a line has no such form, or the lines are not those of so many pairs; the message names file and line.
    """
    own = [(number, line.strip(" \t")) for number, line in enumerate(lines, 1)]
    number, begin = next(((number, line) for number, line in own if line), (1, ""))
    if begin.startswith("# Sentence pair"):
        return _parse_giza(path, own, n_pairs)
    # a text between bars may begin with anything
    own = [(number, line) for number, line in own if not line.startswith("#") or _BARS in line]
    number, begin = next(((number, line) for number, line in own if line), (1, ""))
    if _BARS not in begin and begin.startswith(("{", "[", "(")):
        raise InputError(
            f"{path}, line {number}: it begins with {begin[0]!r}, like JSON or a Python list",
            "Expected a line for each pair, with links such as 3-4 and blanks between them",
            "Write each link as i-j, and the links of each pair on a line of their own",
        )
    if _ROW.fullmatch(begin):
        return WrittenLinks([_row(path, number, line, n_pairs) for number, line in own if line], [], None)
    return _parse_lines(path, own, n_pairs)


def _parse_lines(path: str | Path, own: list[tuple[int, str]], n_pairs: int) -> WrittenLinks:
    links: list[WrittenLink] = []
    texts: list[WrittenPair] = []
    while len(own) > n_pairs and not own[-1][1]:
        own = own[:-1]  # empty lines behind the last pair say nothing
    begin = next((line for _, line in own if line), "")
    numbered = _BARS not in begin and re.fullmatch(rf"({_NUMBER})(?:[ \t].*)?", begin) is not None
    offset: int | None = None
    for pair, (number, line) in enumerate(own):
        match = re.fullmatch(rf"({_NUMBER})(?:[ \t]+(.*))?", line) if numbered else None
        if numbered:
            offset = int(match[1]) - pair if match is not None and offset is None else offset
            if match is None or int(match[1]) - pair != offset:
                raise InputError(
                    f"{path}, line {number}: {line[:60]!r} does not begin with the number of the line",
                    "Expected a number before the links of each line, one more than on the line before",
                    "Correct the line, or remove the numbers from all lines",
                )
        written = (match[2] or "") if match is not None else line
        if _BARS in written:
            written, text = _between_bars(path, number, written, pair)
            texts += [] if text is None else [text]
        links += [_link(path, number, pair, one) for one in split_words(written)]
    same_length(path, own, "the text", range(n_pairs))
    return WrittenLinks(links, texts, None)


def _between_bars(path: str | Path, number: int, line: str, pair: int) -> tuple[str, WrittenPair | None]:
    """The links of a line such as fast_align writes with scores, and its texts if it has them."""
    fields = [field.strip(" \t") for field in line.split(_BARS)]
    scores = fields[1:] if len(fields) == 2 else fields[3:]
    if len(fields) > 4 or not all(re.fullmatch(_SCORE, score) for score in scores):
        raise InputError(
            f"{path}, line {number}: {line[:60]!r} is not a line of links with a score",
            "Expected links ||| score, or source ||| target ||| links, and perhaps ||| score",
            "Correct the line, or give a file that has links alone",
        )
    if len(fields) == 2:
        return fields[0], None
    return fields[2], WrittenPair(pair, number, tuple(split_words(fields[0])), tuple(split_words(fields[1])))


def _link(path: str | Path, number: int, pair: int, text: str) -> WrittenLink:
    match = _LINK.fullmatch(text)
    if match is None or (match["kind"] != "-" and match["mark"]):
        raise InputError(
            f"{path}, line {number}: {text[:60]!r} is not a link",
            "Expected links such as 3-4 (sure), 3p4 or 3?4 (possible), 3-4S, 3-4P, perhaps with a score: 3-4:0.9, 3-4/0.9, "
            "3-4|0.9 or 3-4-0.9; blanks or tabs between them; or a line for each link: pair source target",
            "Correct the line, or write the links in one of these forms",
        )
    score, sign = match["score"], match["sign"]
    if score is not None and (float(score) > 1 or (sign == "-" and (score.isdigit() or float(score) < 0))):
        raise InputError(
            f"{path}, line {number}: {text[:60]!r} has {score} where only a score may stand",
            "Expected a probability such as 0.9 or its logarithm, and after - one with a decimal point: three whole numbers "
            "do not show which two are the link",
            "Write the links as 3-4, or with scores as 3-4:0.9",
        )
    sure = match["kind"] == "-" and match["mark"] != "P"
    return WrittenLink(pair, number, text, int(match["first"]), int(match["second"]), sure)


def _row(path: str | Path, number: int, line: str, n_pairs: int) -> WrittenLink:
    match = _ROW.fullmatch(line)
    if match is None or not 1 <= int(match[1]) <= n_pairs:
        raise InputError(
            f"{path}, line {number}: {line[:60]!r} is not a link of this text",
            f"Expected the number of a pair, from 1 to {n_pairs:,}, two words, and perhaps S or P and a confidence",
            "Correct the line, or give the text that the links belong to",
        )
    return WrittenLink(int(match[1]) - 1, number, line, int(match[2]), int(match[3]), match[4] != "P")


def _parse_giza(path: str | Path, own: list[tuple[int, str]], n_pairs: int) -> WrittenLinks:
    """Lines of three: a head, the second text, and the words of the first, each with the positions of its links."""
    while own and not own[-1][1]:
        own = own[:-1]
    links: list[WrittenLink] = []
    texts: list[WrittenPair] = []
    seen: dict[int, int] = {}
    for start in range(0, len(own), 3):
        number, head = own[start]
        match = _GIZA.fullmatch(head)
        if match is None or start + 2 >= len(own):
            raise _no_giza(path, number, head)
        pair = int(match[1]) - 1
        if not 0 <= pair < n_pairs or pair in seen:
            raise InputError(
                f"{path}, line {number}: it is about pair {pair + 1:,}"
                + (f", and so is line {seen[pair]}" if pair in seen else ""),
                f"Expected each pair once, numbered from 1 to {n_pairs:,}, the pairs of the text",
                "Give the text that the links belong to, or join the parts of the file again",
            )
        seen[pair] = number
        found, text = _giza_links(path, own[start + 1 : start + 3], pair)
        if (len(text.first), len(text.second)) != (int(match[2]), int(match[3])):
            raise _no_giza(path, number, head)
        links += found
        texts.append(text)
    missing = next((pair for pair in range(n_pairs) if pair not in seen), None)
    if missing is not None:
        raise InputError(
            f"{path} has {len(seen):,} pairs, and the text {n_pairs:,}: pair {missing + 1:,} is missing",
            "Expected three lines for each pair of the text",
            "Remove those pairs from the text too, or renumber the others",
        )
    return WrittenLinks(links, texts, 1)


def _giza_links(path: str | Path, own: list[tuple[int, str]], pair: int) -> tuple[list[WrittenLink], WrittenPair]:
    (_, second_line), (number, line) = own
    words: list[str] = []
    links: list[WrittenLink] = []
    place = 0
    while place < len(line):
        match = _GIZA_WORD.match(line, place)
        if match is None:
            raise _no_giza(path, number, line[place:])
        place = match.end()
        if words or match["word"] != "NULL":
            shown = match[0].strip(" \t")
            if not words:
                raise _no_giza(path, number, line)
            links += [
                WrittenLink(pair, number, shown, len(words), int(one), True) for one in split_words(match["positions"])
            ]
        words.append(match["word"])
    return links, WrittenPair(pair, number, tuple(words[1:]), tuple(split_words(second_line)))


def _no_giza(path: str | Path, number: int, text: str) -> InputError:
    return InputError(
        f"{path}, line {number}: {text[:60]!r} is not as GIZA++ writes it",
        "Expected three lines for each pair: # Sentence pair (1) source length 2 target length 2 ..., the words of one side, "
        "and NULL ({ }) word ({ 1 }) word ({ 2 }) for the other, as many words as the head says",
        "Correct the line, or make the file again: it may have been cut off",
    )
