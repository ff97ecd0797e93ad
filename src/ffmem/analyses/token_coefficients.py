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
    place, row = model.cells.place(cell)
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


def _of_batch(
    model: Transformer, sentences: dict[int, list[int]], special: SpecialTokens, where: tuple[int, int]
) -> dict[int, np.ndarray]:
    place, row = where
    ids, mask = padded_rows(list(sentences.values()), special.prefix, special.suffix, model.pad_id)
    seen: list[np.ndarray] = []

    def on_layer(layer: int, coefficients: Float[Tensor, "batch positions cells"]) -> None:
        if layer == place:
            seen.append(coefficients[..., row].float().cpu().numpy().copy())
            raise _Enough  # the layers above change nothing

    with suppress(_Enough), torch.inference_mode(), model.watch_coefficients(on_layer):
        model.forward(torch.from_numpy(ids).to(model.device), torch.from_numpy(mask))
    first = len(special.prefix)
    return {one: seen[0][number, first : first + len(own)] for number, (one, own) in enumerate(sentences.items())}
