"""Links between words, read from the files that aligners and people write.

One line a pair, a link being ``i-j``: word i of the source with word j of the target. What is possible but not sure is
written ``ipj``, ``i?j`` or ``i-jP``; ``i-jS`` is sure. A line may begin with a number and a tab. Or one line a link, as in the
shared task of 2003: ``pair i j``, and perhaps S or P. Some files count words from 0, others from 1: nobody can tell by looking,
so it must be said.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ffmem.alignment.pairs import Pair, read_lines, same_length
from ffmem.errors import InputError

Link = tuple[int, int]
"""(source word, target word), both from 0."""

_LINK = re.compile(r"(\d+)([-p?])(\d+)([SP]?)")
_ROW = re.compile(r"(\d+)\s+(\d+)\s+(\d+)(?:\s+([SP]))?")


@dataclass(frozen=True)
class Links:
    """The links of one pair."""

    sure: frozenset[Link]
    possible: frozenset[Link]
    """With the sure ones."""


def read_links(path: str | Path, pairs: Sequence[Pair], *, base: int, inverse: bool = False) -> list[Links]:
    """The links of each pair.

    Args:
        path: a file of one of the forms above.
        pairs: the text that they belong to.
        base: 0 or 1, the number of the first word.
        inverse: the file has the target word first.

    Raises:
        InputError: a line is malformed, or its link points beyond the words; the message names file and line.
    """
    if base not in (0, 1):
        raise InputError(
            f"--base is {base}", "Expected 0 or 1, the number of the first word", "Write --base 0 or --base 1"
        )
    lines = read_lines(path)
    if _ROW.fullmatch(lines[0].strip()):
        found = _read_rows(path, lines, pairs, base, inverse)
    else:
        same_length(path, lines, "the text", pairs)
        found = [
            [_checked(path, number, pair, link, base, inverse) for link in _links_of(path, number, line)]
            for number, (line, pair) in enumerate(zip(lines, pairs, strict=True), 1)
        ]
    return [
        Links(frozenset(link for link, sure in links if sure), frozenset(link for link, _ in links)) for links in found
    ]


def all_sure(links: frozenset[Link]) -> Links:
    """Links that are sure, every one."""
    return Links(links, links)


def as_talp(links: frozenset[Link]) -> str:
    """Links as a line of a file that counts from 0, in the order of the target's words."""
    return " ".join(f"{source}-{target}" for source, target in sorted(links, key=lambda link: (link[1], link[0])))


def _links_of(path: str | Path, number: int, line: str) -> list[tuple[str, Link, bool]]:
    """Each link with its text, and whether it is sure."""
    found = []
    for text in line.rpartition("\t")[2].split():
        match = _LINK.fullmatch(text)
        if match is None or (match[2] != "-" and match[4]):
            raise InputError(
                f"{path}, line {number}: {text!r} is no link",
                "Expected links such as 3-4 (sure), 3p4 or 3?4 (possible), 3-4S, 3-4P",
                "Mend the line",
            )
        found.append((text, (int(match[1]), int(match[3])), match[2] == "-" and match[4] != "P"))
    return found


def _read_rows(
    path: str | Path, lines: list[str], pairs: Sequence[Pair], base: int, inverse: bool
) -> list[list[tuple[Link, bool]]]:
    found: list[list[tuple[Link, bool]]] = [[] for _ in pairs]
    for number, line in enumerate(lines, 1):
        match = _ROW.fullmatch(line.strip())
        if match is None or not 1 <= int(match[1]) <= len(pairs):
            raise InputError(
                f"{path}, line {number}: {line.strip()!r} is no link of this text",
                f"Expected the number of a pair, from 1 to {len(pairs):,}, two words, and perhaps S or P",
                "Mend the line, or give the text that the links belong to",
            )
        pair = int(match[1]) - 1
        link = (line.strip(), (int(match[2]), int(match[3])), match[4] != "P")
        found[pair].append(_checked(path, number, pairs[pair], link, base, inverse))
    return found


def _checked(
    path: str | Path, number: int, pair: Pair, link: tuple[str, Link, bool], base: int, inverse: bool
) -> tuple[Link, bool]:
    text, (first, second), sure = link
    source, target = (second - base, first - base) if inverse else (first - base, second - base)
    if 0 <= source < len(pair.source) and 0 <= target < len(pair.target):
        return (source, target), sure
    other = 1 - base
    raise InputError(
        f"{path}, line {number}: {text!r} points beyond the {len(pair.source)} source and {len(pair.target)} target words",
        f"Expected numbers from {base} up, since --base is {base}",
        f"If the file counts from {other}, say so; else see that it belongs to this text, and which side comes first",
    )
