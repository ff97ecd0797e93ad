"""Cells that another model has, too: the same coefficients over the same text (Gurnee et al. 2024)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ffmem.analyses.prefixes import passes, rows_of
from ffmem.analyses.updates.positions import Positions
from ffmem.errors import InputError
from ffmem.models.transformer import Transformer
from ffmem.options import Bos

UNIVERSAL = 0.5
"""By how much a cell's best correlation must exceed that with random directions of the other model's layers."""
_BATCH_TOKENS, _COLUMNS = 512, 8192


@dataclass(frozen=True)
class Counterparts:
    """For each of some cells of a layer, its best match in another model."""

    cells: Int[np.ndarray, "cells"]
    """Rows of the layer."""
    best: Float[np.ndarray, "cells"]
    """The largest correlation with a cell of any layer of the other model; 0 for a cell that never varies."""
    best_layer: Int[np.ndarray, "cells"]
    """In which layer of it."""
    best_cell: Int[np.ndarray, "cells"]
    """Which row there."""
    random: Float[np.ndarray, "cells"]
    """The largest correlation with as many random combinations of the cells of each layer of it."""

    @property
    def excess(self) -> Float[np.ndarray, "cells"]:
        """The first less the second."""
        found: np.ndarray = self.best - self.random
        return found


def same_tokens(model: Transformer, other: Transformer) -> None:
    """Refuse another model that reads a text as other tokens.

    Raises:
        InputError: its tokenizer differs.
    """
    if model.tokenizer_hash() != other.tokenizer_hash():
        raise InputError(
            f"the tokenizer of {other.facts.name} is not that of {model.facts.name}",
            "Expected another checkpoint, or another seed, of the same kind of model, which reads a text as the same tokens",
            "Name such a model with --other, or leave it out",
        )


def coefficients_of(
    model: Transformer,
    positions: Positions,
    cells: list[Int[np.ndarray, "some"]] | None,
    *,
    bos: Bos,
) -> list[Float[Tensor, "some n"]]:
    """The coefficients of cells of each layer at some positions, standardised: of mean 0 and length 1, a row for each cell.

    Args:
        model: the model.
        positions: held-out ones.
        cells: rows of each layer; None: all.
        bos: special tokens.

    Cost: memory of 4 bytes for each cell and position.
    """
    layers = model.cells.layers
    rows_kept = [None if cells is None else torch.from_numpy(cells[place]) for place in range(len(layers))]
    sizes = [layer.n_cells if kept is None else len(kept) for layer, kept in zip(layers, rows_kept, strict=True)]
    found = [torch.zeros(size, len(positions), device=model.device) for size in sizes]
    for one in passes(model, positions.prefixes.sentences, bos, batch_tokens=_BATCH_TOKENS, device=str(model.device)):
        some, rows, columns = rows_of(positions.prefixes, one)
        numbers = torch.from_numpy(some)

        def keep(
            layer: int, m: Tensor, numbers: Tensor = numbers, rows: Tensor = rows, columns: Tensor = columns
        ) -> None:
            own, kept = m[rows, columns].float(), rows_kept[layer]
            found[layer][:, numbers] = (own if kept is None else own[:, kept]).T

        with torch.inference_mode(), model.watch_coefficients(keep):
            model.forward(one.token_ids, one.attention_mask)
    return [_standardised(one) for one in found]


def _standardised(rows: Float[Tensor, "rows n"]) -> Float[Tensor, "rows n"]:
    """In place: of mean 0 and length 1; zeros for rows that never vary."""
    rows -= rows.mean(1, keepdim=True)
    lengths = rows.norm(dim=1, keepdim=True)
    rows /= torch.where(lengths > 1e-9, lengths, torch.inf)
    return rows


def counterparts(
    own: list[Float[Tensor, "some n"]],
    cells: list[Int[np.ndarray, "some"]],
    other: list[Float[Tensor, "others n"]],
    *,
    signs: bool,
    seed: int = 0,
    on_layer: Callable[[int, int], None] = lambda done, n: None,
) -> list[Counterparts]:
    """The best match of each cell in another model, layer by layer of its own model.

    Args:
        own: standardised coefficients of the cells, of each layer.
        cells: their rows.
        other: those of all cells of the other model, of each of its layers.
        signs: whether the sign of a coefficient is a convention, as in gated cells, so that correlations below 0 count, too.
        seed: of the random combinations.
        on_layer: called with layers of the other model that are done, and all.

    Cost: two products of the cells with all cells of the other model, over the positions; memory of a block of them.
    """
    together = torch.cat(own)
    best = together.new_full((len(together),), -torch.inf)
    random = best.clone()
    where = torch.zeros(2, len(together), dtype=torch.long, device=together.device)
    for layer, rows in enumerate(other):
        generator = torch.Generator().manual_seed(seed + layer)
        for first in range(0, len(rows), _COLUMNS):
            block = rows[first : first + _COLUMNS]
            value, row = _largest(together, block, signs)
            better = value > best
            best = torch.where(better, value, best)
            where[0, better], where[1, better] = layer, row[better] + first
            mixing = torch.randn(len(block), len(rows), generator=generator).to(rows.device)
            random = torch.maximum(random, _largest(together, _standardised(mixing @ rows), signs)[0])
        on_layer(layer + 1, len(other))
    sizes = [len(one) for one in own]
    parts = [torch.split(one, sizes) for one in (best, random, where[0], where[1])]
    columns = [[one.cpu().numpy() for one in part] for part in parts]
    return [
        Counterparts(rows, best, layer, row, random)
        for rows, best, random, layer, row in zip(cells, *columns, strict=True)
    ]


def _largest(rows: Float[Tensor, "rows n"], block: Float[Tensor, "block n"], signs: bool) -> tuple[Tensor, Tensor]:
    """The largest correlation of each row with a row of a block, and which."""
    found = rows @ block.T
    largest = (found.abs_() if signs else found).max(1)
    return largest.values, largest.indices
