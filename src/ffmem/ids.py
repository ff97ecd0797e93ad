"""Cell ids: the one place that parses and formats them.

A cell is one key-value memory of a feed-forward layer, written ``L9.2997``: layer 9, index 2997, both counted from 0.
(The paper counts layers from 1: its key k^10_2997 is our L9.2997.) Two things may stand before the index where a model
has them: ``dec.L3.12`` is a cell of the decoder's layer 3, ``L9.e5.77`` one of expert 5 of layer 9. ``L9.tc16k.123`` is an
entry of a dictionary, a transcoder or sparse autoencoder, that stands beside layer 9 under the name tc16k.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import accumulate, groupby, pairwise
from math import inf
from typing import Any

from ffmem.errors import InputError

_LAYER = r"(?:(enc|dec)\.)?L(\d{1,9})"
_NAME = r"[a-z][a-z0-9_-]{1,30}"
_CELL_ID = re.compile(rf"{_LAYER}(?:\.(?:e(\d{{1,9}})|({_NAME})))?\.(\d{{1,9}})", re.ASCII | re.IGNORECASE)
_MOST_PARTS, _MOST_NAMES = 4, 12
"""What a message tells in full; of more, the first ones."""
_LAYER_ID = re.compile(rf"(?:(enc|dec)\.)?L?(\d{{1,9}})(?:\.({_NAME}))?", re.ASCII | re.IGNORECASE)
_Key = tuple[str, int, str]
"""What tells layers apart: stack, number, dictionary."""


def is_dictionary_name(text: str) -> bool:
    """Whether a dictionary can be called so: a letter, then 1 to 30 letters, digits, _ or -; not as an expert is written."""
    return bool(re.fullmatch(_NAME, text, re.ASCII)) and not re.fullmatch(r"e\d+", text, re.ASCII)


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
    dictionary: str = ""
    """Name of the dictionary beside the layer that the cell is an entry of; empty for the layer's own."""

    @classmethod
    def parse(cls, text: str) -> "CellId":
        """The cell that ``text`` names, of whatever model.

        Raises:
            ValueError: the text is no cell id.
        """
        match = _CELL_ID.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text!r} is not a cell id")
        expert = None if match[3] is None else int(match[3])
        return cls(int(match[2]), int(match[5]), expert, (match[1] or "").lower(), (match[4] or "").lower())

    @property
    def layer_name(self) -> str:
        """Of its layer, or dictionary: ``L9``, ``dec.L3``, ``L9.tc16k``."""
        return _layer_name(*_key(self))

    def __str__(self) -> str:
        expert = "" if self.expert is None else f".e{self.expert}"
        return f"{self.layer_name}{expert}.{self.index}"


Runs = tuple[tuple[int, int], ...]
"""Indices as runs [first, end), ascending, with a gap between two runs."""


def runs_of(indices: Iterable[int]) -> Runs:
    """The runs of some indices, which may come in any order and repeatedly."""
    ordered = sorted(set(indices))
    breaks = [i for i, (one, two) in enumerate(pairwise(ordered), 1) if two != one + 1]
    edges = [0, *breaks, len(ordered)]
    return tuple((ordered[a], ordered[b - 1] + 1) for a, b in pairwise(edges) if a < b)


def format_runs(runs: Runs) -> str:
    """As a user writes them, the last index of a run included: "0-511,2997"."""
    return ",".join(str(first) if end == first + 1 else f"{first}-{end - 1}" for first, end in runs)


def parse_runs(text: str) -> Runs:
    """What `format_runs` was given.

    Raises:
        ValueError: the text is nothing that it gives.
    """
    pairs = [one.partition("-") for one in text.split(",")]
    runs = tuple((int(first), int(last or first) + 1) for first, _, last in pairs)
    in_order = all(first < end for first, end in runs) and all(one[1] < two[0] for one, two in pairwise(runs))
    if not in_order or format_runs(runs) != text:
        raise ValueError(f"{text[:80]!r} are not indices in order")
    return runs


@dataclass(frozen=True)
class LayerCells:
    """The cells of one feed-forward layer, all or some of them.

    Arrays have a row for each cell that is there: ``group_size`` rows for the layer or for each expert, by index.
    """

    layer: int
    """Number within its stack, from 0."""
    d_ff: int
    """Cells that the model has in the layer, or in each of its experts."""
    n_experts: int = 0
    """Experts of a mixture; 0 for other layers."""
    stack: str = ""
    """"enc" or "dec" in an encoder-decoder, else empty."""
    kept: Runs | None = None
    """The indices that are there, the same in every expert; None: all of them."""
    dictionary: str = ""
    """Name of a dictionary beside the layer, whose entries these are; empty for the layer's own cells."""

    @property
    def n_groups(self) -> int:
        """Groups of cells that see the same positions: the experts, or the whole layer."""
        return max(self.n_experts, 1)

    @property
    def group_size(self) -> int:
        """Cells of a group that are there: `d_ff`, if all are."""
        return self._first_rows[-1]

    @property
    def n_cells(self) -> int:
        """Cells of the layer that are there, those of all experts together."""
        return self.n_groups * self.group_size

    @property
    def indices(self) -> Sequence[int]:
        """The index of each cell of a group that is there, ascending."""
        if self.kept is None:
            return range(self.d_ff)
        return [index for first, end in self.kept for index in range(first, end)]

    @property
    def whole_rows(self) -> Sequence[int]:
        """For each row of the arrays, that of the same cell where all cells of the layer are there."""
        if self.kept is None:
            return range(self.n_cells)
        return [group * self.d_ff + index for group in range(self.n_groups) for index in self.indices]

    def index_at(self, row: int) -> int:
        """The index of the cell at a row of its group."""
        run = bisect_right(self._first_rows, row) - 1
        return self._runs[run][0] + row - self._first_rows[run]

    def row_of(self, index: int) -> int | None:
        """The row of a cell within its group; None if it is not there."""
        run = bisect_right(self._runs, (index, inf)) - 1
        if run < 0 or index >= self._runs[run][1]:
            return None
        return self._first_rows[run] + index - self._runs[run][0]

    def nearest(self, index: int) -> list[int]:
        """The next lower and the next higher index that is there, of one that is not; one of them may be missing."""
        run = bisect_right(self._runs, (index, inf))
        lower, higher = self._runs[max(run - 1, 0) : run], self._runs[run : run + 1]
        return [end - 1 for _, end in lower] + [first for first, _ in higher]

    @property
    def _runs(self) -> Runs:
        return ((0, self.d_ff),) if self.kept is None else self.kept

    @cached_property
    def _first_rows(self) -> tuple[int, ...]:
        """The row of the first cell of each run, and the number of all."""
        return tuple(accumulate((end - first for first, end in self._runs), initial=0))

    @property
    def name(self) -> str:
        """As in cell ids: ``L9``, ``dec.L3``, ``L9.tc16k``."""
        return _layer_name(*_key(self))

    @property
    def own_name(self) -> str:
        """That of the model's layer, also of a dictionary beside it: ``L9``."""
        return _layer_name(self.stack, self.layer, "")


class CellSpace:
    """All cells of a model, or some of them: which ids there are, and where each cell stands in arrays.

    Args:
        layers: its feed-forward layers in the order in which an index stores them; their *places* are 0, 1, ...
        whole: all cells of the model, where these are some: a layer may then have another place there, and a cell
            another row. None: these are all.
    """

    def __init__(self, layers: Iterable[LayerCells], whole: "CellSpace | None" = None) -> None:
        self.layers = tuple(layers)
        self.whole = self if whole is None else whole
        """All cells of the model."""

    def keep(self, kept: Mapping[str, Runs]) -> "CellSpace":
        """The space of some cells of this one.

        Args:
            kept: by name of the layer, the indices that stay. A layer that is not named, or of which none stay, is left
                out; its places are those among the others.
        """
        layers = [replace(one, kept=kept[one.name]) for one in self.layers if kept.get(one.name)]
        layers = [replace(one, kept=None) if one.group_size == one.d_ff else one for one in layers]
        return self if tuple(layers) == self.layers else CellSpace(layers, self)

    @classmethod
    def from_json(cls, layers: Iterable[Mapping[str, Any]], kept: Mapping[str, str] | None = None) -> "CellSpace":
        """From what `to_json` and `kept_to_json` gave."""
        space = cls(LayerCells(one["layer"], one["d_ff"], one["n_experts"], one["stack"]) for one in layers)
        if kept is None:
            return space
        return space.keep({name: parse_runs(runs) for name, runs in kept.items()})

    def to_json(self) -> list[dict[str, Any]]:
        """The layers of the model as plain JSON values."""
        left_out = ("kept", "dictionary")  # of the model itself: a dictionary tells of itself, see store/facts.py
        return [
            {name: value for name, value in asdict(one).items() if name not in left_out}
            for one in self.whole.layers
            if not one.dictionary
        ]

    def kept_to_json(self) -> dict[str, str] | None:
        """The indices that are there as plain JSON values: `format_runs` by name of the layer; None for all cells."""
        if self.is_whole:
            return None
        return {one.name: format_runs(one.kept or ((0, one.d_ff),)) for one in self.layers}

    @property
    def is_whole(self) -> bool:
        """Whether all cells of the model are there."""
        return self.whole is self

    @property
    def n_cells(self) -> int:
        """Cells of all layers."""
        return sum(layer.n_cells for layer in self.layers)

    def __contains__(self, cell: CellId) -> bool:
        """Whether a cell is there."""
        place = self._places.get(_key(cell))
        return place is not None and self._row(self.layers[place], cell) is not None

    def cell_id(self, place: int, row: int) -> CellId:
        """The cell at a row of the arrays of the layer at a place."""
        layer = self.layers[place]
        expert, number = divmod(row, layer.group_size)
        of_expert = expert if layer.n_experts else None
        return CellId(layer.layer, layer.index_at(number), of_expert, layer.stack, layer.dictionary)

    def place(self, cell: CellId) -> tuple[int, int]:
        """Place of a cell's layer, and the cell's row in its arrays.

        Raises:
            InputError: the cell is not there.
        """
        place = self._places.get(_key(cell))
        row = None if place is None else self._row(self.layers[place], cell)
        if place is None or row is None:
            raise self._missing(cell)
        return place, row

    def whole_place(self, place: int) -> int:
        """Where the layer at a place stands among all layers of the model."""
        return self.whole._places[_key(self.layers[place])]

    def parse(self, text: str) -> CellId:
        """The cell that ``text`` names.

        Args:
            text: a cell id such as ``L9.2997``, ``dec.L3.12`` or ``L9.e5.77`` (case does not matter).

        Raises:
            InputError: the text is no cell id, or no cell that is there; the message gives the range.
        """
        valid = f"a cell id from {self._example(last=False)} to {self._example(last=True)}"
        try:
            cell = CellId.parse(text)
        except ValueError as error:
            example = self._example(last=False)
            raise InputError(str(error), f"Expected {valid}", f"Write layer and index as in {example}") from error
        if cell not in self:
            raise self._missing(cell)
        return cell

    def _missing(self, cell: CellId) -> InputError:
        if cell in self.whole:
            return InputError(
                f"cell {cell} is not in this index, which has {self.n_cells:,} of {self.whole.n_cells:,} cells",
                f"Expected a cell among {self.describe()}; {self._neighbours(cell)}",
                f"Build an index of it: ffmem index MODEL CORPUS --out DIR --cells {replace(cell, expert=None)}",
            )
        return InputError(
            f"cell {cell} {self._not_there(cell.dictionary)}",
            f"Expected a cell id from {self._example(last=False)} to {self._example(last=True)}",
            "Layers, experts and indices count from 0; `ffmem info DIR` shows the sizes",
        )

    def _not_there(self, dictionary: str) -> str:
        """The end of a message about a cell or layer that does not exist."""
        if dictionary and not any(one.dictionary for one in self.whole.layers):
            return f"is of a dictionary, and here cells are the model's own: {self.whole.describe()}"
        return f"does not exist: this model has {self.whole.describe()}"

    def _neighbours(self, cell: CellId) -> str:
        """The cells that are there and stand next to one that is not."""
        place = self._places.get(_key(cell))
        if place is None:
            return f"there is none of layer {_layer_name(*_key(cell))}"
        layer = self.layers[place]
        near = [str(replace(cell, index=index)) for index in layer.nearest(cell.index)]
        return f"the nearest {'is' if len(near) == 1 else 'are'} {' and '.join(near)}"

    def parse_layer(self, text: str | int) -> int:
        """The place of the layer that ``text`` names: ``9``, ``L9``, ``dec.L3``, ``L9.tc16k``.

        Raises:
            InputError: no such layer; the message lists them.
        """
        match = _LAYER_ID.fullmatch(str(text).strip())
        key = None if match is None else ((match[1] or "").lower(), int(match[2]), (match[3] or "").lower())
        place = self._places.get(key) if key else None
        if place is None:
            exists = key in self.whole._places
            raise InputError(
                f"layer {text} is not in this index, which has {self.describe()}"
                if exists
                else f"layer {text} {self._not_there(key[2] if key else '')}",
                f"Expected {self._layer_names()}",
                "Build an index of it: ffmem index MODEL CORPUS --out DIR --cells LAYER"
                if exists
                else "Layers count from 0",
            )
        return place

    def describe(self) -> str:
        """Sizes in words: "12 layers of 3072 cells"; of some cells: "31 of 3072 cells in each of L0 to L11"."""
        if not self.is_whole:
            return self._describe_kept()
        parts = []
        own = [one for one in self.layers if not one.dictionary]
        for (stack, d_ff, n_experts), layers in groupby(own, key=lambda x: (x.stack, x.d_ff, x.n_experts)):
            experts = f"{n_experts} experts of " if n_experts else ""
            parts.append(f"{len(list(layers))} {stack + ' ' if stack else ''}layers of {experts}{d_ff} cells")
        parts += [f"the dictionary {one.name} of {one.d_ff} cells" for one in self.layers if one.dictionary]
        return ", ".join(parts)

    def _describe_kept(self) -> str:
        parts = []
        # consecutive layers of which as much is there have the same key
        numbered = [(self.whole_place(place) - place, one) for place, one in enumerate(self.layers)]
        alike = groupby(
            numbered, key=lambda x: (x[0], x[1].stack, x[1].dictionary, x[1].d_ff, x[1].n_experts, x[1].group_size)
        )
        for (_, _, _, d_ff, n_experts, size), found in alike:
            layers = [one for _, one in found]
            amount = f"all {d_ff}" if size == d_ff else f"{size} of {d_ff}"
            experts = f"each of {n_experts} experts in " if n_experts else ""
            where = layers[0].name if len(layers) == 1 else f"each of {layers[0].name} to {layers[-1].name}"
            parts.append(f"{amount} cells in {experts}{where}")
        more = f", and some in {len(parts) - _MOST_PARTS} further places" if len(parts) > _MOST_PARTS else ""
        return ", ".join(parts[:_MOST_PARTS]) + more

    def _layer_names(self) -> str:
        names = [one.name for one in self.layers]
        if self.is_whole or len(names) > _MOST_NAMES:
            return f"{names[0]} to {names[-1]}{'' if self.is_whole else ', less some'}"
        return f"one of {', '.join(names)}" if len(names) > 1 else names[0]

    @cached_property
    def _places(self) -> dict[_Key, int]:
        return {_key(layer): place for place, layer in enumerate(self.layers)}

    @staticmethod
    def _row(layer: LayerCells, cell: CellId) -> int | None:
        if (
            (cell.expert is not None)
            if not layer.n_experts
            else (cell.expert is None or cell.expert >= layer.n_experts)
        ):
            return None
        row = layer.row_of(cell.index)
        return None if row is None else (cell.expert or 0) * layer.group_size + row

    def _example(self, last: bool) -> CellId:
        place = len(self.layers) - 1 if last else 0
        return self.cell_id(place, self.layers[place].n_cells - 1 if last else 0)


def _key(of: CellId | LayerCells) -> _Key:
    return of.stack, of.layer, of.dictionary


def _layer_name(stack: str, layer: int, dictionary: str) -> str:
    return ".".join(filter(None, (stack, f"L{layer}", dictionary)))
