"""A table of cells."""

from dataclasses import dataclass

from ffmem.json_values import Record
from ffmem.queries.table import CellRow, SortKey, cells
from ffmem.server.explorer import Explorer


@dataclass(frozen=True)
class CellsView(Record):
    """The first cells by a statistic."""

    layer: str | None
    sort: SortKey
    limit: int
    rows: tuple[CellRow, ...]


def cells_view(explorer: Explorer, *, layer: str | None, sort: SortKey, limit: int) -> CellsView:
    """See `CellsView`."""
    return CellsView(layer, sort, limit, tuple(cells(explorer.index, layer=layer, sort=sort, limit=limit)))
