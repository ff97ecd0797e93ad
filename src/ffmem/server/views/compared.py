"""Two continuations of a text, word by word."""

import re
from dataclasses import dataclass
from difflib import SequenceMatcher

_WORD = re.compile(r"\s*\S+|\s+$")


@dataclass(frozen=True)
class Stretch:
    """Words that both have, or that stand in each other's place."""

    before: str
    after: str
    differs: bool
    first: bool = False
    """The first of those that differ."""


def compared(before: str, after: str) -> tuple[Stretch, ...]:
    """Stretches whose texts are, one after the other, the two continuations."""
    one, other = _WORD.findall(before), _WORD.findall(after)
    found: list[Stretch] = []
    for kind, a, b, c, d in SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        differs = kind != "equal"
        first = differs and not any(stretch.differs for stretch in found)
        found.append(Stretch("".join(one[a:b]), "".join(other[c:d]), differs, first))
    return tuple(found)
