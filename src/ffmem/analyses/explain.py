"""One prediction as an exact sum: what the embedding, attention, every cell and every bias added to a score."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ffmem.analyses.activation import ActiveCell, describe
from ffmem.analyses.decomposition import (
    LayerParts,
    at_position,
    check_added_up,
    next_token_logits,
    token_score,
)
from ffmem.analyses.dictionary_shares import DictionaryShare, dictionary_shares
from ffmem.analyses.indexed import read_as_indexed
from ffmem.analyses.one_token import one_token
from ffmem.analyses.values import first_of_largest, rank_of
from ffmem.json_values import JsonObject, Record, fields_to_json
from ffmem.models.inputs import as_row
from ffmem.models.tracing import trace
from ffmem.models.transformer import Transformer
from ffmem.models.unembedding import LinearScore, Quantity
from ffmem.models.vocabulary import display
from ffmem.options import Bos
from ffmem.store.reader import Index

_N_LIKELY = 5
"""Tokens that may come next, shown beside the one that is explained."""


@dataclass(frozen=True)
class LayerShare:
    """What one layer added to the score, and what it would predict."""

    layer: str
    attention: float
    cells: float
    """All cells together."""
    bias: float
    """The b of y = sum of m_i v_i + b."""
    residual_token: str
    """Top token of r, the stream before the feed-forward layer."""
    residual_probability: float
    output_token: str
    """Top token of o, the stream after it."""
    output_probability: float
    target_rank: int
    """Rank of the target under o, from 0."""
    target_probability: float


@dataclass(frozen=True)
class CellShare:
    """What one cell added to the score."""

    share: float
    cell: ActiveCell


@dataclass(frozen=True)
class NextToken:
    """A token that may come next."""

    token: str
    token_id: int
    probability: float


@dataclass(frozen=True)
class Explanation(Record):
    """A token's score after a text, as a sum: embedding, layers, constant and normalisers.

    With ``against``: the difference of the scores of two tokens.
    """

    text: str
    target: str
    against: str | None
    score: float
    """Of the target (less that of ``against``); see `quantity`."""
    quantity: Quantity
    """What the score is: the logit; the logit before the soft cap, where the model has one; or, under an adaptive softmax, the
    log-probability in nats."""
    own: float
    """The model's own logit or log-probability of the target (less that of ``against``): the score, after any soft cap."""
    probability: float
    """Of the target."""
    rank: int
    """Of the target, from 0."""
    embedding: float
    layers: tuple[LayerShare, ...]
    constant: float
    """What does not depend on the text: the final norm's bias seen through the unembedding, and the output bias."""
    normalisers: float
    """Under an adaptive softmax, what the normalisers add: of the head, and of the word's band; of two words of one band
    nothing, since they share theirs. They depend on the text, but are no sum of parts. 0 for other heads."""
    error: float
    """Of the sum of all parts against the score, and of the score, after any soft cap, against the model's own: the larger."""
    cells: tuple[CellShare, ...]
    """Those with the largest shares, of either sign."""
    dictionaries: tuple[DictionaryShare, ...] = ()
    """The updates of layers once more, as dictionaries of the index have them; they are no further parts of the sum."""
    target_id: int = 0
    against_probability: float | None = None
    """Of ``against``, if it is given."""
    likely: tuple[NextToken, ...] = ()
    """The most probable tokens, most probable first."""

    def to_json(self) -> JsonObject:
        """The fields; dictionaries where there are some."""
        return fields_to_json(self, *(() if self.dictionaries else ("dictionaries",)))

    @property
    def largest_part(self) -> float:
        """The largest part of the score, in size, normalisers left out, which no part has a share of; 1 if all are 0."""
        parts = [self.embedding, self.constant]
        parts += [part for one in self.layers for part in (one.attention, one.cells, one.bias)]
        return max(map(abs, parts)) or 1.0

    @property
    def largest_cell(self) -> float:
        """The largest share of a cell, in size; 1 if all are 0, or there is none."""
        return max((abs(one.share) for one in self.cells), default=0.0) or 1.0


def explain(
    model: Transformer,
    text: str,
    *,
    target: str | None = None,
    against: str | None = None,
    index: Index | None = None,
    limit: int = 20,
    bos: Bos | None = None,
) -> Explanation:
    """The prediction after a text, as a sum of what every part of the model added.

    See `decomposition` for the sum.

    Args:
        model: a causal model whose parts are added up (norms before the sub-layers, or around them).
        text: read as one input, as a sentence of an index is.
        target: exactly one token, spaces included; by default the model's own prediction.
        against: a second token: then all shares are of the difference, which is what decides between the two, and which no
            shift of all logits changes.
        index: an index of the model, to say what cells are; its dictionaries are shown too.
        limit: cells to name.
        bos: special tokens: as in the index, or "auto" without one.

    Raises:
        InputError: not such a model, not one token, or a text that is empty or too long.
        ModelError: the parts do not add up to the model's own score.

    Cost: two forward passes, and the states of its layers.
    """
    check_added_up(model)
    read = read_as_indexed(model, text, index, bos)
    ids = as_row(model, read.to_continue)
    with torch.inference_mode():
        layers = [LayerParts(model, number, at_position(state, -1)) for number, state in enumerate(trace(model, ids))]
        final = layers[-1].state.layer_output
        logits = next_token_logits(model, ids)
        token = int(first_of_largest(logits)[0]) if target is None else one_token(model, target)
        other = None if against is None else one_token(model, against)
        score = token_score(model, final, logits[0], token, other)
        cell_shares = [layer.shares(score.linear) for layer in layers]
        shares = tuple(
            _layer(model, number, layers[number], cell_shares[number], score.linear, token)
            for number in range(len(layers))
        )
        embedding = float(score.linear.of(layers[0].state.layer_input))
        error = score.error_of(model, [embedding, *(layer.attention + layer.cells + layer.bias for layer in shares)])
        vocabulary = model.vocabulary
        return Explanation(
            text=text,
            target=display(vocabulary[token]),
            against=None if other is None else display(vocabulary[other]),
            score=score.whole,
            quantity=model.unembedding.quantity,
            own=score.own,
            probability=float(logits.softmax(-1)[0, token]),
            rank=int(rank_of(logits, torch.tensor([token], device=logits.device))),
            embedding=embedding,
            layers=shares,
            constant=score.linear.constant,
            normalisers=score.linear.normalisers,
            error=error,
            cells=_largest(model, index, layers, cell_shares, limit),
            dictionaries=dictionary_shares(model, ids, layers, score.linear, index, limit),
            target_id=token,
            against_probability=None if other is None else float(logits.softmax(-1)[0, other]),
            likely=_likely(model, logits[0]),
        )


def _likely(model: Transformer, logits: Float[Tensor, "d_vocab"]) -> tuple[NextToken, ...]:
    best = logits.softmax(-1).topk(min(_N_LIKELY, len(logits)))
    return tuple(
        NextToken(display(model.vocabulary[number]), number, probability)
        for probability, number in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    )


def _layer(
    model: Transformer,
    number: int,
    layer: LayerParts,
    cell_shares: Float[Tensor, "cells"],
    score: LinearScore,
    token: int,
) -> LayerShare:
    state, projection = layer.state, model.unembedding.own_projection
    r, o = (
        model.project(stream, projection).float().softmax(-1)[None] for stream in (state.residual, state.layer_output)
    )
    (top_r, p_r), (top_o, p_o) = first_of_largest(r), first_of_largest(o)
    return LayerShare(
        layer=model.cells.layers[number].name,
        attention=float(score.of(layer.attention)),
        cells=float(cell_shares.sum()),
        bias=float(score.of(layer.bias)),
        residual_token=display(model.vocabulary[int(top_r)]),
        residual_probability=float(p_r),
        output_token=display(model.vocabulary[int(top_o)]),
        output_probability=float(p_o),
        target_rank=int(rank_of(o, torch.tensor([token], device=o.device))),
        target_probability=float(o[0, token]),
    )


def _largest(
    model: Transformer, index: Index | None, layers: list[LayerParts], cell_shares: list[Tensor], limit: int
) -> tuple[CellShare, ...]:
    """The cells with the largest shares, of either sign."""
    candidates: list[tuple[float, int, int, float]] = []
    for number, (layer, shares) in enumerate(zip(layers, cell_shares, strict=True)):
        best = shares.abs().topk(min(limit, len(shares))).indices
        coefficients = layer.state.coefficients[best].tolist()
        candidates += [
            (share, number, row, m)
            for share, row, m in zip(shares[best].tolist(), best.tolist(), coefficients, strict=True)
        ]
    candidates.sort(key=lambda cell: (-abs(cell[0]), cell[1], cell[2]))
    return tuple(
        CellShare(share, describe(model, index, number, row, m)) for share, number, row, m in candidates[:limit]
    )
