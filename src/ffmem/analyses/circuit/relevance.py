"""What every cell, head and token of some inputs is worth to a score, by one way back through frozen layers.

Nothing is lost on the way: what all nodes of a cut through the model are worth, and all biases behind it, is the score.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ffmem.analyses.circuit.frozen import FrozenLayer
from ffmem.analyses.decomposition import SUM_TOLERANCE, check_added_up
from ffmem.errors import InputError, ModelError
from ffmem.models.attention import AttentionLayer, AttentionStates
from ffmem.models.tracing import trace
from ffmem.models.transformer import Transformer


@dataclass(frozen=True)
class Scores:
    """Of some inputs, each one's score of a token, or of two tokens the difference, as a linear map of its last state."""

    values: Float[Tensor, "rows"]
    """Float64. Logits, or log-probabilities under an adaptive softmax; before any soft cap."""
    constants: Float[Tensor, "rows"]
    """What no state has a part in."""
    directions: Float[Tensor, "rows d_model"]
    """Float32: what the last layer's output at the last position is multiplied with."""


@dataclass(frozen=True)
class Relevance:
    """What nodes are worth. Of each layer, as the model runs them."""

    scores: Scores
    cells: tuple[Float[Tensor, "rows positions cells"], ...]
    gains: tuple[Float[Tensor, "rows positions cells"], ...]
    """What one more of each coefficient is worth: a cell's worth is its coefficient times that."""
    heads: tuple[Float[Tensor, "rows heads queries keys"], ...]
    """What each head is worth at each position because of each token that it read."""
    head_gains: tuple[Float[Tensor, "rows heads queries d_head"], ...]
    tokens: Float[Tensor, "rows positions"]
    """The stream before the first layer: embeddings."""
    stream: tuple[Float[Tensor, "rows positions d_model"], ...]
    """What the stream behind each layer is worth."""
    middle: tuple[Float[Tensor, "rows positions d_model"], ...]
    """The same between attention and cells; in parallel layers that behind the layer."""
    biases: Float[Tensor, "rows layers 3"]
    """Those that the layer adds to the stream; those inside its cells; those inside its heads."""
    cuts: Float[Tensor, "rows layers_and_end"]
    """Float64: what the stream before each layer, and behind the last, is worth; with the biases behind it and constants."""


def run_frozen(model: Transformer, ids: Int[Tensor, "rows positions"]) -> list[FrozenLayer]:
    """Every layer of a model, held at some inputs.

    Raises:
        InputError: the model's stream is no plain sum of heads, cells and biases; the message says why.
        ModelError: its cells or heads are not what they are taken for.

    Cost: a forward pass with explicit attention weights, and two thirds of the feed-forward layers once more.
    """
    check_heads(model)
    seen: dict[int, tuple[AttentionLayer, AttentionStates]] = {}

    def keep(layer: AttentionLayer, states: AttentionStates) -> None:
        seen[layer.place] = layer, AttentionStates(*(one.detach().clone() for one in vars(states).values()))

    with torch.no_grad(), model.watch_attention(keep):
        states = trace(model, ids)
        return [FrozenLayer(model, place, state, seen[place]) for place, state in enumerate(states)]


def check_heads(model: Transformer) -> None:
    """Refuse a model whose layers are not one attention sub-layer and one feed-forward layer that are added to a plain sum."""
    check_added_up(model)
    counts = [0] * model.facts.n_layers
    for one in model.attention_layers:
        counts[one.place] += 1
    for place, count in enumerate(counts):
        layout = model.layout(place)
        if layout.before or layout.beside or count != 1:
            what = f"{count} attention sub-layers" if count != 1 else "more than attention beside its cells"
            raise InputError(
                f"layer {model.cells.layers[place].name} of {model.facts.name} has {what}",
                "Expected one attention sub-layer and one feed-forward layer in each layer",
                "Use another model, or ffmem flow, which needs no heads",
            )


def scores_of(
    model: Transformer, layers: Sequence[FrozenLayer], targets: Sequence[int], against: Sequence[int | None]
) -> Scores:
    """The scores of tokens after the last position of each row."""
    last = layers[-1].states.layer_output[:, -1]
    found = []
    for state, target, other in zip(last, targets, against, strict=True):
        score = model.unembedding.linear_score(state, target)
        found.append(score if other is None else score.less(model.unembedding.linear_score(state, other)))
    values = [one.whole(state) for one, state in zip(found, last, strict=True)]
    return Scores(
        torch.tensor(values, dtype=torch.float64),
        torch.tensor([one.constant + one.normalisers for one in found], dtype=torch.float64),
        torch.stack([(one.direction * one.scale).float() for one in found]),
    )


def relevance(model: Transformer, layers: Sequence[FrozenLayer], scores: Scores) -> Relevance:
    """What every node is worth to the scores of its row.

    Raises:
        ModelError: something was lost on the way, by more than rounding.

    Cost: as a forward pass; what it keeps is rows x positions x (4 d_model + 2 cells) and rows x heads x positions^2
        numbers a layer.
    """
    states = layers[-1].states.layer_output
    worth = torch.zeros_like(states, dtype=torch.float32)
    worth[:, -1] = scores.directions
    kept: list[tuple[Tensor, ...]] = []
    cuts = [_worth_of(worth, states) + scores.constants.to(states.device)]
    behind = scores.constants.to(states.device)
    with torch.no_grad():
        for layer in reversed(layers):
            one, worth = _one_layer(layer, worth)
            kept.append(one)
            behind = behind + one[-1].sum(1)
            cuts.append(_worth_of(worth, layer.states.layer_input) + behind)
    columns = [tuple(reversed(column)) for column in zip(*kept, strict=True)]
    found = Relevance(
        scores=scores,
        cells=columns[0],
        gains=columns[1],
        heads=columns[2],
        head_gains=columns[3],
        tokens=(worth * layers[0].states.layer_input.float()).sum(-1),
        stream=columns[4],
        middle=columns[5],
        biases=torch.stack(columns[6], dim=1),
        cuts=torch.stack(cuts[::-1], dim=1),
    )
    _check_nothing_lost(model, found)
    return found


def _one_layer(layer: FrozenLayer, worth: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
    """What is kept of a layer, and what the stream before it is worth, of what that behind it is."""
    gain = layer.cells_gain(worth)
    through, of_cells = layer.cells_back(gain)
    middle = worth if layer.parallel else worth + through
    head_gain = layer.heads_gain(middle)
    through_heads, of_heads = layer.heads_back(head_gain)
    added = _worth_of(worth, layer.cells_bias) + _worth_of(middle, layer.heads_bias)
    before = middle + through_heads + (through if layer.parallel else 0.0)
    biases = torch.stack([added, of_cells.double(), of_heads.double()], dim=1)
    cells = layer.cells.coefficients * gain
    return (cells, gain, layer.head_shares(head_gain), head_gain, worth, middle, biases), before


def _worth_of(worth: Tensor, states: Tensor) -> Float[Tensor, "rows"]:
    return (worth.double() * states.double()).sum((-1, -2))


def _check_nothing_lost(model: Transformer, found: Relevance) -> None:
    """Hold each cut to the score.

    Raises:
        ModelError: by more than rounding of what was added and taken away on the way.
    """
    off = (found.cuts - found.scores.values.to(found.cuts.device)[:, None]).abs().max()
    sizes = sum(float(one.abs().sum()) for one in found.cells) / max(len(found.cells) * len(found.tokens), 1)
    limit = SUM_TOLERANCE[model.facts.dtype] * max(sizes, float(found.scores.values.abs().max()), 1.0)
    if not float(off) <= limit:
        raise ModelError(
            f"what the parts of {model.facts.name} are worth does not add up to the score: it differs by {float(off):.2g}",
            f"Expected at most {limit:.1g}, the rounding of {model.facts.dtype}",
            "Its layers differ from those of its family: see docs/how-to/add-a-family.md",
        )
