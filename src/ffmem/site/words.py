"""From words to cells, as scripts that a page loads when it needs them: `fetch` is not allowed on pages from disk."""

import json
import re
from array import array
from collections.abc import Iterable, Mapping

Postings = dict[str, array]  # type: ignore[type-arg]
"""From a word to numbers of cells, ascending."""
_WORD = re.compile(r"\w+")
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def words_of(text: str) -> set[str]:
    """The words of a text, in lower case."""
    return set(_WORD.findall(text.lower()))


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
    """The script that holds a word: named by its first two characters, as hexadecimal numbers."""
    return "-".join(f"{ord(one):x}" for one in word[:2])


def scripts(kind: str, postings: Mapping[str, array]) -> dict[str, bytes]:  # type: ignore[type-arg]
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
