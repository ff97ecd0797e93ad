"""From words to cells, as scripts that a page loads when it needs them: `fetch` is not allowed on pages from disk."""

import json
from array import array
from collections.abc import Iterable, Mapping
from itertools import pairwise

import regex

Postings = dict[str, "array[int]"]
"""From a word to numbers of cells, ascending."""
_UNSPACED = (
    r"[[\p{Han}\p{Hiragana}\p{Katakana}\u30fc\uff70\p{Bopomofo}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
    r"&&[\p{L}\p{N}\p{M}]]"
)
"""Letters of scripts without spaces around words; as in site-search.js, like all of these."""
_WORD = regex.compile(
    rf"(?V1)(?P<run>{_UNSPACED}+)|[[\p{{L}}\p{{N}}_]--{_UNSPACED}][[\p{{L}}\p{{N}}\p{{M}}_]--{_UNSPACED}]*|\p{{S}}"
)
_FIRST = regex.compile(rf"(?V1){_UNSPACED}|\p{{S}}")
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def words_of(text: str) -> set[str]:
    """The words of a text, in lower case; of scripts without spaces each character and each two in a row; each symbol."""
    words: set[str] = set()
    for match in _WORD.finditer(text.lower()):
        run = match["run"] or ""
        words |= {*run, *map("".join, pairwise(run))} if run else {match[0]}
    return words


def add(postings: Postings, words: Iterable[str], cell: int) -> None:
    """Let some words lead to a cell; cells come in ascending order."""
    for word in words:
        found = postings.get(word)
        if found is None:
            found = postings[word] = array("I")
        if not found or found[-1] != cell:
            found.append(cell)


def merge(parts: Iterable[Postings]) -> Postings:
    """Several, whose cells follow one another."""
    merged: Postings = {}
    for part in parts:
        for word, cells in part.items():
            if word in merged:
                merged[word].extend(cells)
            else:
                merged[word] = cells
    return merged


def shard_of(word: str) -> str:
    """The script that holds a word: named by its first two characters, as hexadecimal numbers.

    Of scripts without spaces by the first alone: of two there are too many.
    """
    return "-".join(f"{ord(one):x}" for one in word[: 1 if _FIRST.match(word) else 2])


def scripts(kind: str, postings: Mapping[str, "array[int]"]) -> dict[str, bytes]:
    """Scripts by name: each hands over the words of one shard, with differences of ascending numbers in base 36."""
    shards: dict[str, dict[str, str]] = {}
    for word in sorted(postings):
        shards.setdefault(shard_of(word), {})[word] = _packed(postings[word])
    return {
        f"{kind}-{name}.js": script(f"{kind}-{name}", words).encode("utf-8", "replace")
        for name, words in shards.items()
    }


def script(name: str, value: object) -> str:
    """A script that hands a value over under a name."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return f"ffmemTake({json.dumps(name)},{text});\n"


def _packed(cells: Iterable[int]) -> str:
    last, parts = 0, []
    for cell in cells:
        parts.append(_base36(cell - last))
        last = cell
    return " ".join(parts)


def _base36(number: int) -> str:
    digits = ""
    while True:
        number, rest = divmod(number, 36)
        digits = _DIGITS[rest] + digits
        if not number:
            return digits
