"""The coefficient of one cell at every token of stored sentences."""

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ffmem.ids import CellId
from ffmem.models.inputs import padded_rows
from ffmem.models.transformer import Transformer
from ffmem.store.manifest import SpecialTokens
from ffmem.store.reader import Index

_BATCH_TOKENS = 2048
"""Most tokens of one forward pass, padding included."""


def token_coefficients(
    model: Transformer, index: Index, cell: CellId, sentence_ids: Sequence[int]
) -> dict[int, np.ndarray]:
    """What multiplies the cell's value at each token of some sentences, read as they were when the index was built.

    Args:
        model: the model of the index.
        index: an opened index.
        cell: one of its cells.
        sentence_ids: some of its sentences; the same one may be named twice.

    Returns:
        by sentence id the coefficients of its own tokens, (n_tokens,) float32. They are equal to the stored ones to rounding:
        other sentences share a batch here.

    Raises:
        InputError: no such sentence.

    Cost: a forward pass up to the cell's layer over the sentences, a few at a time.
    """
    place, row = model.all_cells.place(cell)
    special = index.manifest.special_tokens
    own = {one: index.text.sentence(one).token_ids.tolist() for one in dict.fromkeys(sentence_ids)}
    found: dict[int, np.ndarray] = {}
    batch: list[int] = []
    for one in sorted(own, key=lambda one: (len(own[one]), one)):
        length = len(own[one]) + len(special.prefix) + len(special.suffix)
        rows = model.batching.rows
        apart = rows == "alone" or (rows == "equal-length" and bool(batch) and len(own[batch[0]]) != len(own[one]))
        if batch and (apart or (len(batch) + 1) * length > _BATCH_TOKENS):
            found |= _of_batch(model, {i: own[i] for i in batch}, special, (place, row))
            batch = []
        batch.append(one)
    if batch:
        found |= _of_batch(model, {i: own[i] for i in batch}, special, (place, row))
    return found


class _Enough(Exception):  # noqa: N818 (nothing is wrong: a pass is over)
    """Ends a forward pass."""


def row_coefficients(
    model: Transformer, token_ids: Sequence[int], where: tuple[int, int]
) -> Float[np.ndarray, "positions"]:
    """The coefficients of a cell, by its layer's place and its row there, at every token of one input, special ones too.

    Cost: a forward pass up to the cell's layer.
    """
    ids = np.array([token_ids], dtype=np.int64)
    row: Float[np.ndarray, positions] = _seen(model, ids, np.ones_like(ids), where)[0]
    return row


def _of_batch(
    model: Transformer, sentences: dict[int, list[int]], special: SpecialTokens, where: tuple[int, int]
) -> dict[int, np.ndarray]:
    ids, mask = padded_rows(list(sentences.values()), special.prefix, special.suffix, model.pad_id)
    seen, first = _seen(model, ids, mask, where), len(special.prefix)
    return {one: seen[number, first : first + len(own)] for number, (one, own) in enumerate(sentences.items())}


def _seen(model: Transformer, ids: np.ndarray, mask: np.ndarray, where: tuple[int, int]) -> np.ndarray:
    """(batch, positions) the coefficients of a cell."""
    place, row = where
    seen: list[np.ndarray] = []

    def on_layer(layer: int, coefficients: Float[Tensor, "batch positions cells"]) -> None:
        seen.append(coefficients[..., row].float().cpu().numpy().copy())
        raise _Enough  # the layers above change nothing

    with suppress(_Enough), torch.inference_mode(), model.watch_coefficients(on_layer, layers={place}):
        model.forward(torch.from_numpy(ids).to(model.device), torch.from_numpy(mask))
    return seen[0]
