"""What is typed to be looked for -> whole words, which the full-text table knows, and text that is looked for as it stands.

The table knows runs of letters and digits. It cannot find a part of such a run, and it leaves out everything else. So whatever
has a character that it leaves out, or one of a script that is written without spaces, is looked for in the text itself.
"""

import re
import sqlite3
import unicodedata
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from ffmem.errors import InputError
from ffmem.store.text import TOKENIZE

if TYPE_CHECKING:
    import regex

_UNSPACED = ("ID", "SA", "CJ", "NS", "H2", "H3", "JL", "JV", "JT")
"""Where a line may break before and after each character, or only where a dictionary says: there are no spaces around words."""
_PART = re.compile(r'(?<!\S)"([^"]+)"(?!\S)|(\S+)')
_LONGEST = 1000
"""Characters of a text that SQLite is given to compare; it refuses 50,000 bytes."""


@dataclass(frozen=True)
class Literal:
    """A text that is looked for as it stands, in any case of its letters."""

    text: str

    @property
    def like(self) -> str:
        """A pattern of SQLite's LIKE that every match meets: the longest run whose cases LIKE knows, those of ASCII."""
        runs = re.split("|".join(map(re.escape, sorted(set(filter(_has_cases, self.text))))) or "$.", self.text)
        run = max(runs, key=len)[:_LONGEST]
        return "%" + re.sub(r"[%_\\]", r"\\\g<0>", run) + "%"

    @property
    def is_exact(self) -> bool:
        """Whether whatever meets `like` is a match."""
        return len(self.text) <= _LONGEST and not any(map(_has_cases, self.text))

    @property
    def pattern(self) -> "re.Pattern[str]":
        """What marks it in a text."""
        return re.compile(re.escape(self.text), re.IGNORECASE)


@dataclass(frozen=True)
class Wanted:
    """All that a sentence must have."""

    words: tuple[str, ...]
    """Words, and phrases of words, in any case."""
    literals: tuple[Literal, ...]

    @property
    def is_ascii(self) -> bool:
        """Whether all of it is."""
        return all(text.isascii() for text in (*self.words, *(one.text for one in self.literals)))

    @property
    def query(self) -> str:
        """The words as a query for all of them; quoted, so that nothing in them is syntax."""
        return " ".join(f'"{word}"' for word in self.words)

    @property
    def anywhere(self) -> "Wanted":
        """The same, words within longer ones included."""
        return Wanted((), (*map(Literal, self.words), *self.literals))

    @property
    def pattern(self) -> "re.Pattern[str]":
        """What marks the parts that match, the longest first."""
        parts = {word: _as_word(word) for word in self.words}
        parts |= {one.text: re.escape(one.text) for one in self.literals}
        return re.compile("|".join(parts[text] for text in sorted(parts, key=len, reverse=True)), re.IGNORECASE)

    @property
    def patterns(self) -> "tuple[re.Pattern[str], ...]":
        """What finds each part by itself."""
        words = [re.compile(_as_word(word), re.IGNORECASE) for word in self.words]
        return (*words, *(one.pattern for one in self.literals))


def _as_word(text: str) -> str:
    """An expression for whole words, one after the other, as the full-text table cuts them: an underscore parts two."""
    words = r"[\W_]+".join(map(re.escape, text.split()))
    return rf"(?<![^\W_]){words}(?![^\W_])"


def parse_words(text: str) -> Wanted:
    """The parts of a text between white space; what stands in double quotes, apart from the rest, is one part.

    A part of letters and digits alone is a word, unless its script is written without spaces; others are looked for as they
    stand.

    Raises:
        InputError: there is no part.
    """
    words, literals = [], []
    for phrase, plain in _PART.findall(searchable(text)):
        part = phrase or plain
        if all(map(is_word, part.split(" "))):
            words.append(part)
        else:
            literals.append(Literal(part))
    if not words and not literals:
        raise InputError(
            "there is nothing to search for",
            "Expected some text",
            "To find white space, put it in quotes, or use --literal",
        )
    return Wanted(tuple(words), tuple(literals))


def literal(text: str) -> Wanted:
    """A text that is looked for as it stands, spaces and quotes included.

    Raises:
        InputError: it is empty.
    """
    if not text:
        raise InputError("there is nothing to search for", "Expected some text", "Give at least one character")
    return Wanted((), (Literal(searchable(text)),))


def searchable(text: str) -> str:
    """Text from a command line in a form that SQLite takes: NUL, which no stored text has, becomes a space.

    Raises:
        InputError: it has bytes that are no UTF-8.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"the text to search for is not UTF-8: {text!r}",
            "Expected text",
            "Set the terminal to UTF-8 and type it again",
        ) from error
    return text.replace("\0", " ")


def is_word(text: str) -> bool:
    """Whether the full-text table has a text as one word wherever it stands as a whole one."""
    return (
        bool(text)
        and unicodedata.category(text[0])[0] != "M"  # a mark continues a word, and begins none
        and (text.isascii() or not _unspaced().search(text))
        and not _unknown(frozenset(text))
    )


@lru_cache(maxsize=1)
def _unspaced() -> "regex.Pattern[str]":
    import regex  # takes longer than to look up a cell

    return regex.compile("[" + "".join(rf"\p{{Line_Break={kind}}}" for kind in _UNSPACED) + "]")


@lru_cache(maxsize=1000)
def _unknown(characters: frozenset[str]) -> frozenset[str]:
    """Those that SQLite, whose tables of Unicode are older than Python's, does not take for a part of a word."""
    with closing(sqlite3.connect(":memory:")) as table:
        table.execute(f"CREATE VIRTUAL TABLE one USING fts5(text, tokenize = '{TOKENIZE}')")
        table.execute("CREATE VIRTUAL TABLE words USING fts5vocab(one, instance)")
        rows = ((ord(one), f"a{one}a") for one in characters)
        table.executemany("INSERT INTO one(rowid, text) VALUES (?, ?)", rows)
        found = {chr(number) for number, word in table.execute("SELECT doc, term FROM words") if len(word) == 3}
    return characters - found


def _has_cases(character: str) -> bool:
    """Whether it is a letter outside ASCII that is written in more than one case."""
    forms = {character, character.lower(), character.upper(), character.title(), character.casefold()}
    return not character.isascii() and len(forms) > 1
