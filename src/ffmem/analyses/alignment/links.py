"""Links between words, read from the files that aligners and people write, and held against the text that they belong to.

`link_forms` says which forms there are. Some files count words from 0, others from 1: nobody can tell by looking, so it must be
said, except where the form says it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ffmem.analyses.alignment.link_forms import WrittenLink, WrittenLinks, WrittenPair, parse_links
from ffmem.analyses.alignment.pairs import Pair, read_lines
from ffmem.errors import InputError

Link = tuple[int, int]
"""(source word, target word), both from 0."""


@dataclass(frozen=True)
class Links:
    """The links of one pair."""

    sure: frozenset[Link]
    possible: frozenset[Link]
    """With the sure ones."""


@dataclass(frozen=True)
class LeftOut:
    """Links of a file that point beyond the words of their pair, and were left out since that was asked for."""

    name: str
    """Of the file."""
    n_links: int
    """Such links."""
    n_read: int
    """Links that the file has, these included."""
    first_line: int
    """Where the first of them stands."""
    first_link: str

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return dict(self.__dict__)


@dataclass(frozen=True)
class LinkFile:
    """The links of a file."""

    links: list[Links]
    """Of each pair."""
    left_out: LeftOut | None
    """None if nothing was."""


@dataclass(frozen=True)
class _Reading:
    """How the numbers of a file are to be understood."""

    base: int
    inverse: bool
    base_option: str

    def link(self, one: WrittenLink) -> Link:
        first, second = one.first - self.base, one.second - self.base
        return (second, first) if self.inverse else (first, second)

    def is_beyond(self, one: WrittenLink, pairs: Sequence[Pair]) -> bool:
        source, target = self.link(one)
        pair = pairs[one.pair]
        return not (0 <= source < len(pair.source) and 0 <= target < len(pair.target))


def read_links(path: str | Path, pairs: Sequence[Pair], *, base: int | None, inverse: bool = False) -> list[Links]:
    """The links of each pair; see `read_link_file`, which can also leave out links that point beyond the words."""
    return read_link_file(path, pairs, base=base, inverse=inverse).links


def read_link_file(
    path: str | Path,
    pairs: Sequence[Pair],
    *,
    base: int | None,
    inverse: bool = False,
    drop_bad_links: bool = False,
    base_option: str = "--base",
) -> LinkFile:
    """The links of each pair.

    Args:
        path: a file of one of the forms of `link_forms`.
        pairs: the text that they belong to.
        base: 0 or 1, the number of the first word; None only for the files of GIZA++, which count from 1.
        inverse: the file has the target word first.
        drop_bad_links: leave links out that point beyond the words of their pair, and count them; refused where another
            base or order of the two words would leave fewer.
        base_option: the option that ``base`` came from, for messages.

    Raises:
        InputError: a line is malformed, or its link points beyond the words; the message names file and line.
    """
    if base not in (None, 0, 1):
        raise InputError(
            f"{base_option} is {base}",
            "Expected 0 or 1, the number of the first word",
            f"Write {base_option} 0 or {base_option} 1",
        )
    found = parse_links(path, read_lines(path), len(pairs))
    reading = _Reading(_base_of(path, found, base, base_option), inverse, base_option)
    for text in found.texts:
        _check_text(path, text, pairs[text.pair], reading)
    beyond = [one for one in found.links if reading.is_beyond(one, pairs)]
    if beyond and not drop_bad_links:
        raise _points_beyond(path, beyond[0], pairs, reading)
    if beyond:
        _check_no_better_reading(path, found, beyond, pairs, reading)
    if beyond and len(beyond) == len(found.links):
        raise _points_beyond(path, beyond[0], pairs, reading)  # nothing would be left
    sure: list[set[Link]] = [set() for _ in pairs]
    possible: list[set[Link]] = [set() for _ in pairs]
    for one in found.links:
        if not reading.is_beyond(one, pairs):
            possible[one.pair].add(reading.link(one))
            if one.sure:
                sure[one.pair].add(reading.link(one))
    left_out = None
    if beyond:
        left_out = LeftOut(Path(path).name, len(beyond), len(found.links), beyond[0].line, beyond[0].text)
    return LinkFile(
        [Links(frozenset(one), frozenset(all_)) for one, all_ in zip(sure, possible, strict=True)], left_out
    )


def all_sure(links: frozenset[Link]) -> Links:
    """Links that are sure, every one."""
    return Links(links, links)


def as_talp(links: frozenset[Link]) -> str:
    """Links as a line of a file that counts from 0, in the order of the target's words."""
    return " ".join(f"{source}-{target}" for source, target in sorted(links, key=lambda link: (link[1], link[0])))


def _base_of(path: str | Path, found: WrittenLinks, base: int | None, option: str) -> int:
    if found.base is not None:
        if base not in (None, found.base):
            raise InputError(
                f"{option} is {base}, and {path} is a file of GIZA++",
                f"Expected {option} {found.base}, or none: these files count words from {found.base}",
                f"Leave {option} out",
            )
        return found.base
    if base is not None:
        return base
    zero = next((one for one in found.links if 0 in (one.first, one.second)), None)
    told = "gold links mostly begin with 1, those of aligners with 0"
    raise InputError(
        f"{path} is given without {option}",
        f"Expected the number of the first word in that file: {told}"
        if zero is None
        else f"Expected the number of the first word in that file: line {zero.line} has {zero.text!r}",
        f"Write {option} 1 or {option} 0" if zero is None else f"Write {option} 0, unless 0 means no word in that file",
    )


def _check_text(path: str | Path, text: WrittenPair, pair: Pair, reading: _Reading) -> None:
    """Refuse a file whose own text is another one, or has the other side first."""
    sides = (pair.target, pair.source) if reading.inverse else (pair.source, pair.target)
    own = (text.first, text.second)
    if _folded(own) == _folded(sides):
        return
    if _folded(own) == _folded(sides[::-1]):
        there, wanted, given = ("source", "target", "with") if reading.inverse else ("target", "source", "without")
        raise InputError(
            f"{path}, line {text.line}: its first side has the words of the {there}",
            f"Expected the {wanted} first, {given} --inverse",
            "Leave --inverse out" if reading.inverse else "Add --inverse",
        )
    if tuple(map(len, own)) != tuple(map(len, sides)):
        raise InputError(
            f"{path}, line {text.line}: it has {len(own[0])} and {len(own[1])} words, and pair {text.pair + 1:,} has "
            f"{len(sides[0])} and {len(sides[1])}",
            "Expected the words of the text, pair by pair",
            "Give the text that was aligned, cut into words as it was then",
        )
    same = [
        one == other
        for side, others in zip(_folded(own), _folded(sides), strict=True)
        for one, other in zip(side, others, strict=True)
    ]
    if 2 * sum(same) < len(same):  # some may be written otherwise, such as &apos; for '
        raise InputError(
            f"{path}, line {text.line}: {len(same) - sum(same)} of its {len(same)} words are not those of pair "
            f"{text.pair + 1:,}",
            "Expected the words of the text, pair by pair",
            "Give the text that was aligned",
        )


def _folded(sides: Sequence[Sequence[str]]) -> list[list[str]]:
    return [[word.casefold() for word in side] for side in sides]


def _points_beyond(path: str | Path, one: WrittenLink, pairs: Sequence[Pair], reading: _Reading) -> InputError:
    pair, other = pairs[one.pair], 1 - reading.base
    return InputError(
        f"{path}, line {one.line}: {one.text!r} points beyond the {len(pair.source)} source and {len(pair.target)} target words"
        f" of pair {one.pair + 1:,}",
        f"Expected numbers from {reading.base} up, since {reading.base_option} is {reading.base}",
        f"If the file counts from {other}, say so; otherwise check that it belongs to this text, and which side comes first; "
        "--drop-bad-links leaves such links out and counts them",
    )


def _check_no_better_reading(
    path: str | Path, found: WrittenLinks, beyond: Sequence[WrittenLink], pairs: Sequence[Pair], reading: _Reading
) -> None:
    """Refuse to leave links out that only seem bad because base or order is not as was said."""
    counts: Counter[tuple[int, bool]] = Counter()
    for base in (0, 1) if found.base is None else (found.base,):
        for inverse in (reading.inverse, not reading.inverse):
            other = _Reading(base, inverse, reading.base_option)
            counts[base, inverse] = sum(other.is_beyond(one, pairs) for one in found.links)
    (base, inverse), n_least = min(counts.items(), key=lambda item: item[1])
    if n_least >= len(beyond):
        return
    told = f"{reading.base_option} {base}, {'with' if inverse else 'without'} --inverse"
    raise InputError(
        f"{path}: {len(beyond):,} of {len(found.links):,} links point beyond the words, the first on line {beyond[0].line}: "
        f"{beyond[0].text!r}; with {told}, {n_least:,} would",
        "Expected links of which no other way to count words leaves fewer outside",
        f"Write {told}, if the file counts that way; otherwise check that it belongs to this text",
    )
