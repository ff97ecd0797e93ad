"""A layer's update once more, as the sum of a dictionary's cells: what they add to a score, and what they leave over."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from ffmem.analyses.activation import ActiveCell, describe
from ffmem.analyses.decomposition import LayerParts
from ffmem.models.transformer import Transformer
from ffmem.models.unembedding import LinearScore
from ffmem.store.reader import Index


@dataclass(frozen=True)
class DictionaryCell:
    """What one cell of a dictionary would add to the score."""

    share: float
    cell: ActiveCell


@dataclass(frozen=True)
class DictionaryShare:
    """A layer's update as its dictionary has it: cells + bias + skip + left over = what the layer adds, exactly."""

    dictionary: str
    """``L9.tc16k``."""
    update: float
    """What the layer adds to the score: its own cells and bias together."""
    cells: float
    """All cells of the dictionary together."""
    bias: float
    skip: float
    """Of the matrix that carries what is read past the cells; 0 without one."""
    left_over: float
    """What the dictionary does not reconstruct here, as a share of the score."""
    unexplained: float
    """Of the update itself: |y - y'|^2 / |y|^2 at this position."""
    n_active: int
    """Cells above 0 here."""
    largest: tuple[DictionaryCell, ...]
    """Those with the largest shares, of either sign."""


def dictionary_shares(
    model: Transformer,
    ids: Int[Tensor, "one positions"],
    layers: Sequence[LayerParts],
    score: LinearScore,
    index: Index | None,
    limit: int,
) -> tuple[DictionaryShare, ...]:
    """The shares of the dictionaries that write what their layer adds to the stream, at the last position.

    Those that write another state, such as the stream itself, are no decomposition of an update, and are left out.
    """
    chosen = [
        (place, one)
        for place, one in enumerate(model.dictionaries, model.facts.n_layers)
        if one.facts.writes == "update" or (one.facts.writes == "mlp-output" and not one.around.layout.post_ff_norm)
    ]
    read: dict[int, Tensor] = {}
    stops = [
        one.around.watch(one.facts.reads, lambda states, place=place: read.update({place: states.detach().clone()}))  # type: ignore[misc]
        for place, one in chosen
    ]
    try:
        if stops:
            model.forward(ids)
    finally:
        for stop in stops:
            stop()
    found = []
    for place, one in chosen:
        own = model.cells.parse_layer(one.cells.own_name)
        x = read[place].reshape(ids.shape[1], -1)[-1:]
        scale = one.around.layout.update_scale if one.facts.writes == "mlp-output" else 1.0
        m = one.coefficients(x)[0].double()
        shares = m * score.of(one.values.double() * scale)
        bias = one.value_bias.double() * scale
        skip = (x[0].double() @ one.skip.double().T if one.skip is not None else torch.zeros_like(bias)) * scale
        update = layers[own].feed_forward
        rest = update - (m @ one.values.double() * scale + bias + skip)
        best = [row for row in shares.abs().topk(min(limit, len(shares))).indices.tolist() if m[row] > 0]
        found.append(
            DictionaryShare(
                dictionary=one.cells.name,
                update=float(score.of(update)),
                cells=float(shares.sum()),
                bias=float(score.of(bias)),
                skip=float(score.of(skip)),
                left_over=float(score.of(rest)),
                unexplained=float(rest.square().sum() / update.square().sum()),
                n_active=int((m > 0).sum()),
                largest=tuple(
                    DictionaryCell(float(shares[row]), describe(model, index, place, row, float(m[row])))
                    for row in best
                ),
            )
        )
    return tuple(found)
