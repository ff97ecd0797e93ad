"""Changes of cells as chips: what is changed, how, and what is wrong with it, read without the model."""

from dataclasses import dataclass, replace

from ffmem.analyses.change import CHANGE, read_change
from ffmem.cell import Name
from ffmem.errors import InputError
from ffmem.ids import CellId
from ffmem.store.reader import Index

SLIDER_TO = 3
"""The end of a chip's slider: three times as strong."""


@dataclass(frozen=True)
class Chip:
    """One change."""

    change: str
    """As it was typed."""
    cell: CellId | None = None
    """None: a collection, or no cell."""
    name: Name | None = None
    label: str = ""
    """The cell, or the collection."""
    how: str = ""
    """Empty: it cannot be read."""
    amount: str = ""
    at: str = ""
    """The token at which it holds, if only at one."""
    problem: str = ""

    @property
    def words(self) -> str:
        """What is done, in words."""
        at = f" at token {self.at}" if self.at else ""
        if self.how == "*":
            return ("out" if float(self.amount) == 0 else f"× {self.amount}") + at
        return f"{'set to' if self.how == '=' else 'raised by'} {self.amount}{at}"


def chips(index: Index, changes: tuple[str, ...]) -> tuple[Chip, ...]:
    """What changes say, each by itself."""
    return tuple(_chip(index, one) for one in changes)


def _chip(index: Index, change: str) -> Chip:
    match = CHANGE.fullmatch(change.replace(" ", ""))
    parts = Chip(change)
    if match is not None:
        parts = Chip(change, None, None, match["cell"], match["how"], match["amount"], match["at"] or "")
    if parts.label.startswith("@"):
        return parts
    try:
        cell = read_change(index.cells.whole, change).cell
    except InputError as error:
        return Chip(change, problem=str(error))
    return replace(parts, cell=cell, name=index.names.shown(cell))
