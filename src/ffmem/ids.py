"""Cell ids: the one place that parses and formats them.

A cell is one key-value memory of a feed-forward layer, written ``L9.2997``: layer 9, index 2997, both counted from 0.
(The paper counts layers from 1: its key k^10_2997 is our L9.2997.) Two things may stand before the index where a model
has them: ``dec.L3.12`` is a cell of the decoder's layer 3, ``L9.e5.77`` one of expert 5 of layer 9.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

from ffmem.errors import InputError

_LAYER = r"(?:(enc|dec)\.)?L(\d{1,9})"
_CELL_ID = re.compile(_LAYER + r"(?:\.e(\d{1,9}))?\.(\d{1,9})", re.ASCII | re.IGNORECASE)
_LAYER_ID = re.compile(r"(?:(enc|dec)\.)?L?(\d{1,9})", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class CellId:
    """One cell: the key and the value with this index in this feed-forward layer."""

    layer: int
    """Layer, from 0 within its stack."""
    index: int
    """Index within the layer, or within the expert, from 0 to d_ff - 1."""
    expert: int | None = None
    """Expert of a mixture, from 0; None in other layers."""
    stack: str = ""
    """"enc" or "dec" in an encoder-decoder, else empty."""

    def __str__(self) -> str:
        expert = "" if self.expert is None else f".e{self.expert}"
        return f"{_layer_name(self.stack, self.layer)}{expert}.{self.index}"


@dataclass(frozen=True)
class LayerCells:
    """The cells of one feed-forward layer."""

    layer: int
    """Number within its stack, from 0."""
    d_ff: int
    """Cells of the layer, or of each of its experts."""
    n_experts: int = 0
    """Experts of a mixture; 0 for other layers."""
    stack: str = ""
    """"enc" or "dec" in an encoder-decoder, else empty."""

    @property
    def n_groups(self) -> int:
        """Groups of cells that see the same positions: the experts, or the whole layer."""
        return max(self.n_experts, 1)

    @property
    def n_cells(self) -> int:
        """Cells of the layer, those of all experts together."""
        return self.n_groups * self.d_ff

    @property
    def name(self) -> str:
        """As in cell ids: ``L9``, ``dec.L3``."""
        return _layer_name(self.stack, self.layer)


class CellSpace:
    """All cells of a model: which ids there are, and where each cell stands in arrays.

    Args:
        layers: its feed-forward layers in the order in which an index stores them; their *places* are 0, 1, ...
    """

    def __init__(self, layers: Iterable[LayerCells]) -> None:
        self.layers = tuple(layers)

    @classmethod
    def from_json(cls, layers: Iterable[Mapping[str, Any]]) -> "CellSpace":
        """From what `to_json` gave."""
        return cls(LayerCells(**layer) for layer in layers)

    def to_json(self) -> list[dict[str, Any]]:
        """As plain JSON values."""
        return [asdict(layer) for layer in self.layers]

    @property
    def n_cells(self) -> int:
        """Cells of all layers."""
        return sum(layer.n_cells for layer in self.layers)

    def cell_id(self, place: int, row: int) -> CellId:
        """The cell at a row of the arrays of the layer at a place."""
        layer = self.layers[place]
        expert, index = divmod(row, layer.d_ff)
        return CellId(layer.layer, index, expert if layer.n_experts else None, layer.stack)

    def place(self, cell: CellId) -> tuple[int, int]:
        """Place of a cell's layer, and the cell's row in its arrays."""
        place = self._places[cell.stack, cell.layer]
        return place, (cell.expert or 0) * self.layers[place].d_ff + cell.index

    def parse(self, text: str) -> CellId:
        """The cell that ``text`` names.

        Args:
            text: a cell id such as ``L9.2997``, ``dec.L3.12`` or ``L9.e5.77`` (case does not matter).

        Raises:
            InputError: the text is no cell id, or lies outside the model; the message gives the range.
        """
        valid = f"a cell id from {self._example(last=False)} to {self._example(last=True)}"
        match = _CELL_ID.fullmatch(text.strip())
        if match is None:
            example = self._example(last=False)
            raise InputError(
                f"{text!r} is not a cell id", f"Expected {valid}", f"Write layer and index as in {example}"
            )
        expert = None if match[3] is None else int(match[3])
        cell = CellId(int(match[2]), int(match[4]), expert, (match[1] or "").lower())
        place = self._places.get((cell.stack, cell.layer))
        if place is None or not self._holds(self.layers[place], cell):
            raise InputError(
                f"cell {cell} does not exist: this model has {self.describe()}",
                f"Expected {valid}",
                "Layers, experts and indices count from 0; `ffmem info DIR` shows the sizes",
            )
        return cell

    def parse_layer(self, text: str | int) -> int:
        """The place of the layer that ``text`` names: ``9``, ``L9``, ``dec.L3``.

        Raises:
            InputError: no such layer; the message lists them.
        """
        match = _LAYER_ID.fullmatch(str(text).strip())
        place = None if match is None else self._places.get(((match[1] or "").lower(), int(match[2])))
        if place is None:
            raise InputError(
                f"layer {text} does not exist: this model has {self.describe()}",
                f"Expected {self.layers[0].name} to {self.layers[-1].name}",
                "Layers count from 0",
            )
        return place

    def describe(self) -> str:
        """Sizes in words: "12 layers of 3072 cells"."""
        parts = []
        for (stack, d_ff, n_experts), layers in groupby(self.layers, key=lambda x: (x.stack, x.d_ff, x.n_experts)):
            experts = f"{n_experts} experts of " if n_experts else ""
            parts.append(f"{len(list(layers))} {stack + ' ' if stack else ''}layers of {experts}{d_ff} cells")
        return ", ".join(parts)

    @cached_property
    def _places(self) -> dict[tuple[str, int], int]:
        return {(layer.stack, layer.layer): place for place, layer in enumerate(self.layers)}

    @staticmethod
    def _holds(layer: LayerCells, cell: CellId) -> bool:
        expert = (
            cell.expert is None if not layer.n_experts else cell.expert is not None and cell.expert < layer.n_experts
        )
        return expert and cell.index < layer.d_ff

    def _example(self, last: bool) -> CellId:
        place = len(self.layers) - 1 if last else 0
        return self.cell_id(place, self.layers[place].n_cells - 1 if last else 0)


def _layer_name(stack: str, layer: int) -> str:
    return f"{stack}.L{layer}" if stack else f"L{layer}"
