"""A change of a cell, as people write it."""

import math
import re
from dataclasses import dataclass
from typing import Literal, get_args

from ffmem.errors import InputError
from ffmem.ids import CellId, CellSpace

How = Literal["*", "=", "+"]
"""Scaled by, set to, or raised by an amount."""
CHANGE = re.compile(r"(?P<cell>@?[^*=+@\s]+)(?P<how>[*=+])(?P<amount>[-+]?[\d.]+(?:e[-+]?\d+)?)(?:@(?P<at>-?\d+))?")
"""How it is written, without spaces; `@NAME` is a collection."""


@dataclass(frozen=True)
class Change:
    """Another coefficient for one cell, in the coefficient's own unit: what multiplies the value."""

    cell: CellId
    how: How
    amount: float
    at: int | None = None
    """Only at this token of the text, from 0, or from the end if negative; None: where `intervene` has it."""

    def __str__(self) -> str:
        at = "" if self.at is None else f"@{self.at}"
        return f"{self.cell}{self.how}{self.amount:g}{at}"


def read_change(cells: CellSpace, text: str) -> Change:
    """A change as it is typed: see `intervene.parse_change`.

    Args:
        cells: those of the model.
        text: such as ``L9.2997*0``.

    Raises:
        InputError: not of that form, or no such cell.
    """
    match = CHANGE.fullmatch(text.replace(" ", ""))
    try:
        if match is None or match["cell"].startswith("@"):
            raise ValueError
        amount = float(match["amount"])
        if not math.isfinite(amount):
            raise ValueError
    except ValueError:
        raise InputError(
            f"{text!r} is not a change of a cell",
            "Expected a cell, one of * = + and a number; and, after @, the number of a token",
            "For example: L9.12*0 (out), L9.12*2 (doubled), L9.12=5 (set), L9.12+1@-1 (raised at the last token)",
        ) from None
    at = None if match["at"] is None else int(match["at"])
    how = next(sign for sign in get_args(How) if sign == match["how"])
    return Change(cells.parse(match["cell"]), how, amount, at)
