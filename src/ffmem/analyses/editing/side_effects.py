"""What else an edit changes: every cell's value, activity and strongest positions, and the predictions of other text."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ffmem.analyses.distances import kl
from ffmem.analyses.editing.asking import own_logits
from ffmem.analyses.editing.solve import cells_touched
from ffmem.analyses.editing.text import Window
from ffmem.errors import InputError
from ffmem.models.inputs import as_row
from ffmem.models.patches.changes import Change
from ffmem.models.transformer import Transformer

N_TOP = 10
"""Strongest positions of a cell that are compared."""
_MOST_SCORES = 2_000_000_000
"""Bytes of the model's own scores that are kept to compare with."""


@dataclass(frozen=True)
class MovedCells:
    """By how much values move, over all cells of the model."""

    n_cells: int
    n_moved: int
    """Whose value is another, in the model's own numbers."""
    touched: float
    """(sum of |dv|^2)^2 / sum of |dv|^4: in so many cells the change lies."""
    largest: float
    """The largest |dv| / |v|."""
    mean: float
    """The mean |dv| over all cells, in units of the mean |v|."""
    norm: float
    """The square root of the sum of |dv|^2, as a share of that of |v|^2 in the changed layers."""


def moved_cells(model: Transformer, changes: Mapping[int, Change]) -> MovedCells:
    """How far each value of a model would move; the model is as before.

    Args:
        model: as it is without the changes.
        changes: by the place of the layer.
    """
    moved, own, all_lengths, changed = [], [], 0.0, 0.0
    for place, layer in enumerate(model.cells.layers):
        values = model.values(place).detach()
        lengths = values.double().norm(dim=1).cpu()
        all_lengths += float(lengths.sum())
        if place not in changes:
            moved.append(torch.zeros(layer.n_cells, dtype=torch.float64))
        else:
            moved.append((changes[place].applied(values).double() - values.double()).norm(dim=1).cpu())
            changed += float((lengths**2).sum())
        own.append(lengths)
    sizes, lengths = torch.cat(moved), torch.cat(own)
    return MovedCells(
        n_cells=len(sizes),
        n_moved=int((sizes > 0).sum()),
        touched=cells_touched(sizes),
        largest=float((sizes / lengths.clamp(min=1e-12)).max()),
        mean=float(sizes.sum()) / max(all_lengths, 1e-300),
        norm=float((sizes**2).sum()) ** 0.5 / max(changed, 1e-300) ** 0.5,
    )


@dataclass(frozen=True)
class CellsOnText:
    """What all cells do on a text: a column for each."""

    active: Int[np.ndarray, "cells"]
    """Positions at which its coefficient is above 0."""
    top: Int[np.ndarray, "cells top"]
    """The positions at which it is strongest, by |m|, as numbers within the text; -1 where |m| is 0 at all others."""
    n_positions: int


@dataclass(frozen=True)
class TextEffects:
    """What an edit does to other text, position by position."""

    document: Int[np.ndarray, "positions"]
    divergence: Float[np.ndarray, "positions"]
    """KL(own || changed), in nats: what the change costs who believed the model as it was."""
    loss: Float[np.ndarray, "positions"]
    """-ln p of the token that follows: changed less own, in nats."""
    other_top: Float[np.ndarray, "positions"]
    """1 where another token is the most probable one; else 0."""


@dataclass(frozen=True)
class CellEffects:
    """What an edit does to the cells of each layer on other text."""

    layer: tuple[str, ...]
    n_cells: Int[np.ndarray, "layers"]
    rate: Float[np.ndarray, "layers"]
    """Mean over cells of |change of the share of positions at which it is active|."""
    changed: Int[np.ndarray, "layers"]
    """Cells whose number of active positions is another."""
    overlap: Float[np.ndarray, "layers"]
    """Mean share of a cell's strongest positions that stay among them, over the cells that have any; 0 where none has."""
    n_strong: Int[np.ndarray, "layers"]
    """Cells that have such positions, since their coefficient is not 0 at every one."""

    def mean_overlap(self, first: int = 0) -> float:
        """The mean of `overlap` over the cells of the layers from ``first`` on; NaN where none has strongest positions."""
        weights = self.n_strong[first:]
        return float(np.average(self.overlap[first:], weights=weights)) if weights.sum() else float("nan")


class Bystanders:
    """Text that an edit is not about, and what the model makes of it before any.

    Args:
        model: as it is.
        text: its stretches.

    Raises:
        InputError: the scores of so much text cannot be kept.
    """

    def __init__(self, model: Transformer, text: Sequence[Window]) -> None:
        self._model, self.text = model, text
        self._ends = [len(one.ids) - len(model.special_tokens("auto")[1]) for one in text]
        n = sum(end - one.first for one, end in zip(text, self._ends, strict=True))
        n_bytes = 4 * n * model.facts.d_vocab
        if n_bytes > _MOST_SCORES:
            raise InputError(
                f"the scores of {n:,} positions over {model.facts.d_vocab:,} tokens take {n_bytes / 1e9:.1f} GB",
                f"Expected at most {_MOST_SCORES / 1e9:g} GB",
                f"Write --side-tokens {_MOST_SCORES // (4 * model.facts.d_vocab)}",
            )
        self._own: list[Tensor] = []
        self.before = self._read(lambda _, scores: self._own.append(scores))

    @property
    def n_positions(self) -> int:
        """Tokens of it."""
        return self.before.n_positions

    def _read(self, on_scores: Callable[[int, Float[Tensor, "positions d_vocab"]], None]) -> CellsOnText:
        """One pass of all of it: what cells do, and ln p at each position for ``on_scores``."""
        places = range(self._model.facts.n_layers)
        sizes = [layer.n_cells for layer in self._model.cells.layers]
        active = [torch.zeros(n, dtype=torch.int64) for n in sizes]
        best = [torch.full((n, 0), -1.0) for n in sizes]
        where = [torch.zeros(n, 0, dtype=torch.int64) for n in sizes]
        done = 0

        def add(place: int, m: Tensor) -> None:
            own = m[0, first:end].float().cpu().T
            active[place] += (own > 0).sum(1)
            sizes = torch.cat((best[place], own.abs()), 1)
            numbers = torch.cat((where[place], torch.arange(done, done + own.shape[1]).expand(len(own), -1)), 1)
            best[place], kept = sizes.topk(min(N_TOP, sizes.shape[1]), dim=1)
            where[place] = numbers.gather(1, kept)

        with torch.no_grad(), self._model.watch_coefficients(add, layers=places):
            for number, (one, end) in enumerate(zip(self.text, self._ends, strict=True)):
                first = one.first
                scores = own_logits(self._model, as_row(self._model, one.ids), None)[0, first:end]
                on_scores(number, scores.float().log_softmax(-1).cpu())
                done += end - first
        # a coefficient of 0 is no strongest one: which of them come first says how they were sorted
        top = [numbers.where(sizes > 0, -1) for numbers, sizes in zip(where, best, strict=True)]
        return CellsOnText(torch.cat(active).numpy(), torch.cat(top).numpy(), done)

    def after(self) -> tuple[TextEffects, CellEffects]:
        """What the model, as it is now, makes of the same text, beside what it was.

        Cost: one pass.
        """
        parts: list[tuple[int, Tensor, Tensor, Tensor]] = []

        def compare(number: int, now: Float[Tensor, "positions d_vocab"]) -> None:
            one, own = self.text[number], self._own[number]
            following = torch.tensor(one.ids[one.first + 1 : self._ends[number]])
            loss = torch.full((len(now),), float("nan"))
            if self._model.facts.causal:
                loss[:-1] = (own[:-1] - now[:-1]).gather(1, following[:, None])[:, 0]
            parts.append((one.document, kl(now, own), loss, (own.argmax(-1) != now.argmax(-1)).float()))

        cells = self._read(compare)
        document = np.concatenate([np.full(len(one[1]), one[0]) for one in parts])
        _, *columns = zip(*parts, strict=True)
        divergence, loss, other = (torch.cat(one).double().numpy() for one in columns)
        return TextEffects(document, divergence, loss, other), self._cells(cells)

    def _cells(self, now: CellsOnText) -> CellEffects:
        before, layers = self.before, self._model.cells.layers
        ends = np.cumsum([layer.n_cells for layer in layers])[:-1]
        rate = np.abs(now.active - before.active) / before.n_positions
        stay = (now.top[:, :, None] == before.top[:, None, :]).any(1) & (before.top >= 0)
        n_before = (before.top >= 0).sum(1)
        kept = stay.sum(1) / np.maximum(n_before, 1)
        n_strong = np.array([int((one > 0).sum()) for one in np.split(n_before, ends)])
        return CellEffects(
            layer=tuple(layer.name for layer in layers),
            n_cells=np.array([layer.n_cells for layer in layers]),
            rate=np.array([one.mean() for one in np.split(rate, ends)]),
            changed=np.array([int((one > 0).sum()) for one in np.split(rate, ends)]),
            overlap=np.array([one.sum() for one in np.split(kept, ends)]) / np.maximum(n_strong, 1),
            n_strong=n_strong,
        )
