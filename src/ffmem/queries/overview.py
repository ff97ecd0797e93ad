"""The model as layers: how active its cells are, how many are dead, how far keys and values agree."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ffmem.json_values import Record
from ffmem.markup import Table
from ffmem.store.keys import NO_TOKEN
from ffmem.store.reader import Index


@dataclass(frozen=True)
class LayerRow(Record):
    """A layer in numbers, over all its cells."""

    layer: str
    n_cells: int
    active_fraction: float
    """Mean over cells of the share of positions with a coefficient above 0."""
    active_quantiles: tuple[float, float, float]
    """Of that share over cells: 25, 50 and 75 %."""
    n_dead: int
    """Cells whose coefficient is never above 0; of gated cells, never other than 0."""
    agreement_rate: float | None
    """Share of cells whose value's top token is the token after their first trigger (section 4 of the paper); None if no
    trigger is followed by a token, or the model does not predict the next one."""
    n_compared: int
    """Cells that this is a share of."""
    largest: float
    """Largest |coefficient| of the layer."""


def overview(index: Index) -> Table[LayerRow]:
    """Every layer of an index in numbers, in the order of the model.

    Agreement is read from the first positive trigger of each cell; of cells whose first trigger ends its sentence nothing
    follows, and they are left out.

    Cost: one look at the statistics, and at one trigger, of every cell.
    """
    return Table(_row(index, place) for place in range(index.n_layers))


def n_dead(rows: Iterable[LayerRow]) -> int:
    """Cells of all layers that are never active."""
    return sum(row.n_dead for row in rows)


def _row(index: Index, place: int) -> LayerRow:
    arrays, layer = index.layer(place), index.cells.layers[place]
    n_tokens = np.repeat(arrays.counts[:, 0], layer.group_size)
    active = arrays.n_active / np.maximum(n_tokens, 1)
    dead = never_active(index, place)
    agreeing, n_compared = agreement_of_first(index, place)
    return LayerRow(
        layer=layer.name,
        n_cells=layer.n_cells,
        active_fraction=float(active.mean()),
        active_quantiles=tuple(np.quantile(active, (0.25, 0.5, 0.75)).tolist()),
        n_dead=int(dead.sum()),
        agreement_rate=agreeing / n_compared if n_compared else None,
        n_compared=n_compared,
        largest=float(max(arrays.maximum.max(), -arrays.minimum.min())),
    )


def never_active(index: Index, place: int) -> np.ndarray:
    """Of each cell of a layer, whether its coefficient is never above 0; of gated cells, never other than 0."""
    arrays = index.layer(place)
    dead: np.ndarray = arrays.maximum <= 0
    return dead & (arrays.minimum >= 0) if index.n_signs == 2 else dead


def agreement_of_first(index: Index, place: int) -> tuple[int, int]:
    """(cells that agree, cells compared) of a layer: see `LayerRow.agreement_rate`."""
    if not index.manifest.model.predicts_next_token:
        return 0, 0
    arrays = index.layer(place)
    first = np.asarray(arrays.trigger_token[:, 0, 0])
    rows = np.flatnonzero(first != NO_TOKEN)
    following = index.text.following(first[rows].astype(np.int64))
    rows, following = rows[following >= 0], following[following >= 0]
    return int((np.asarray(arrays.promoted_ids[:, 0])[rows] == following).sum()), len(rows)
