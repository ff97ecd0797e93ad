"""One prediction as an exact sum: what the embedding, attention, every cell and every bias added to a score."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ffmem.analyses.activation import ActiveCell, check_length, check_model, describe
from ffmem.analyses.one_token import one_token
from ffmem.analyses.refinement import own_projections
from ffmem.analyses.values import first_of_largest, rank_of
from ffmem.errors import InputError, ModelError
from ffmem.index.identity import longest_input
from ffmem.models.tracing import trace
from ffmem.models.transformer import LayerTrace, Transformer
from ffmem.models.unembedding import LinearScore, Quantity
from ffmem.models.vocabulary import display
from ffmem.options import Bos, IndexOptions
from ffmem.store.reader import Index


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
class Explanation:
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

    @property
    def largest_part(self) -> float:
        """The largest part of the score, in size; 1 if all are 0."""
        parts = [self.embedding, self.constant, self.normalisers]
        parts += [part for one in self.layers for part in (one.attention, one.cells, one.bias)]
        return max(map(abs, parts)) or 1.0

    @property
    def largest_cell(self) -> float:
        """The largest share of a cell, in size; 1 without cells."""
        return max((abs(one.share) for one in self.cells), default=1.0)


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

    A final norm is a linear map once the state is known: every part is read through it with the scale that the whole state
    had, so that the parts add up to the score.

    Args:
        model: a causal model whose parts are added up (norms before the sub-layers, or around them).
        text: read as one input, as a sentence of an index is.
        target: exactly one token, spaces included; by default the model's own prediction.
        against: a second token: then all shares are of the difference, which is what decides between the two, and which no
            shift of all logits changes.
        index: an index of the model, to say what cells are.
        limit: cells to name.
        bos: special tokens: as in the index, or "auto" without one.

    Raises:
        InputError: not such a model, not one token, or a text that is empty or too long.
        ModelError: the parts do not add up to the model's own score.

    Cost: two forward passes, and the states of its layers.
    """
    _check_kind(model)
    if index is not None:
        check_model(index, model)
    options = IndexOptions(**index.manifest["identity"]["options"]) if index else IndexOptions()
    before, after = model.special_tokens(bos or options.bos)
    own = model.tokenizer(text, add_special_tokens=False).input_ids
    check_length(text, len(own), longest_input(model, options) - len(before) - len(after))
    ids = torch.tensor([[*before, *own]], device=model.values(0).device)
    with torch.inference_mode():
        states = [_last(one) for one in trace(model, ids)]
        final = states[-1].layer_output
        logits = model_logits(model, ids)
        token = int(first_of_largest(logits)[0]) if target is None else one_token(model, target)
        other = None if against is None else one_token(model, against)
        score, capped = _score(model, final, token, other)
        vocabulary = model.vocabulary
        layers = tuple(_layer(model, states, place, score, token, vocabulary) for place in range(len(states)))
        embedding = float(score.of(states[0].layer_input))
        total = embedding + sum(one.attention + one.cells + one.bias for one in layers)
        total += score.constant + score.normalisers
        whole = score.whole(final)
        own_score = float(logits[0, token]) - (0.0 if other is None else float(logits[0, other]))
        error = max(abs(total - whole), abs(capped - own_score))
        check_sum(model, error, float(logits.abs().max()))
        return Explanation(
            text=text,
            target=display(vocabulary[token]),
            against=None if other is None else display(vocabulary[other]),
            score=whole,
            quantity=model.unembedding.quantity,
            own=own_score,
            probability=float(logits.softmax(-1)[0, token]),
            rank=int(rank_of(logits, torch.tensor([token], device=logits.device))),
            embedding=embedding,
            layers=layers,
            constant=score.constant,
            normalisers=score.normalisers,
            error=error,
            cells=_largest(model, index, states, score, limit),
        )


SUM_TOLERANCE = {"float32": 1e-3, "float16": 5e-2, "bfloat16": 3e-1}
"""Largest error of a sum of parts before it is refused, as a share of the largest score: rounding, with a wide margin."""


def model_logits(model: Transformer, ids: Int[Tensor, "one positions"]) -> Float[Tensor, "one d_vocab"]:
    """The model's own scores at the last position, by its own call."""
    logits = model.logits(ids)
    assert logits is not None  # `_check_kind` made sure that it has a head
    return logits[:, -1].float()


def check_sum(model: Transformer, error: float, scale: float) -> None:
    """Refuse parts that are not those of the model's own score.

    Raises:
        ModelError: they miss it by more than rounding.
    """
    limit = SUM_TOLERANCE[model.facts.dtype] * max(scale, 1.0)
    if not error <= limit:
        raise ModelError(
            f"the parts of a prediction of {model.facts.name} miss the model's own score by {error:.2g}",
            f"Expected at most {limit:.1g}, the rounding of {model.facts.dtype}",
            "Its final norm or its head is of another kind than that of its family: see docs/how-to/add-a-family.md",
        )


def check_causal(model: Transformer) -> None:
    """Refuse a model that does not predict the next token of a text."""
    facts = model.facts
    if not facts.causal or any(layer.stack for layer in facts.layers):
        raise InputError(
            f"{facts.name} is not a causal language model",
            "Expected a model that predicts the next token of a text",
            "Ask another model",
        )


def _check_kind(model: Transformer) -> None:
    facts = model.facts
    check_causal(model)
    if facts.norm_placement not in ("pre", "sandwich"):
        raise InputError(
            f"the stream of {facts.name} passes a norm in every layer: what is added to it is not what arrives",
            "Expected norms before the sub-layers, or around them",
            "Ask another model",
        )


def _last(state: LayerTrace) -> LayerTrace:
    """The states at the last position alone."""
    return LayerTrace(**{name: getattr(state, name)[0, -1] for name in LayerTrace.__dataclass_fields__})


def _score(model: Transformer, final: Tensor, token: int, other: int | None) -> tuple[LinearScore, float]:
    """Of a token, less that of another if there is one; and what becomes of it behind a soft cap."""
    score, capped = model.linear_score(final, token), model.unembedding.capped
    if other is None:
        return score, capped(score.whole(final))
    second = model.linear_score(final, other)
    return score.less(second), capped(score.whole(final)) - capped(second.whole(final))


def _cell_shares(model: Transformer, place: int, state: LayerTrace, score: LinearScore) -> Tensor:
    """(cells,) what each adds, float64."""
    return state.coefficients.double() * score.of(model.value_rows(place)) * _norm_scale(model, place, state)


def _norm_scale(model: Transformer, place: int, state: LayerTrace) -> float:
    """What the norm after the feed-forward layer scales with at this position, its gain apart; 1 where there is none."""
    path = model.layout(place).post_ff_norm
    if not path:
        return 1.0
    shaped = state.ff_output.double() * model.unembedding.gain(model.layer(place).at(path)).double()
    return float(state.ff_update.double() @ shaped / (shaped @ shaped))


def _layer(
    model: Transformer, states: list[LayerTrace], place: int, score: LinearScore, token: int, vocabulary: Any
) -> LayerShare:
    state, projection = states[place], own_projections(model, "raw").states
    cells = float(_cell_shares(model, place, state, score).sum())
    r, o = (model.project(one, projection).float().softmax(-1)[None] for one in (state.residual, state.layer_output))
    (top_r, p_r), (top_o, p_o) = first_of_largest(r), first_of_largest(o)
    return LayerShare(
        layer=model.cells.layers[place].name,
        attention=float(score.of(state.residual - state.layer_input)),
        cells=cells,
        bias=float(score.of(state.ff_update)) - cells
        if model.layout(place).post_ff_norm
        else float(score.of(model.value_bias(place))),
        residual_token=display(vocabulary[int(top_r)]),
        residual_probability=float(p_r),
        output_token=display(vocabulary[int(top_o)]),
        output_probability=float(p_o),
        target_rank=int(rank_of(o, torch.tensor([token], device=o.device))),
        target_probability=float(o[0, token]),
    )


def _largest(
    model: Transformer, index: Index | None, states: list[LayerTrace], score: LinearScore, limit: int
) -> tuple[CellShare, ...]:
    found: list[tuple[float, int, int, float]] = []
    for place, state in enumerate(states):
        shares = _cell_shares(model, place, state, score)
        best = shares.abs().topk(min(limit, len(shares))).indices
        found += [
            (share, place, row, m)
            for share, row, m in zip(
                shares[best].tolist(), best.tolist(), state.coefficients[best].tolist(), strict=True
            )
        ]
    found.sort(key=lambda one: (-abs(one[0]), one[1], one[2]))
    return tuple(CellShare(share, describe(model, index, place, row, m)) for share, place, row, m in found[:limit])
