"""Whether a cell fires alike at two moments: the correlation of its coefficients over the same positions, from streamed sums.

A cell that is scaled or turned, with everything that reads it, keeps this; nothing else here has that property.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float64, Int
from torch import Tensor

from ffmem.analyses.intervals import draws_of
from ffmem.analyses.prefixes import passes, rows_of
from ffmem.analyses.updates.positions import Positions
from ffmem.models.transformer import Transformer
from ffmem.options import Bos

BATCH_TOKENS = 512
N_GROUPS = 40
"""Groups of whole documents that sums are kept of, at most: what an interval is drawn from."""
_COLUMNS = 256
Sums = Float64[np.ndarray, "groups 6 cells"]
"""Over the positions of each group: their number, x, y, x^2, y^2, x y."""


def groups_of(documents: Int[np.ndarray, "n"], seed: int = 0) -> tuple[Int[np.ndarray, "n"], int]:
    """The group of each position by its document, and how many groups there are: at most `N_GROUPS`."""
    _, numbers = np.unique(documents, return_inverse=True)
    n = int(numbers.max(initial=-1)) + 1
    shuffled = np.random.default_rng([seed, 32]).permutation(n) % min(n, N_GROUPS)
    return shuffled[numbers].astype(np.int64), min(n, N_GROUPS)


def paired_sums(
    models: Sequence[Transformer],
    pairs: Sequence[tuple[int, int]],
    positions: Positions,
    groups: Int[np.ndarray, "n"],
    n_groups: int,
    *,
    bos: Bos,
    orders: Sequence[Sequence[Int[np.ndarray, "cells"]]] | None = None,
) -> list[list[Sums]]:
    """What correlations are made of, for pairs of models that read the same text side by side.

    Args:
        models: of one shape.
        pairs: which two of them.
        positions: of the text.
        groups: the group of each position.
        n_groups: how many there are.
        bos: special tokens.
        orders: for each model and layer, which of its cells stands in the place of each; by default itself.

    Returns:
        for each pair, for each layer, its sums.

    Cost: a pass of each model over the positions; memory of a batch, and of the sums.
    """
    layers = models[0].cells.layers
    found = [[np.zeros((n_groups, 6, layer.n_cells)) for layer in layers] for _ in pairs]
    for one in passes(models[0], positions.prefixes.sentences, bos, batch_tokens=BATCH_TOKENS):
        some, rows, columns = rows_of(positions.prefixes, one)
        member = torch.from_numpy(np.eye(n_groups)[groups[some]].T.copy())
        states = [_coefficients(model, one.token_ids, one.attention_mask, rows, columns) for model in models]
        if orders is not None:
            states = [[m[:, rows] for m, rows in zip(*both, strict=True)] for both in zip(states, orders, strict=True)]
        for sums, (first, second) in zip(found, pairs, strict=True):
            for layer in range(len(layers)):
                x, y = states[first][layer].double(), states[second][layer].double()
                sums[layer][:, 0] += member.sum(1).numpy()[:, None]
                for place, term in enumerate((x, y, x * x, y * y, x * y), start=1):
                    sums[layer][:, place] += (member @ term).numpy()
    return found


def _coefficients(model: Transformer, ids: Tensor, mask: Tensor, rows: Tensor, columns: Tensor) -> list[Tensor]:
    """The coefficients of all cells of each layer at some positions of a batch."""
    kept: list[Tensor] = [torch.empty(0)] * len(model.cells.layers)

    def keep(layer: int, m: Tensor) -> None:
        kept[layer] = m[rows, columns].float().cpu()

    with torch.inference_mode(), model.watch_coefficients(keep):
        model.forward(ids.to(model.device), mask.to(model.device))
    return kept


def correlations(sums: Float64[np.ndarray, "*draws 6 cells"]) -> Float64[np.ndarray, "*draws cells"]:
    """Pearson's correlation of each cell with itself; NaN for one that does not vary at both moments.

    A spread of less than a millionth of the size of the numbers is rounding.
    """
    n, x, y, xx, yy, xy = (sums[..., place, :] for place in range(6))
    with np.errstate(divide="ignore", invalid="ignore"):
        left, right, both = xx - x * x / n, yy - y * y / n, xy - x * y / n
        varies = (left > 1e-12 * xx) & (right > 1e-12 * yy)
        found: np.ndarray = np.clip(both / np.sqrt(np.where(varies, left * right, np.nan)), -1, 1)
    return np.where(varies, found, np.nan)


def mean_draws(sums: Sums, seed: int = 0) -> Float64[np.ndarray, "draws"]:
    """The mean correlation of a layer's cells in each draw of its groups of documents; cells that do not vary are left out."""
    draws = draws_of(len(sums), seed)
    total, n = np.zeros(len(draws)), np.zeros(len(draws))
    for first in range(0, sums.shape[2], _COLUMNS):
        block = sums[:, :, first : first + _COLUMNS]
        drawn = (draws @ block.reshape(len(block), -1)).reshape(len(draws), 6, -1)
        found = correlations(drawn)
        total += np.nansum(found, axis=1)
        n += np.isfinite(found).sum(1)
    with np.errstate(invalid="ignore"):
        return total / n
