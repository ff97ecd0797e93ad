"""A table of cells, page by page, and all of it as CSV."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ffmem.csv_text import write_csv
from ffmem.json_values import JsonObject, Record, fields_to_json
from ffmem.queries.listing import Listed, listed, n_listed
from ffmem.queries.names import places
from ffmem.queries.table import CellRow, SortKey, cells
from ffmem.server.explorer import Explorer

_ALL = Listed()
_PLAIN = re.compile("[a-z][a-z0-9 _-]{0,39}")
"""A kind of names as ours are; files may bring others."""
_ROWS_AT_ONCE = 500
_COLUMNS = (
    "cell", "name", "name_source", "name_grade", "name_kind", "fires_on", "promotes", "active_fraction", "maximum",
    "minimum", "mean", "mean_square", "n_triggers",
)  # fmt: skip


@dataclass(frozen=True)
class CellsView(Record):
    """Some cells by a statistic."""

    layer: str | None
    sort: SortKey
    limit: int
    rows: tuple[CellRow, ...]
    n: int = 0
    """Cells that there are, on all pages."""
    start: int = 0
    """The first row's place among them, from 0."""
    reverse: bool = False
    asked: Listed = _ALL
    kinds: dict[str, int] = field(default_factory=dict)
    """Of names, with how many units have one of each."""

    @property
    def next_start(self) -> int | None:
        """Where the next page begins; None on the last one."""
        return self.start + self.limit if self.start + self.limit < self.n else None

    @property
    def previous_start(self) -> int | None:
        """Where the page before begins; None on the first one."""
        return max(self.start - self.limit, 0) if self.start else None

    @property
    def query(self) -> JsonObject:
        """What is asked, as an address has it, without the page."""
        asked = fields_to_json(self.asked)
        order = {"sort": self.sort, "reverse": "true" if self.reverse else None}
        return {"layer": self.layer} | order | asked | {"limit": self.limit if self.limit != 50 else None}

    def sorted_by(self, sort: SortKey) -> JsonObject:
        """What to ask for the same cells by a statistic; the other way round if they stand by that already."""
        again = sort == self.sort and not self.reverse
        return self.query | {"sort": sort, "reverse": "true" if again else None}

    @property
    def whole(self) -> JsonObject:
        """What to ask for all of it."""
        return self.query | {"limit": None}

    @property
    def kind_choices(self) -> list[tuple[str, str]]:
        """Kinds of names that can be asked for, and how they are shown."""
        unknown = [(self.asked.kind, self.asked.kind)] if self.asked.kind not in ("", *self.kinds) else []
        return [("", "any, or none"), *((kind, f"{kind} ({n:,})") for kind, n in self.kinds.items()), *unknown]

    def to_json(self) -> JsonObject:
        """The fields, and where the next page begins."""
        return super().to_json() | {"next_start": self.next_start}


def cells_view(
    explorer: Explorer,
    *,
    layer: str | None,
    sort: SortKey,
    limit: int,
    start: int = 0,
    reverse: bool = False,
    asked: Listed = _ALL,
) -> CellsView:
    """See `CellsView`.

    Raises:
        InputError: there is no such layer.
    """
    index, among = explorer.index, listed(explorer.index, asked)
    rows = cells(index, layer=layer, among=among, sort=sort, limit=limit, start=start, reverse=reverse)
    n = n_listed(index, places(index, layer), among)
    kinds = {kind: n_units for kind, n_units in index.names.kinds().items() if _PLAIN.fullmatch(kind)}
    return CellsView(layer, sort, limit, tuple(rows), n, start, reverse, asked, kinds)


def cells_csv(
    explorer: Explorer, *, layer: str | None, sort: SortKey, reverse: bool = False, asked: Listed = _ALL
) -> Iterator[bytes]:
    """All cells of a list as a spreadsheet opens them, some hundred at a time.

    Raises:
        InputError: there is no such layer.
    """
    index, among = explorer.index, listed(explorer.index, asked)
    n = n_listed(index, places(index, layer), among)

    def parts() -> Iterator[bytes]:
        for start in range(0, max(n, 1), _ROWS_AT_ONCE):
            rows = cells(index, layer=layer, among=among, sort=sort, limit=_ROWS_AT_ONCE, start=start, reverse=reverse)
            text = write_csv(map(_csv_row, rows), _COLUMNS, ("name", "fires_on", "promotes"))
            yield text if not start else text.split(b"\n", 1)[1]

    return parts()


def _csv_row(row: CellRow) -> dict[str, str]:
    name = row.name
    return {
        "cell": str(row.cell),
        "name": "" if name is None else name.text,
        "name_source": "" if name is None else name.source,
        "name_grade": "" if name is None else name.grade,
        "name_kind": "" if name is None else name.kind,
        "fires_on": row.trigger or "",
        "promotes": " ".join(row.promoted),
        "active_fraction": repr(row.active_fraction),
        "maximum": repr(row.maximum),
        "minimum": repr(row.minimum),
        "mean": repr(row.mean),
        "mean_square": repr(row.mean_square),
        "n_triggers": str(row.n_triggers),
    }
