"""What is typed into one box -> what is asked of an index."""

import re
from dataclasses import dataclass, replace
from typing import Any

from ffmem.errors import InputError
from ffmem.ids import CellId
from ffmem.store.reader import Index

KEYS = {
    "promotes": "a token that the value promotes",
    "fires": "the token that a trigger fires on",
    "next": "the token after it",
    "layer": "a layer, or a range such as 10:",
    "active": "active fraction, such as 0.1..0.5 or ..1%",
    "pattern": "a kind or class of pattern, or words in its description",
    "said": "words in what annotators said",
}
_PART = re.compile(
    r'(?P<key>[a-z]+):(?:"(?P<quoted>[^"]*)"|(?P<plain>\S*))'
    r"|/(?P<regex>(?:\\.|[^/\\])+)/(?=\s|$)"
    r'|"[^"]*"|\S+'
)


@dataclass(frozen=True)
class Question:
    """A question in parts."""

    cell: CellId | None
    """A cell, if that is all that was typed."""
    words: str
    """For the full-text search: words, and phrases in quotes; or empty."""
    regex: str
    """A regular expression; or empty."""
    promotes: str | None = None
    fires: str | None = None
    next: str | None = None
    layer: str | None = None
    min_active: float | None = None
    max_active: float | None = None
    pattern: str | None = None
    said: str | None = None
    exact: frozenset[str] = frozenset()
    """Keys whose value stood in quotes: their tokens are meant as they stand."""

    @property
    def trigger(self) -> str | None:
        """What `find` and `search` are asked about text; None if nothing is."""
        return f"/{self.regex}/" if self.regex else self.words or None

    @property
    def empty(self) -> bool:
        """Whether nothing is asked."""
        return replace(self, layer=None, exact=frozenset()) == Question(None, "", "")

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        cell = None if self.cell is None else str(self.cell)
        return self.__dict__ | {"cell": cell, "exact": sorted(self.exact)}


def parse_question(index: Index, text: str) -> Question:
    """Read what was typed: words, ``"a phrase"``, ``/an expression/``, ``key:value`` (see `KEYS`), or a cell id.

    A value with spaces, such as a token that begins with one, stands in quotes: ``promotes:" release"``.

    Raises:
        InputError: two expressions, words beside an expression, a key twice, or a number that is none.
    """
    text = text.strip()
    try:
        return Question(index.cells.parse(text), "", "")
    except InputError:
        pass
    words: list[str] = []
    found: dict[str, str] = {}
    exact: set[str] = set()
    for part in _PART.finditer(text):
        if part["key"] in KEYS:
            value = part["plain"] if part["quoted"] is None else part["quoted"]
            if part["key"] in found:
                raise InputError(f"{part['key']}: is given twice", "Expected it once", "Leave one of them out")
            if value:
                found[part["key"]] = value
                exact |= {part["key"]} if part["quoted"] is not None else set()
        elif part["regex"] is not None:
            if "regex" in found:
                raise InputError("two regular expressions are given", "Expected one", "Join them: /a.*b|b.*a/")
            found["regex"] = part["regex"]
        else:
            words.append(part[0])
    if words and "regex" in found:
        raise InputError(
            f"words are given beside a regular expression: {' '.join(words)[:100]}",
            "Expected either words or one regular expression between slashes",
            "Put the words into the expression",
        )
    low, high = _active(found.pop("active", ""))
    regex = found.pop("regex", "")
    return Question(None, " ".join(words), regex, min_active=low, max_active=high, exact=frozenset(exact), **found)


def _active(text: str) -> tuple[float | None, float | None]:
    if not text:
        return None, None
    low, dots, high = text.partition("..")
    try:
        return _share(low), _share(high if dots else low)
    except ValueError:
        raise InputError(
            f"active:{text} is not a range of shares",
            "Expected two numbers with .. between them; either may be left out",
            "Write active:0.1..0.5, active:..1% or active:10%..",
        ) from None


def _share(text: str) -> float | None:
    if not text:
        return None
    value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    if not 0 <= value <= 1:
        raise ValueError
    return value


@dataclass(frozen=True)
class TokenChoice:
    """A token that was asked about, as it was understood."""

    asked: str
    token: str | None
    """The token of the vocabulary; None if there is none."""
    others: tuple[str, ...]
    """Other tokens that may have been meant."""


def choose_token(index: Index, asked: str, exact: bool = False, limit: int = 8) -> TokenChoice:
    """The token that a user may mean: as it stands, or with a space before it, which most words have.

    Of the two, the one with the space is taken, unless the text is meant exactly or begins with one; the other is among the
    others, as are tokens that begin with the text.
    """
    text = index.text
    spaced = [] if exact or asked.startswith(" ") else [f" {asked}"]
    candidates = [one for one in (*spaced, asked) if len(text.token_ids_of(one)) >= 1]
    if asked.startswith("id:") or (not candidates and text.token_id_of_piece(asked) is not None):
        candidates.append(asked)
    plain = asked.strip().lower()
    similar = [
        one for one in text.vocabulary if plain and one.strip().lower().startswith(plain) and one not in candidates
    ]
    similar = list(dict.fromkeys(sorted(similar, key=len)))[:limit]
    return TokenChoice(asked, candidates[0] if candidates else None, (*candidates[1:], *similar))
