"""Two cells of an index beside each other, and what both have."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from ffmem.cell import Cell
from ffmem.ids import CellId
from ffmem.json_values import Record
from ffmem.queries.glance import Glance, glances
from ffmem.server.explorer import Explorer

Item = TypeVar("Item")


@dataclass(frozen=True)
class ComparedCell(Record):
    """One of two cells."""

    cell: Cell
    """With all of its stored triggers."""
    glances: tuple[Glance, ...]


@dataclass(frozen=True)
class CompareView(Record):
    """Two cells, and what both have."""

    cells: tuple[ComparedCell, ComparedCell]
    firing_tokens: tuple[str, ...]
    """On which triggers of both fire, those of the first cell's stronger triggers first."""
    promoted: tuple[str, ...]
    """Stored promoted tokens of both, in the order of the first."""
    suppressed: tuple[str, ...]
    """Likewise."""
    promoted_by_first: tuple[str, ...]
    """That the first promotes and the second suppresses."""
    promoted_by_second: tuple[str, ...]
    """That the second promotes and the first suppresses."""
    sentences: tuple[int, ...]
    """Among the triggers of both."""


def compare_view(explorer: Explorer, first: CellId, second: CellId) -> CompareView:
    """See `CompareView`."""
    index, cells = explorer.index, (explorer.index.cell(first), explorer.index.cell(second))
    shown = tuple(
        ComparedCell(one, glances(one, index.signs_of(index.cells.place(one.cell)[0]), one.projection)) for one in cells
    )
    fires = [[one.tokens[one.position] for one in cell.triggers] for cell in cells]
    sentences = [[one.sentence_id for one in cell.triggers] for cell in cells]
    up = [[one.token for one in cell.promoted] for cell in cells]
    down = [[one.token for one in cell.suppressed] for cell in cells]
    return CompareView(
        cells=(shown[0], shown[1]),
        firing_tokens=_both(fires[0], fires[1]),
        promoted=_both(up[0], up[1]),
        suppressed=_both(down[0], down[1]),
        promoted_by_first=_both(up[0], down[1]),
        promoted_by_second=_both(up[1], down[0]),
        sentences=_both(sentences[0], sentences[1]),
    )


def _both(first: Sequence[Item], second: Sequence[Item]) -> tuple[Item, ...]:
    """What is in both, each once, in the order of the first."""
    theirs = set(second)
    return tuple(one for one in dict.fromkeys(first) if one in theirs)
