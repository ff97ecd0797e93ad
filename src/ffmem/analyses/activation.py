"""Which cells does a text activate most, token by token, and where does an index know them from?"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ffmem.analyses.indexed import read_as_indexed
from ffmem.cell import Name, mark
from ffmem.errors import InputError
from ffmem.ids import CellId
from ffmem.json_values import JsonObject, fields_to_json
from ffmem.markup import Markup, each
from ffmem.models.inputs import ModelInput, as_row
from ffmem.models.transformer import Transformer
from ffmem.options import Bos
from ffmem.store.keys import NO_TOKEN
from ffmem.store.reader import Index

Strength = Literal["norm", "coefficient", "share"]
"""How cells of different layers are compared: "norm": |coefficient| x length of the value, which is what the cell adds
to the stream (Kobayashi et al. 2020 on attention: a weight is half the story); "coefficient": its size alone, which
depends on how a model happens to share scale between key and value; "share": the coefficient as a share of the largest
that the index has seen from this cell, with its sign; a cell that is not in the index has none, and does not compete."""


@dataclass(frozen=True)
class ActiveCell:
    """A cell at one token."""

    cell: CellId
    coefficient: float
    """What multiplies the value here."""
    norm: float
    """|coefficient| x length of the value vector."""
    share: float | None
    """|coefficient| as a share of the largest of this sign in the index; None without one, or if it is not known there."""
    rank: int | None
    """How many of the cell's stored triggers of this sign are stronger; None without an index."""
    trigger: tuple[str, str, str] | None
    """The cell's best trigger of this sign in the index: text before, firing token in brackets, text after; or None."""
    promoted: tuple[str, ...]
    """The first tokens that this cell promotes with this sign; empty without an index."""
    name: Name | None = None
    """What it is called in the index."""


@dataclass(frozen=True)
class ActiveToken:
    """A token of the text, with the cells that it activates most."""

    token: str
    position: int
    cells: tuple[ActiveCell, ...]
    """Strongest first."""


@dataclass(frozen=True)
class Activation:
    """The strongest cells of every token of a text."""

    text: str
    by: Strength
    tokens: tuple[ActiveToken, ...]

    def to_json(self) -> JsonObject:
        """The fields, but each trigger in one piece."""
        plain = fields_to_json(self)
        for token, shown in zip(self.tokens, plain["tokens"], strict=True):
            for cell, values in zip(token.cells, shown["cells"], strict=True):
                values["trigger"] = _joined(cell)
        return plain

    def _repr_html_(self) -> str:
        """For notebooks."""
        rows = (
            (
                token.token,
                cell.cell,
                cell.name or "",
                cell.coefficient,
                cell.norm,
                _joined(cell) or "",
                " ".join(cell.promoted),
            )
            for token in self.tokens
            for cell in token.cells
        )
        line = (
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{:.4g}</td><td>{:.4g}</td>"
            + 2 * "<td style='text-align:left'>{}</td>"
        )
        names = ("token", "cell", "name", "coefficient", "norm", "trigger in the index", "promotes")
        return Markup("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(
            each("<th>{}</th>", ([name] for name in names)), each(f"{line}</tr>", rows)
        )


def activate(
    model: Transformer,
    text: str,
    *,
    index: Index | None = None,
    by: Strength = "norm",
    layer: str | int | None = None,
    limit: int = 5,
    bos: Bos | None = None,
) -> Activation:
    """The strongest cells of every token of a text, joined to what an index knows of them.

    Args:
        model: the model; that of the index, if one is given.
        text: read as one input, as a sentence of an index is.
        index: an index of this model.
        by: how cells are compared: see `Strength`.
        layer: one layer (``9``, ``L9``, ``dec.L3``), or all of them; or a dictionary of the index (``L9.tc16k``).
        limit: cells a token.
        bos: special tokens: as in the index, or "auto" without one.

    Raises:
        InputError: the index is of another model, the text is empty or longer than the context, or "share" is asked for
            without an index.

    Cost: one forward pass; memory of the coefficients of one layer.
    """
    if by not in get_args(Strength):
        raise InputError(f"--by is {by!r}", f"Expected one of: {', '.join(get_args(Strength))}", "Write --by norm")
    if index is None and by == "share":
        raise InputError(
            "--by is 'share', but no index is given", "Expected an index to compare with", "Add --index DIR"
        )
    read = read_as_indexed(model, text, index, bos)
    wanted = set(range(model.facts.n_layers)) if layer is None else {model.all_cells.parse_layer(layer)}
    best = _Best(model, index, by, limit, read)

    def on_layer(place: int, coefficients: Float[Tensor, "batch positions cells"]) -> None:
        best.take(place, coefficients[0])

    with torch.inference_mode(), model.watch_coefficients(on_layer, layers=wanted):
        model.forward(as_row(model, read.token_ids))
    tokens = [
        ActiveToken(text[start:end], position, tuple(describe(model, index, *cell) for cell in best.cells(position)))
        for position, (start, end) in enumerate(read.own.spans)
    ]
    return Activation(text, by, tuple(tokens))


class _Best:
    """The strongest cells of each token over the layers seen so far."""

    def __init__(self, model: Transformer, index: Index | None, by: Strength, limit: int, read: ModelInput) -> None:
        self._model, self._index, self._by, self._limit = model, index, by, limit
        self._first, self._n = len(read.before), len(read.own.ids)
        self._strongest: list[list[tuple[float, int, int, float]]] = [[] for _ in range(self._n)]

    def take(self, place: int, coefficients: Float[Tensor, "positions cells"]) -> None:
        of_text = coefficients[self._first : self._first + self._n].float()
        strength = of_text.abs() * self._scale(place, of_text)
        best = strength.topk(min(self._limit, strength.shape[1]), dim=1)
        chosen = of_text.gather(1, best.indices)
        for position, (scores, rows, values) in enumerate(
            zip(best.values.tolist(), best.indices.tolist(), chosen.tolist(), strict=True)
        ):
            here = self._strongest[position]
            here += [(-s, place, row, c) for s, row, c in zip(scores, rows, values, strict=True) if s > 0]
            here.sort()
            del here[self._limit :]

    def _scale(self, place: int, of_text: Float[Tensor, "positions cells"]) -> Float[Tensor, "*positions cells"]:
        if self._by == "norm":
            lengths: Tensor = self._model.values(place).float().norm(dim=1)
            return lengths
        if self._by == "coefficient":
            return of_text.new_ones(of_text.shape[1])
        assert self._index is not None
        high, low = (torch.from_numpy(bound).to(of_text.device) for bound in _extremes(self._index, self._model, place))
        largest = torch.where(of_text > 0, high, -low)
        return torch.where(largest > 0, 1 / largest, 0.0)

    def cells(self, position: int) -> list[tuple[int, int, float]]:
        return [(place, row, coefficient) for _, place, row, coefficient in self._strongest[position]]


def _extremes(index: Index, model: Transformer, place: int) -> tuple[np.ndarray, np.ndarray]:
    """Maximum and minimum of every cell of a layer of the model; 0 for cells that are not in the index."""
    high, low = (np.zeros(model.all_cells.layers[place].n_cells, dtype=np.float32) for _ in range(2))
    for number, layer in enumerate(index.cells.layers):
        if index.cells.whole_place(number) == place:
            arrays = index.layer(number)
            high[layer.whole_rows], low[layer.whole_rows] = arrays.maximum, arrays.minimum
    return high, low


def describe(model: Transformer, index: Index | None, place: int, row: int, coefficient: float) -> ActiveCell:
    """A cell with a coefficient, joined to what an index knows of it."""
    length = float(model.values(place)[row].float().norm())
    cell = model.all_cells.cell_id(place, row)
    if index is None or cell not in index.cells:
        return ActiveCell(cell, coefficient, abs(coefficient) * length, None, None, None, ())
    place, row = index.cells.place(cell)
    arrays, negative = index.layer(place), coefficient < 0
    largest = -float(arrays.minimum[row]) if negative else float(arrays.maximum[row])
    sign = int(negative)
    rank, trigger = None, None
    if sign < index.n_signs:
        stored, tokens = arrays.trigger_coefficient[row, sign], arrays.trigger_token[row, sign]
        rank = int((np.abs(stored[tokens != NO_TOKEN]) > abs(coefficient)).sum())
        trigger = _marked(index, int(tokens[0]))
    ids = (arrays.suppressed_ids if negative else arrays.promoted_ids)[row, :5]
    return ActiveCell(
        cell=cell,
        coefficient=coefficient,
        norm=abs(coefficient) * length,
        share=abs(coefficient) / largest if largest > 0 else None,
        rank=rank,
        trigger=trigger,
        promoted=index.text.token_strings(ids.tolist()),
        name=index.names.shown(cell, -1 if negative else 1),
    )


def _joined(active: ActiveCell) -> str | None:
    return None if active.trigger is None else "".join(active.trigger)


def _marked(index: Index, token: int) -> tuple[str, str, str] | None:
    if token == NO_TOKEN:
        return None
    sentence_id, position = index.text.locate(token)
    sentence = index.text.sentence(sentence_id)
    return mark(sentence.text, (int(sentence.token_starts[position]), int(sentence.token_ends[position])))
