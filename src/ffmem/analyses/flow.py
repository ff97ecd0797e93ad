"""Where a prediction comes from, as an exact sum that can be drawn: heads by the token that they read, cells, biases.

All parts are first-order: what each adds to the score by itself, with the scale of the final norm held as it is. What made a
part is another question, and has an exact answer for a cell: what its key is compared with is the stream through a norm, so
with the scale of that norm held, too, the product with its key is a sum of the same parts, those of earlier layers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ffmem.analyses.activation import ActiveCell, describe
from ffmem.analyses.attention.inputs import AttentionToken
from ffmem.analyses.decomposition import (
    SUM_TOLERANCE,
    LayerParts,
    at_position,
    check_added_up,
    next_token_logits,
    token_score,
)
from ffmem.analyses.explain import CellShare
from ffmem.analyses.flow_parts import MOST_PARTS, HeadShare, LayerSum, Sum
from ffmem.analyses.indexed import read_as_indexed
from ffmem.analyses.one_token import one_token
from ffmem.analyses.values import first_of_largest, rank_of
from ffmem.errors import InputError, ModelError
from ffmem.ids import CellId
from ffmem.json_values import Record
from ffmem.models.attention import AttentionLayer, AttentionStates
from ffmem.models.frozen_norm import FrozenNorm
from ffmem.models.inputs import as_row
from ffmem.models.mixture import MixtureLayer
from ffmem.models.tracing import trace
from ffmem.models.transformer import Transformer
from ffmem.models.unembedding import LinearScore, Quantity
from ffmem.models.vocabulary import display
from ffmem.options import Bos
from ffmem.store.reader import Index

_N_CELLS_OF_A_KEY = 40
"""Cells that are named among the parts of what a key saw."""
Branch = Literal["key", "gate", "up"]
"""Which input vector of a cell: the only one of ungated cells; one of the two of gated ones."""


@dataclass(frozen=True)
class KeySum:
    """What an input vector of a cell was given: its product with x, and the bias beside it, as a sum."""

    branch: Branch
    whole: float
    """As the model's own x gives it."""
    sum: Sum
    """The parts of earlier layers, and attention of its own layer, unless the cells read the stream before that."""
    error: float
    """Of the sum against the whole."""


@dataclass(frozen=True)
class Fired:
    """What made one cell fire: act(key . x + b); of a gated cell act(gate . x) times up . x, and an expert's routing weight."""

    cell: ActiveCell
    share: float
    """What it added to the score."""
    activation: str
    routed: bool
    """Whether it is a cell of an expert."""
    keys: tuple[KeySum, ...]
    """Of a gated cell two: gate and up."""
    why_not: str
    """Why there are none; usually empty."""


@dataclass(frozen=True)
class Flow(Record):
    """The score of a token after a text, as a sum of everything that was added at the last token that is read.

    With ``against``: the difference of the scores of two tokens.
    """

    model: str
    text: str
    tokens: tuple[AttentionToken, ...]
    """Those that are read, special ones before the text included; the sum is at the last."""
    later: tuple[AttentionToken, ...]
    """Tokens of the text behind it."""
    n_before: int
    """Special tokens before the text: token 0 of the text is `tokens[n_before]`."""
    target: str
    against: str | None
    score: float
    """Of the target (less that of ``against``); see `quantity`."""
    quantity: Quantity
    own: float
    """The model's own logit or log-probability of the target (less that of ``against``): the score, after any soft cap."""
    probability: float
    rank: int
    """Of the target, from 0."""
    sum: Sum
    """Its cells are those with the largest parts."""
    error: float
    """Of the sum of all parts against the score, and of the score, after any soft cap, against the model's own: the larger."""
    fired: tuple[Fired, ...]
    """Of the cells that were asked about."""


def flow(
    model: Transformer,
    text: str,
    *,
    target: str | None = None,
    against: str | None = None,
    at: int | None = None,
    index: Index | None = None,
    cells: Sequence[CellId] = (),
    limit: int = MOST_PARTS,
    bos: Bos | None = None,
) -> Flow:
    """The prediction after a token of a text as a sum over heads and the tokens that they read, cells and biases.

    Args:
        model: a causal model whose parts are added up (norms before the sub-layers, or around them).
        text: read as one input, as a sentence of an index is.
        target: exactly one token, spaces included; by default the model's own prediction.
        against: a second token: then all parts are of the difference of the two scores.
        at: after which token of the text, from 0, special ones not counted; None: after the last.
        index: an index of the model, to say what cells are.
        cells: what made these fire is told, too.
        limit: cells to name: those with the largest parts.
        bos: special tokens: as in the index, or "auto" without one.

    Raises:
        InputError: not such a model, not one token, no such token of the text, or a text that is empty or too long.
        ModelError: the parts do not add up to the model's own score.

    Cost: two forward passes, one with explicit attention weights; the values of all layers as float64.
    """
    check_added_up(model)
    read = read_as_indexed(model, text, index, bos)
    n = len(read.own.ids)
    if at is not None and not 0 <= at < n:
        raise InputError(f"the text has no token {at}", f"Expected 0 to {n - 1}", "Tokens of the text count from 0")
    n_read = n if at is None else at + 1
    ids = as_row(model, read.to_continue[: len(read.before) + n_read])
    with torch.inference_mode():
        layers = _run(model, ids)
        logits = next_token_logits(model, ids)
        token = int(first_of_largest(logits)[0]) if target is None else one_token(model, target)
        other = None if against is None else one_token(model, against)
        score = token_score(model, layers[-1].parts.state.layer_output, logits[0], token, other)
        start = layers[0].parts.state.layer_input
        found = _sum(model, index, start, layers, score.linear, limit, len(layers))
        without_ends = [found.total - found.constant - found.normalisers]
        tokens = [
            AttentionToken(display(model.vocabulary[one]), one, place < len(read.before))
            for place, one in enumerate(read.to_continue)
        ]
        return Flow(
            model=model.facts.name,
            text=text,
            tokens=tuple(tokens[: ids.shape[1]]),
            later=tuple(tokens[ids.shape[1] :]),
            n_before=len(read.before),
            target=display(model.vocabulary[token]),
            against=None if other is None else display(model.vocabulary[other]),
            score=score.whole,
            quantity=model.unembedding.quantity,
            own=score.own,
            probability=float(logits.softmax(-1)[0, token]),
            rank=int(rank_of(logits, torch.tensor([token], device=logits.device))),
            sum=found,
            error=score.error_of(model, without_ends),
            fired=tuple(_fired(model, index, layers, cell, score.linear) for cell in cells),
        )


@dataclass(frozen=True)
class _Heads:
    """What the heads of one layer read at the last position."""

    layer: AttentionLayer
    weights: Float[Tensor, "heads tokens"]
    values: Float[Tensor, "tokens heads d_head"]
    after: FrozenNorm | None
    """The norm that the output passes before it is added."""

    def shares(self, score: LinearScore) -> tuple[Float[Tensor, "heads tokens"], float]:
        """What each head added to a score because of each token, and what all add whatever they read."""
        matrix, bias = self.layer.output_matrix().double(), self.layer.output_bias()
        of_bias = 0.0 if bias is None else float(score.of(self._arriving(bias.double())))
        if self.after is not None and self.after.bias is not None:
            of_bias += float(score.of(self.after.bias))
        per_dimension = score.of(self._arriving(matrix))
        return self.weights * torch.einsum("jhe,he->hj", self.values, per_dimension), of_bias

    def _arriving(self, vectors: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        return vectors if self.after is None else self.after.shaped(vectors) * self.after.scale


@dataclass(frozen=True)
class _Layer:
    """What one layer added at the last position."""

    parts: LayerParts
    heads: _Heads | None
    not_split: str


def _run(model: Transformer, ids: Tensor) -> list[_Layer]:
    """What every layer added at the last position of one input."""
    places = (torch.tensor([0], device=ids.device), torch.tensor([ids.shape[1] - 1], device=ids.device))
    seen: dict[int, list[_Heads]] = {}

    def keep(layer: AttentionLayer, states: AttentionStates) -> None:
        output, after = states.output[0, -1], None
        if layer.placement == "sandwich":
            after = model.unembedding.freeze(layer.norm_after, output)
        weights, values = states.weights[0, :, -1].double(), layer.expand(states.values[0]).double()
        seen.setdefault(layer.place, []).append(_Heads(layer, weights, values, after))

    refused = ""
    try:
        with model.watch_attention(keep):
            states = trace(model, ids, at=places)
    except ModelError as error:  # attention that is not understood
        refused, seen = error.got, {}
        states = trace(model, ids, at=places)
    return [
        _layer_of(model, place, LayerParts(model, place, at_position(state, 0)), seen.get(place, []), refused)
        for place, state in enumerate(states)
    ]


def _layer_of(model: Transformer, place: int, parts: LayerParts, heads: list[_Heads], refused: str) -> _Layer:
    layout = model.layout(place)
    if refused:
        return _Layer(parts, None, refused)
    if layout.before or (layout.beside and not layout.parallel):
        return _Layer(parts, None, "more than attention stands before its feed-forward layer")
    if len(heads) != 1:
        return _Layer(parts, None, f"it has {len(heads)} attention sub-layers")
    return _Layer(parts, heads[0], "")


def _sum(
    model: Transformer,
    index: Index | None,
    start: Float[Tensor, "d_model"],
    layers: Sequence[_Layer],
    score: LinearScore,
    limit: int,
    n_whole: int,
) -> Sum:
    """A score as a sum over the stream that enters the first layer, and layers: of the first ``n_whole`` cells, too."""
    shares = [one.parts.shares(score) for one in layers[:n_whole]]
    named = _named(model, index, layers, shares, limit)
    return Sum(
        embedding=float(score.of(start)),
        layers=tuple(
            _layer_sum(
                model, place, one, score, shares[place] if place < n_whole else None, tuple(named.get(place, ()))
            )
            for place, one in enumerate(layers)
        ),
        constant=score.constant,
        normalisers=score.normalisers,
    )


def _layer_sum(
    model: Transformer,
    place: int,
    layer: _Layer,
    score: LinearScore,
    cells: Float[Tensor, "cells"] | None,
    named: tuple[CellShare, ...],
) -> LayerSum:
    attention = float(score.of(layer.parts.attention))
    heads, of_bias, not_split = _heads(model, layer, score, attention)
    shares = torch.zeros(0, dtype=torch.float64) if cells is None else cells
    return LayerSum(
        layer=model.cells.layers[place].name,
        attention=attention,
        heads=heads,
        attention_bias=of_bias,
        not_split=not_split,
        cells=float(shares.sum()),
        cells_above=float(shares.clamp(min=0).sum()),
        cells_below=float(shares.clamp(max=0).sum()),
        n_cells=int((shares != 0).sum()),
        largest=named,
        bias=0.0 if cells is None else float(score.of(layer.parts.bias)),
    )


def _heads(
    model: Transformer, layer: _Layer, score: LinearScore, attention: float
) -> tuple[tuple[HeadShare, ...], float, str]:
    """The heads of a layer, their bias, and why they cannot be told apart."""
    if layer.heads is None:
        return (), 0.0, layer.not_split
    shares, of_bias = layer.heads.shares(score)
    missed = abs(float(shares.sum()) + of_bias - attention)
    limit = SUM_TOLERANCE[model.facts.dtype] * max(abs(attention), float(shares.abs().max()), 1.0)
    if not missed <= limit:
        return (), 0.0, f"its heads do not add up to it: they miss it by {missed:.2g}"
    found = (HeadShare(head, float(own.sum()), tuple(own.tolist())) for head, own in enumerate(shares))
    return tuple(found), of_bias, ""


def _named(
    model: Transformer, index: Index | None, layers: Sequence[_Layer], shares: list[Tensor], limit: int
) -> dict[int, list[CellShare]]:
    """By layer, those of its cells that have the largest parts of all."""
    candidates: list[tuple[float, int, int]] = []
    for place, own in enumerate(shares):
        best = own.abs().topk(min(limit, len(own))).indices
        candidates += [
            (share, place, row) for share, row in zip(own[best].tolist(), best.tolist(), strict=True) if share
        ]
    candidates.sort(key=lambda one: (-abs(one[0]), one[1], one[2]))
    found: dict[int, list[CellShare]] = {}
    for share, place, row in candidates[:limit]:
        m = float(layers[place].parts.state.coefficients[row])
        found.setdefault(place, []).append(CellShare(share, describe(model, index, place, row, m)))
    return found


def _fired(
    model: Transformer, index: Index | None, layers: Sequence[_Layer], cell: CellId, score: LinearScore
) -> Fired:
    """What made a cell fire."""
    place, row = model.cells.place(cell)
    parts = layers[place].parts
    known = describe(model, index, place, row, float(parts.state.coefficients[row]))
    share = float(parts.coefficients[row] * score.of(parts.values[row]))
    routed = isinstance(model.layer(place), MixtureLayer)
    found = Fired(known, share, model.facts.activation, routed, (), "")
    try:
        return replace(found, keys=tuple(_key_sums(model, index, layers[: place + 1], row)))
    except ModelError as error:
        return replace(found, why_not=error.got)


def _key_sums(model: Transformer, index: Index | None, layers: Sequence[_Layer], row: int) -> list[KeySum]:
    """What the input vectors of a cell of the last of some layers were given."""
    place, parts = len(layers) - 1, layers[-1].parts
    if model.facts.gated:
        vectors: list[tuple[Branch, Tensor, Tensor | None]] = [
            ("gate", model.gate_keys(place)[row], model.key_bias(place)),
            ("up", model.up_keys(place)[row], model.up_bias(place)),
        ]
    else:
        vectors = [("key", model.keys(place)[row], model.key_bias(place))]
    # cells beside attention read the stream before it has added to it
    read = layers[:-1] if model.layout(place).parallel else layers
    start = layers[0].parts.state.layer_input
    found = []
    for branch, key, bias in vectors:
        constant = 0.0 if bias is None else float(bias[row])
        whole = float(key.double() @ parts.state.ff_input.double()) + constant
        score = _as_score(model, place, parts, key.double(), constant)
        own = _sum(model, index, start, read, score, _N_CELLS_OF_A_KEY, place)
        error = abs(own.total - whole)
        limit = SUM_TOLERANCE[model.facts.dtype] * max(abs(whole), 1.0)
        if not error <= limit:
            raise ModelError(
                f"what its {branch} is given is not the sum of the stream's parts: it differs by {error:.2g}",
                f"Expected at most {limit:.1g}",
                "Its layers differ from those of its family: see docs/how-to/add-a-family.md",
            )
        found.append(KeySum(branch, whole, own, error))
    return found


def _as_score(
    model: Transformer, place: int, parts: LayerParts, key: Float[Tensor, "d_model"], constant: float
) -> LinearScore:
    """How the product with a key comes from the stream, the scale of the norm before it held as it is."""
    layout, state = model.layout(place), parts.state
    if not layout.ff_norm:
        return LinearScore(key, 1.0, constant)
    before = state.layer_input if layout.parallel else state.residual
    norm = model.unembedding.freeze(model.layer(place).at(layout.ff_norm), before.to(state.ff_input.dtype))
    if norm.bias is not None:
        constant += float(key @ norm.bias)
    direction = key * norm.gain
    return LinearScore(direction - direction.mean() if norm.centres else direction, float(norm.scale), constant)
