"""The keys of the search box: one table that the parser, completion, help and errors are made of."""

import difflib
from dataclasses import dataclass
from typing import Literal

from ffmem.errors import InputError

Values = Literal["topic", "collection", "layer", "pattern", "token", "source", "grade", "within", "words"]
"""What completion offers for a key."""


@dataclass(frozen=True)
class Key:
    """A key that may stand before a colon."""

    name: str
    what: str
    """What its value is, for people."""
    example: str
    values: Values = "words"


KEYS = {
    one.name: one
    for one in (
        Key(
            "topic",
            "what the cell is about: its name claims the topic, or its triggers come from documents about it more often than "
            "chance would have it",
            "topic:mythology",
            "topic",
        ),
        Key("fires", "the token that a trigger fires on", 'fires:" sea"', "token"),
        Key("next", "the token after it", 'next:" of"', "token"),
        Key("promotes", "a token that the value promotes", "promotes:release", "token"),
        Key("named", "words in the cell's name; label: is the same", "named:sea"),
        Key("said", "words in what people wrote down about the cell", "said:ships"),
        Key("pattern", "a kind or class of pattern, or words in its description", "pattern:semantic", "pattern"),
        Key("in", "the cells of a collection", "in:favourites", "collection"),
        Key("layer", "a layer, or a range such as 10: (without the last: 3:7)", "layer:9", "layer"),
        Key("active", "the share of positions at which it is active", "active:0.1..0.5", "words"),
        Key("source", "where its name comes from: human, lm, rule, import, or guess", "source:rule", "source"),
        Key("grade", "of a name by rule: A, B or C", "grade:A", "grade"),
        Key("within", "where the words stand: prefix, up to the firing token; or sentence", "within:sentence", "within"),
    )
}  # fmt: skip
META = "meta."
"""Begins a key that names a field of the documents' metadata."""
META_HELP = Key(
    "meta.FIELD", "a value of this field in the metadata of the trigger's document", "meta.genre:letter", "words"
)
SAME = {"label": "named"}
"""Another word for a key."""


def known_key(typed: str) -> str:
    """The key that was typed, in any case of its letters.

    Raises:
        InputError: there is none of this name; the message has the nearest.
    """
    name = typed.lower()
    name = SAME.get(name, name)
    if name in KEYS:
        return name
    if name.startswith(META) and len(name) > len(META):
        return META + typed[len(META) :]
    near = difflib.get_close_matches(name, [*KEYS, *SAME], 1, 0.5)
    nearest = META_HELP.name if name.startswith("meta") else near[0] if near else ""
    raise InputError(
        f"{typed[:100]}: is no key",
        f"Expected one of: {', '.join(f'{one}:' for one in (*KEYS, META_HELP.name))}",
        f"Write {nearest}: instead, or put it in quotes if it is text"
        if nearest
        else 'Put it in quotes if it is text: "12:30"',
    )
