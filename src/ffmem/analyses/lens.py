"""What each layer would predict, token by token: the stream after every layer, read as the model reads its last state."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ffmem.analyses.activation import ActiveCell, describe
from ffmem.analyses.decomposition import check_causal
from ffmem.analyses.indexed import read_as_indexed
from ffmem.analyses.lenses.jacobian import AverageJacobian
from ffmem.analyses.one_token import one_token
from ffmem.analyses.values import first_of_largest, rank_of
from ffmem.errors import InputError
from ffmem.json_values import Record
from ffmem.models.inputs import as_row
from ffmem.models.tracing import trace
from ffmem.models.transformer import Transformer
from ffmem.models.vocabulary import display
from ffmem.options import Bos
from ffmem.store.reader import Index

_POSITIONS = 64
"""States that are read over the vocabulary at a time."""


@dataclass(frozen=True)
class LensBox:
    """One layer at one token."""

    token: str
    """Top token of the stream after the layer."""
    probability: float
    target_rank: int | None
    """Of the target, from 0; None without one."""
    target_probability: float | None


@dataclass(frozen=True)
class Lens(Record):
    """What every layer would predict after every token of a text."""

    text: str
    tokens: tuple[str, ...]
    layers: tuple[str, ...]
    boxes: tuple[tuple[LensBox, ...], ...]
    """By layer, then by token; the last layer's are the model's own predictions."""
    target: str | None
    projection: str
    """How states were read."""


def lens(
    model: Transformer,
    text: str,
    *,
    target: str | None = None,
    index: Index | None = None,
    bos: Bos | None = None,
    jacobian: AverageJacobian | None = None,
) -> Lens:
    """The top token of the stream after each layer, at each token of a text.

    Args:
        model: a causal model.
        text: read as one input, as a sentence of an index is.
        target: exactly one token, whose rank and probability are given too.
        index: an index of the model: special tokens are put as there.
        bos: special tokens: as in the index, or "auto" without one.
        jacobian: of all layers of the model: states h are read as J h.

    Raises:
        InputError: not such a model, not one token, a text that is empty or too long, or a Jacobian of other layers.

    Cost: one forward pass; a product of each state with the vocabulary, `_POSITIONS` at a time.

    Source: the logit lens (nostalgebraist, 2020), with the projection of the model's own last state: so the last layer gives
    the model's prediction exactly.
    """
    check_causal(model)
    ids, first = _inputs(model, text, index, bos)
    wanted = None if target is None else one_token(model, target)
    if jacobian is not None and jacobian.places != tuple(range(model.facts.n_layers)):
        raise InputError(
            f"the Jacobian is of {len(jacobian.places)} of the {model.facts.n_layers} layers",
            "Expected one of every layer",
            "Make it with average_jacobian(model, sentences, bos=...), without places",
        )
    vocabulary = model.vocabulary
    projection = model.unembedding.own_projection
    with torch.inference_mode():
        states = trace(model, ids)
        read = [state.layer_output[0, first:] for state in states]
        if jacobian is not None:
            read = [jacobian.moved(place, state).to(state) for place, state in enumerate(read)]
        boxes = tuple(tuple(_boxes(model, state, projection, wanted, vocabulary)) for state in read)
    tokens = tuple(display(vocabulary[i]) for i in ids[0, first:].tolist())
    names = tuple(layer.name for layer in model.cells.layers)
    shown = None if wanted is None else display(vocabulary[wanted])
    return Lens(text, tokens, names, boxes, shown, projection if jacobian is None else f"Jacobian, {projection}")


def writers(
    model: Transformer,
    text: str,
    place: int,
    position: int,
    *,
    index: Index | None = None,
    limit: int = 10,
    bos: Bos | None = None,
) -> tuple[ActiveCell, ...]:
    """The cells of one layer that add most to the stream at one token, by |coefficient| x length of the value.

    Args:
        model: any model.
        text: read as one input.
        place: of the layer.
        position: of the token, from 0.
        index: an index of the model, to say what cells are.
        limit: at most this many.
        bos: special tokens: as in the index, or "auto" without one.

    Raises:
        InputError: no such layer or token.
    """
    ids, first = _inputs(model, text, index, bos)
    n = ids.shape[1] - first
    if not 0 <= position < n:
        raise InputError(
            f"the text has no token {position}", f"Expected 0 to {n - 1}", "Tokens count from 0, special ones left out"
        )
    seen: list[Tensor] = []

    def on_layer(layer: int, coefficients: Tensor) -> None:
        if layer == place:
            seen.append(coefficients[0, first + position].float().clone())

    with torch.inference_mode(), model.watch_coefficients(on_layer):
        model.forward(ids)
        added = seen[0].abs() * model.values(place).float().norm(dim=1)
    best = added.topk(min(limit, len(added)))
    return tuple(
        describe(model, index, place, row, float(seen[0][row]))
        for row, strength in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        if strength > 0
    )


def _inputs(model: Transformer, text: str, index: Index | None, bos: Bos | None) -> tuple[Tensor, int]:
    """(1, positions) ids with special tokens, and how many of these stand before the text."""
    read = read_as_indexed(model, text, index, bos)
    return as_row(model, read.to_continue if model.facts.causal else read.token_ids), len(read.before)


def _boxes(model: Transformer, states: Tensor, projection: Any, wanted: int | None, vocabulary: Any) -> list[LensBox]:
    boxes: list[LensBox] = []
    for first in range(0, len(states), _POSITIONS):
        scores = model.project(states[first : first + _POSITIONS], projection).float()
        probabilities = scores.softmax(-1)
        top, _ = first_of_largest(scores)
        largest = probabilities.gather(1, top[:, None])[:, 0].tolist()
        ranks: list[int | None] = [None] * len(largest)
        shares: list[float | None] = [None] * len(largest)
        if wanted is not None:
            ranks = rank_of(scores, torch.full_like(top, wanted)).tolist()
            shares = probabilities[:, wanted].tolist()
        rows = zip(top.tolist(), largest, ranks, shares, strict=True)
        boxes += [LensBox(display(vocabulary[token]), value, rank, share) for token, value, rank, share in rows]
    return boxes
