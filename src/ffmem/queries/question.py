"""What is typed into one box -> what is asked of an index."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from ffmem.errors import InputError
from ffmem.ids import CellId
from ffmem.json_values import Record
from ffmem.queries.marks import Within
from ffmem.queries.named import NameQuestion
from ffmem.queries.question_keys import META, known_key
from ffmem.store.reader import Index

_QUOTED = r'"(?P<quoted>(?:\\.|[^"\\])*)"'
_PART = re.compile(
    rf'(?P<key>meta\."(?P<field>[^"]+)"|[A-Za-z]+(?:\.[^\s:"]*)?):(?:{_QUOTED}|(?P<plain>\S*))'
    r"|/(?P<regex>(?:\\.|[^/\\])+)/(?=\s|$)"
    r'|"[^"]*"|\S+',
    re.IGNORECASE,
)
_META = re.compile(rf'(?:"(?P<field>[^"]+)"|(?P<name>[^\s:"]+)):(?:{_QUOTED}|(?P<plain>\S*))|\S+')


@dataclass(frozen=True)
class Question(Record):
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
    named: str | None = None
    topic: str | None = None
    source: str | None = None
    grade: str | None = None
    collection: str | None = None
    within: Within | None = None
    meta: tuple[tuple[str, str], ...] = ()
    """Fields of the documents' metadata, and what each is to be."""
    exact: frozenset[str] = frozenset()
    """Keys whose value stood in quotes: their tokens are meant as they stand."""

    @property
    def trigger(self) -> str | None:
        """What `find` and `search` are asked about text; None if nothing is."""
        return f"/{self.regex}/" if self.regex else self.words or None

    @property
    def of_names(self) -> NameQuestion:
        """What is asked of names.

        Raises:
            InputError: there is no such source or grade.
        """
        return NameQuestion(self.named or "", "", self.source or "", self.grade or "")

    @property
    def empty(self) -> bool:
        """Whether nothing is asked."""
        return replace(self, within=None, exact=frozenset()) == Question(None, "", "")

    @property
    def only_text(self) -> bool:
        """Whether nothing but text is asked about, in some layers or in all."""
        only = Question(None, self.words, self.regex, layer=self.layer, within=self.within)
        return self.trigger is not None and replace(self, exact=frozenset()) == only


def parse_question(index: Index, text: str) -> Question:
    """Read what was typed: words, ``"a phrase"``, ``/an expression/``, ``key:value`` (see `KEYS`), or a cell id.

    A value with spaces, such as a token that begins with one, stands in quotes: ``promotes:" release"``; within these, a
    backslash stands before a quote. Text with a colon in it stands in quotes too.

    Raises:
        InputError: no such key or cell, two expressions, words beside an expression, a key twice, or a number that is none.
    """
    text = text.strip()
    if _is_cell(text):
        return Question(index.cells.parse(text), "", "")
    words: list[str] = []
    found: dict[str, str] = {}
    exact: set[str] = set()
    for part in _PART.finditer(text):
        if part["key"] is not None:
            key = META + part["field"] if part["field"] else known_key(part["key"])
            value = part["plain"] if part["quoted"] is None else _unquoted(part["quoted"])
            if key in found:
                raise InputError(f"{key}: is given twice", "Expected it once", "Leave one of them out")
            if value:
                found[key] = value
                exact |= {key} if part["quoted"] is not None else set()
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
    return _question(words, found, frozenset(one for one in exact if not one.startswith(META)))


def _question(words: list[str], found: dict[str, str], exact: frozenset[str]) -> Question:
    low, high = _active(found.pop("active", ""))
    regex, collection, within = found.pop("regex", ""), found.pop("in", None), _within(found.pop("within", None))
    meta = tuple((key.removeprefix(META), found.pop(key)) for key in list(found) if key.startswith(META))
    return Question(
        None, " ".join(words), regex, min_active=low, max_active=high, collection=collection, within=within, meta=meta,
        exact=exact, **found,
    )  # fmt: skip


def part_of_question(key: str, value: str, *, exact: bool = False) -> str:
    """A key with its value as it is typed: in quotes where it must be.

    Args:
        key: one of `KEYS`, or "meta." and the name of a field; empty: words.
        value: what is asked.
        exact: in quotes anyhow, as a token that is meant as it stands.
    """
    if key.startswith(META) and not re.fullmatch(r'[^\s:"]+', key[len(META) :]):
        key = f'{META}"{key[len(META) :]}"'
    plain = re.fullmatch(r'[^\s"]+', value) and not exact
    if not key:
        return value
    inner = re.sub(r'["\\]', r"\\\g<0>", value)
    return f"{key}:{value}" if plain else f'{key}:"{inner}"'


def parse_meta(text: str) -> dict[str, str]:
    """Fields of the documents' metadata with what they are to be: ``topic:mythology genre:"short story"``.

    Raises:
        InputError: a part is no field with a value, or a field stands there twice.
    """
    found: dict[str, str] = {}
    for part in _META.finditer(text):
        name = part["field"] or part["name"]
        value = part["plain"] if part["quoted"] is None else _unquoted(part["quoted"])
        if not name or not value or name in found:
            raise InputError(
                f"--meta has {part[0][:100]!r}",
                "Expected each field once, with a value",
                """Write --meta 'topic:mythology genre:"short story"'""",
            )
        found[name] = value
    return found


def typed_question(words: str, parts: Iterable[tuple[str, str]]) -> str:
    """The text of the box for what a form says: words, then keys with their values; empty ones are left out."""
    typed = [part_of_question(key, value) for key, value in parts if key and value]
    return " ".join(one for one in (words.strip(), *typed) if one)


def _is_cell(text: str) -> bool:
    """Whether a cell is meant, be there such a one or not."""
    try:
        CellId.parse(text)
    except ValueError:
        return False
    return True


def _unquoted(text: str) -> str:
    return re.sub(r'\\(["\\])', r"\1", text)


def _within(text: str | None) -> Within | None:
    if text is None or text in ("prefix", "sentence"):
        return text  # type: ignore[return-value]
    raise InputError(f"within:{text[:40]} is neither", "Expected prefix or sentence", "Write within:sentence")


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
