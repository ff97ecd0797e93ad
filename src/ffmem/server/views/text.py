"""A text of the user's own: what is asked of it, in the words that all its views share."""

import re
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Self

from ffmem.json_values import JsonObject
from ffmem.server.limits import MAX_CHANGES

TABS = (("prompt", "Prompt"), ("map", "Map"), ("attention", "Attention"), ("flow", "Flow"))
"""Views of one text, in the order in which they stand, and their titles."""
_OPERATION = re.compile(r"[*=+]")
_AT = re.compile(r"@\s*(-?\d+)\s*$")


@dataclass(frozen=True)
class TextState:
    """What is asked of a text; an address holds it whole."""

    text: str = ""
    target: str = ""
    """Empty: the model's own prediction. Of an encoder-decoder: what its decoder is given."""
    against: str = ""
    layer: str = ""
    """With `at`: the box whose cells are shown."""
    at: int | None = None
    """A token of the text: 0 is its first, whatever the model puts before it."""
    change: tuple[str, ...] = ()
    where: Literal["all", "last"] = "all"
    new: int = 20
    """Tokens to write on where something is changed."""

    @property
    def tabs(self) -> tuple[tuple[str, str], ...]:
        """See `TABS`."""
        return TABS

    def query(self, **changed: Any) -> JsonObject:
        """As the parameters of an address, with some fields changed; what has its default is left out."""
        other = replace(self, **changed)
        return {name: value for name, value in other.__dict__.items() if value != getattr(type(self)(), name)}

    def shared(self, **changed: Any) -> JsonObject:
        """The parameters that every view of a text understands."""
        names = {one.name for one in fields(TextState)}
        return {name: value for name, value in self.query(**changed).items() if name in names}

    def with_change(self, change: str) -> Self:
        """With one change more, in the place of an earlier one of the same cell."""
        return replace(self, change=one_for_each_cell((*self.change, change))[:MAX_CHANGES])

    def without(self, change: str) -> Self:
        """With one change less."""
        return replace(self, change=tuple(one for one in self.change if one != change))


def one_for_each_cell(changes: tuple[str, ...]) -> tuple[str, ...]:
    """Of several changes of a cell at the same tokens the last, where the first of them stood."""
    chosen: dict[tuple[str, str], str] = {}
    for one in changes:
        cell, *amount = _OPERATION.split(one, maxsplit=1)
        at = _AT.search(amount[0]) if amount else None
        chosen[cell.strip(), at[1] if at else ""] = one
    return tuple(chosen.values())
