"""How much a change of cells does, beside the same change of others: of equally strong ones, and of random ones."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ffmem.analyses.applied_changes import AppliedChanges, Where, altered, check_numbers
from ffmem.analyses.change import Change
from ffmem.analyses.decomposition import check_causal, next_token_logits
from ffmem.analyses.distances import kl
from ffmem.ids import CellId
from ffmem.json_values import JsonObject, Record, fields_to_json
from ffmem.models.inputs import ModelInput, as_row, read_text
from ffmem.models.transformer import Transformer
from ffmem.models.vocabulary import display
from ffmem.options import Bos

N_RANDOM = 8
"""Draws of random cells."""
_Form = tuple[tuple[str, float, int | None], ...]
"""What is done with a cell, whichever it is."""
_AT_ONCE = 1024
"""Positions of all rows of a pass: each has a score for every token of the vocabulary."""


@dataclass(frozen=True)
class Effect(Record):
    """What a change does to the next token."""

    changes: tuple[str, ...]
    cells: tuple[CellId, ...]
    """Whose coefficients they change."""
    strength: float
    """Length of what it takes from the stream or adds to it, coefficient times value, over its tokens (of the last layer the
    last alone) and cells: the root of the sum of squares."""
    divergence: float
    """Kullback-Leibler divergence of the changed distribution from the model's own, in nats."""
    difference: float
    """Of the target's probability, from the model's own: below 0 if it is less probable."""


@dataclass(frozen=True)
class ChangeControls(Record):
    """A change, and the same change of other cells of the same layers, at the same tokens of the same text."""

    target: str
    target_id: int
    probability: float
    """Of the target, as the model is."""
    own: Effect
    alike: Effect
    """Of the cells for which the same change comes to most nearly as much at each of these tokens, in proportion."""
    random: tuple[Effect, ...]
    """Of cells drawn at random, no cell twice."""
    seed: int

    @property
    def median_difference(self) -> float:
        """Of the random ones."""
        return float(median(one.difference for one in self.random))

    @property
    def median_divergence(self) -> float:
        """Of the random ones."""
        return float(median(one.divergence for one in self.random))

    @property
    def n_as_large(self) -> int:
        """Random ones that move the target's probability at least as far, either way."""
        return sum(abs(one.difference) >= abs(self.own.difference) for one in self.random)

    def to_json(self) -> JsonObject:
        """As plain JSON values."""
        told = {name: getattr(self, name) for name in ("median_difference", "median_divergence", "n_as_large")}
        return fields_to_json(self) | told


def change_controls(
    model: Transformer,
    text: str,
    changes: Sequence[Change],
    *,
    where: Where = "all",
    target_id: int | None = None,
    n_random: int = N_RANDOM,
    seed: int = 0,
    bos: Bos = "auto",
) -> ChangeControls | None:
    """Make the same change with other cells: every changed cell is replaced by another of its layer.

    Args:
        model: a causal model; it is as before afterwards.
        text: read as one input.
        changes: what is changed.
        where: at which tokens, for changes that do not say.
        target_id: the token whose probability is told; None: the one that the model itself says next.
        n_random: draws of random cells; fewer if a layer has too few cells for so many.
        seed: of these draws.
        bos: special tokens.

    Returns:
        None where nothing is changed, or a layer has no other cells to change instead.

    Raises:
        InputError: the model is not causal, the text is empty or too long, or a change is at a token that is not there,
            or so large that scores are no numbers any more.

    Cost: one pass of the text, and one for each row (n_random + 2), several rows at a time.
    """
    check_causal(model)
    read = read_text(model, text, bos)
    ids = as_row(model, read.to_continue)
    applied = AppliedChanges(model, read, [changes], where)
    chosen = _Choice(model, changes)
    n_random = chosen.most_random(n_random)
    if not changes or not n_random:
        return None
    with torch.inference_mode():
        own = chosen.look(ids, applied)
        rows = [list(changes), chosen.alike(), *chosen.random(n_random, seed)]
        scores = _scores(model, read, ids, rows, where)
    check_numbers(scores)
    p, q = own.double().log_softmax(-1), scores.double().log_softmax(-1)
    target = int(p.argmax()) if target_id is None else target_id
    before = float(p[target].exp())
    effects: list[Effect] = []
    for row, one in zip(rows, q, strict=True):
        cells = tuple(dict.fromkeys(change.cell for change in row))
        difference = float(one[target].exp()) - before
        effects.append(Effect(tuple(map(str, row)), cells, chosen.strength(row), float(kl(p, one)), difference))
    return ChangeControls(
        display(model.vocabulary[target]), target, before, effects[0], effects[1], tuple(effects[2:]), seed
    )


def _scores(
    model: Transformer,
    read: ModelInput,
    ids: Int[Tensor, "one positions"],
    rows: Sequence[Sequence[Change]],
    where: Where,
) -> Float[Tensor, "rows d_vocab"]:
    """Scores of the next token with each set of changes, as many rows in a pass as may share one."""
    alone = model.batching.rows == "alone" or model.batching.fresh
    at_once = 1 if alone else max(1, _AT_ONCE // ids.shape[1])
    found: list[Tensor] = []
    for first in range(0, len(rows), at_once):
        part = rows[first : first + at_once]
        with model.change_coefficients(AppliedChanges(model, read, part, where)):
            found.append(next_token_logits(model, ids.expand(len(part), -1)))
    return torch.cat(found)


class _Choice:
    """Other cells of the same layers, and what the same changes of them come to.

    Args:
        model: whose cells they are.
        changes: of which cells.
    """

    def __init__(self, model: Transformer, changes: Sequence[Change]) -> None:
        self._model = model
        self._of_cell: dict[CellId, list[Change]] = {}
        for change in changes:
            self._of_cell.setdefault(change.cell, []).append(change)
        self._rows: dict[int, list[int]] = {}
        """The changed cells of each layer."""
        for cell in self._of_cell:
            place, row = model.cells.place(cell)
            self._rows.setdefault(place, []).append(row)
        self._worth: dict[tuple[int, _Form], Float[Tensor, "positions cells"]] = {}
        """What a form of change comes to in each cell of a layer: |difference of coefficients| times length of the value."""

    def look(self, ids: Int[Tensor, "one positions"], applied: AppliedChanges) -> Float[Tensor, "d_vocab"]:
        """Run the text as the model is; gives its scores of the next token."""
        seen: dict[int, Tensor] = {}

        def note(place: int, coefficients: Float[Tensor, "batch positions cells"]) -> None:
            seen[place] = coefficients[0].float().clone()

        with self._model.watch_coefficients(note, layers=tuple(self._rows)):
            own = next_token_logits(self._model, ids)[0]
        for cell, changes in self._of_cell.items():
            place, form = self._key(cell, changes)
            if (place, form) not in self._worth:
                after = seen[place].clone()
                for change in changes:
                    here = applied.positions(change, len(after))
                    after[here] = altered(after[here], change)
                lengths = self._model.values(place).float().norm(dim=1).to(after.device)
                worth = (after - seen[place]).abs() * lengths
                # what the last layer writes at the tokens before is read by nobody
                self._worth[place, form] = worth[-1:] if place == self._model.facts.n_layers - 1 else worth
        return own

    def strength(self, changes: Iterable[Change]) -> float:
        """See `Effect.strength`."""
        of_cell: dict[CellId, list[Change]] = {}
        for change in changes:
            of_cell.setdefault(change.cell, []).append(change)
        squares = 0.0
        for cell, own in of_cell.items():
            column = self._worth[self._key(cell, own)][:, self._model.cells.place(cell)[1]]
            squares += float(column.double().square().sum())
        return math.sqrt(squares)

    def alike(self) -> list[Change]:
        """Each cell replaced by the one whose worth is nearest to its own; none twice.

        Each token counts by how far the two differ as a share of the cell's own worth there, to which its mean over the tokens
        that are changed is added: or a first token, at which many cells are far stronger than elsewhere, would decide alone.
        """
        free = self._free()
        rows: dict[CellId, int] = {}
        for cell, changes in self._of_cell.items():
            place, own = self._model.cells.place(cell)
            worth = self._worth[self._key(cell, changes)]
            of_cell = worth[:, own, None]
            typical = of_cell.sum() / (of_cell > 0).sum().clamp(min=1)
            tiny = torch.finfo(worth.dtype).tiny
            distances = ((worth - of_cell) / (of_cell + typical).clamp(min=tiny)).norm(dim=0)
            distances[~free[place].to(distances.device)] = torch.inf
            rows[cell] = int(distances.argmin())
            free[place][rows[cell]] = False
        return self._replaced(rows)

    def most_random(self, wanted: int) -> int:
        """How many draws a layer has cells for, up to so many."""
        n_cells = [(self._model.cells.layers[place].n_cells, len(rows)) for place, rows in self._rows.items()]
        return min([wanted, *((n - n_changed) // n_changed for n, n_changed in n_cells)])

    def random(self, n: int, seed: int) -> list[list[Change]]:
        """Each cell replaced by one that is drawn, so many times; none twice."""
        generator = np.random.default_rng(seed)
        drawn = {place: iter(generator.permutation(free.numpy().nonzero()[0])) for place, free in self._free().items()}
        return [
            self._replaced({cell: int(next(drawn[self._model.cells.place(cell)[0]])) for cell in self._of_cell})
            for _ in range(n)
        ]

    def _free(self) -> dict[int, Bool[Tensor, "cells"]]:
        """For each layer, which of its cells are not changed."""
        found = {place: torch.ones(self._model.cells.layers[place].n_cells, dtype=torch.bool) for place in self._rows}
        for place, rows in self._rows.items():
            found[place][rows] = False
        return found

    def _key(self, cell: CellId, changes: Iterable[Change]) -> "tuple[int, _Form]":
        return self._model.cells.place(cell)[0], tuple((one.how, one.amount, one.at) for one in changes)

    def _replaced(self, rows: dict[CellId, int]) -> list[Change]:
        cells = self._model.cells
        return [
            replace(change, cell=cells.cell_id(cells.place(cell)[0], rows[cell]))
            for cell, changes in self._of_cell.items()
            for change in changes
        ]
