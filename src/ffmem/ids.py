"""Cell ids: the one place that parses and formats them.

A cell is one key-value memory of a feed-forward layer, written ``L9.2997``: layer 9, index 2997, both counted from 0.
(The paper counts layers from 1: its key k^10_2997 is our L9.2997.)
"""

import re
from dataclasses import dataclass

from ffmem.errors import InputError

_CELL_ID = re.compile(r"L(\d{1,9})\.(\d{1,9})", re.ASCII)


@dataclass(frozen=True, order=True)
class CellId:
    """One cell: the key and the value with this index in this feed-forward layer; ordered by layer, then index."""

    layer: int
    """Layer, from 0."""
    index: int
    """Index within the layer, from 0 to d_ff - 1."""

    def __str__(self) -> str:
        return f"L{self.layer}.{self.index}"


def parse_cell_id(text: str, n_layers: int, d_ff: int) -> CellId:
    """The cell that ``text`` names, checked against the sizes of a model.

    Args:
        text: a cell id such as ``L9.2997`` (case does not matter).
        n_layers: number of layers of the model.
        d_ff: cells a layer.

    Raises:
        InputError: the text is no cell id, or lies outside the model; the message gives the range.
    """
    valid = f"a cell id from L0.0 to L{n_layers - 1}.{d_ff - 1}"
    match = _CELL_ID.fullmatch(text.strip().upper())
    if match is None:
        raise InputError(f"{text!r} is not a cell id", f"Expected {valid}", "Write layer and index as in L0.17")
    cell = CellId(int(match[1]), int(match[2]))
    if cell.layer >= n_layers or cell.index >= d_ff:
        raise InputError(
            f"cell {cell} does not exist: this model has {n_layers} layers of {d_ff} cells",
            f"Expected {valid}",
            "Layers and indices count from 0; `ffmem info DIR` shows the sizes",
        )
    return cell
