"""Two indexes side by side: which cells differ most, and one cell in both."""

from dataclasses import dataclass, replace

from ffmem.cell import Cell
from ffmem.errors import InputError
from ffmem.ids import CellId
from ffmem.json_values import JsonObject, to_json
from ffmem.queries.diff import Change, Diff, diff
from ffmem.queries.overlap import PERSISTENCE
from ffmem.server.explorer import Explorer
from ffmem.store.reader import Index

CHANGES: dict[Change, str] = {
    "triggers": "triggers", "promoted": "promoted tokens", "active": "active fraction", "mean": "mean coefficient",
}  # fmt: skip


@dataclass(frozen=True)
class DiffView:
    """The cells that differ most."""

    other: str
    """Name of the index that is compared with; empty if there is none to choose."""
    others: tuple[str, ...]
    by: Change
    layer: str | None
    limit: int
    diff: Diff | None
    start: int = 0
    """Cells that were passed over."""

    def to_json(self) -> JsonObject:
        """As plain JSON values."""
        asked = {"with": self.other, "others": list(self.others), "start": self.start}
        return asked | (to_json(self.diff) if self.diff else {})


@dataclass(frozen=True)
class DiffCellView:
    """A cell in both indexes."""

    cell: CellId
    other: str
    sides: tuple[tuple[str, Cell], ...]
    n_common: int
    """Promoted tokens that both lists have."""
    persistence: float = PERSISTENCE

    def to_json(self) -> JsonObject:
        """As plain JSON values."""
        return {
            "cell": str(self.cell),
            "sides": [{"index": name, "cell": cell} for name, cell in self.sides],
            "n_common_promoted": self.n_common,
        }


def diff_view(
    explorer: Explorer, other: str | None, by: Change, layer: str | None, limit: int, start: int = 0
) -> DiffView:
    """See `DiffView`; two indexes never change, so each question is computed once.

    Raises:
        InputError: there is no index of that name, or it is of another shape.
    """
    names = tuple(explorer.others)
    if not names:
        return DiffView("", (), by, layer, limit, None)
    name = other or names[0]
    right = _other(explorer, name)

    def measured() -> Diff:
        return diff(explorer.index, right, by=by, layer=layer, limit=limit, start=start)

    # of the pages after the first there are too many to keep
    found = measured() if start else explorer.kept(f"diff {name} {by} {layer} {limit}", measured)
    named = replace(found, rows=explorer.index.names.on(found.rows))  # names do change
    return DiffView(name, names, by, layer, limit, named, start)


def diff_cell_view(explorer: Explorer, cell: CellId, other: str | None, n_triggers: int) -> DiffCellView:
    """See `DiffCellView`."""
    name = other or next(iter(explorer.others), "")
    right = _other(explorer, name)
    sides = tuple(
        (title, _first(index.cell(index.cell_id(cell)), n_triggers))
        for title, index in ((explorer.name, explorer.index), (name, right))
    )
    promoted = [{one.token for one in side.promoted} for _, side in sides]
    return DiffCellView(cell, name, sides, len(promoted[0] & promoted[1]))


def _first(cell: Cell, n_triggers: int) -> Cell:
    return Cell(**(cell.__dict__ | {"triggers": tuple(one for one in cell.triggers if one.rank < n_triggers)}))


def _other(explorer: Explorer, name: str) -> Index:
    if name not in explorer.others:
        raise InputError(
            f"there is no index {name[:100]!r} beside this one",
            f"Expected one of: {', '.join(explorer.others) or 'none was given'}",
            "Name further indexes when the explorer is started: ffmem serve DIR OTHER",
        )
    return explorer.others[name]
