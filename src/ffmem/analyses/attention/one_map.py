"""Show attention and memories in one map: what every source token and every cell added to one position, in one unit.

The unit is the norm of what is added to the residual stream, and, where the stream is a plain sum, the share of a token's
logit. A cell's coefficient is shared out among the source tokens that attention had brought to it: token j's share of cell p is
z_jp / s_p of its coefficient, where s_p = k_p x + b is what goes through the activation and z_jp the part of it that came
from j (Kobayashi et al., "Analyzing Feed-Forward Blocks in Transformers through the Lens of Attention Maps", ICLR 2024:
integrated gradients from 0 at the activation come to exactly that where the activation of 0 is 0). A gated cell is shared out
by integrated gradients through both of its branches: see `fired`.

All of that is by the attention of the cell's own layer: what earlier layers had moved between tokens counts for the token where
it stood.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ffmem.analyses.activation import ActiveCell, describe
from ffmem.analyses.attention.fired import Brought, CellSplit, into_keys
from ffmem.analyses.attention.inputs import AttentionToken, as_batch, read_text
from ffmem.analyses.attention.split import Bias, split_values
from ffmem.analyses.decomposition import LayerParts, at_position, has_scores, is_plain_sum, token_score
from ffmem.analyses.indexed import check_model
from ffmem.analyses.one_token import one_token
from ffmem.errors import InputError
from ffmem.json_values import JsonObject, fields_to_json
from ffmem.models.attention import AttentionLayer, AttentionStates
from ffmem.models.tracing import trace
from ffmem.models.transformer import Transformer
from ffmem.models.unembedding import LinearScore, Quantity
from ffmem.models.vocabulary import display
from ffmem.options import Bos
from ffmem.store.reader import Index

Unit = Literal["norm", "logit"]
"""What cells are chosen by: the length of what they add, or their share of the target's logit."""


@dataclass(frozen=True)
class Addition:
    """Something that was added to the stream at the position."""

    norm: float
    """Length of the vector."""
    logit: float | None
    """Its share of the target's score; None where the stream is no plain sum."""


@dataclass(frozen=True)
class FiredMemory:
    """A cell at the position, and the tokens that fired it."""

    cell: ActiveCell
    """With what an index knows of it."""
    addition: Addition
    fired_by: tuple[float, ...]
    """For each token up to the position, its part of the coefficient, by the attention of this layer alone: what earlier
    layers had moved between tokens counts for the token where it stood, and so most is the position's own."""
    fired_by_constant: float
    """The part that is of no token: biases, and rounding. With it the parts add up to the coefficient."""


@dataclass(frozen=True)
class LayerOfMap:
    """One layer at the position."""

    layer: str
    sources: tuple[Addition, ...]
    """What attention added from each token up to the position."""
    attention_bias: Addition
    memories: tuple[FiredMemory, ...]
    """The cells that added most, most first."""
    other_memories: Addition
    """All others together."""
    value_bias: Addition
    memory_logits: tuple[float, ...] | None
    """For each token, the share of the target's score that all cells of this layer added because of it, by the attention of
    this layer alone; with ``memory_logit_constant`` they add up to the share of all cells."""
    memory_logit_constant: float | None
    attention: Addition
    """All of attention together."""
    feed_forward: Addition
    """All of the feed-forward layer together."""
    stream_norm: float
    """Length of the stream behind the layer."""

    @property
    def parts(self) -> tuple[Addition, ...]:
        """What adds up to all that the layer added."""
        memories = (memory.addition for memory in self.memories)
        return (*self.sources, self.attention_bias, self.other_memories, self.value_bias, *memories)


@dataclass(frozen=True)
class OneMap:
    """A position of a text: what was added to it, by which token and which cell."""

    model: str
    text: str
    tokens: tuple[AttentionToken, ...]
    """Those up to the position, special ones included; of a model that sees both sides, all."""
    at: int
    """The position, from 0."""
    target: str | None
    """The token whose score is shared out; None where there is no plain sum."""
    score: float | None
    """Its logit, before any soft cap; under an adaptive softmax its log-probability."""
    quantity: Quantity | None
    """Which of them the score is."""
    probability: float | None
    embedding: Addition
    layers: tuple[LayerOfMap, ...]
    constant: float | None
    """What does not depend on the text: the final norm's bias seen through the unembedding, and the output bias."""
    normalisers: float | None
    """What the normalisers of an adaptive softmax add, which are no sum of parts; 0 for other heads."""
    stream_error: float
    """Of embedding plus all additions against the last layer's output: max|difference| / max|output|; where norms stand in the
    stream ("post"), the largest of any layer."""
    score_error: float | None
    """Of the sum of all shares, constant and normalisers against the score, and of the score, after any soft cap, against the
    model's own: the larger."""

    def by_token(self) -> tuple[tuple[float, float], ...] | None:
        """For each token its share of the score over all layers: by attention itself, and by the cells that it fired.

        Each layer's shares are those of its last step: what earlier layers had moved counts for the token where it stood.
        """
        if self.score is None:
            return None
        return tuple(
            (
                sum(layer.sources[j].logit or 0.0 for layer in self.layers),
                sum(layer.memory_logits[j] for layer in self.layers if layer.memory_logits),
            )
            for j in range(len(self.tokens))
        )

    def largest(self, by: Unit, n_memories: int) -> float:
        """The largest size of what a token, or one of the first cells of a layer, added; 1 if all is 0."""
        added = [one for layer in self.layers for one in layer.sources]
        added += [one.addition for layer in self.layers for one in layer.memories[:n_memories]]
        sizes = (abs((one.logit if by == "logit" else one.norm) or 0.0) for one in added)
        return max(sizes, default=0.0) or 1.0

    @property
    def largest_token(self) -> float:
        """The largest size of a token's share of the score, by either way; 1 if all is 0."""
        return max((abs(part) for parts in self.by_token() or () for part in parts), default=0.0) or 1.0

    @property
    def heaviest(self) -> LayerOfMap:
        """The layer whose feed-forward part adds most to the score; without a score, the longest one."""
        return max(
            self.layers,
            key=lambda one: abs((one.feed_forward.logit if self.score is not None else one.feed_forward.norm) or 0),
        )

    def to_json(self) -> JsonObject:
        """The fields, and each token's share, which is computed from them."""
        return fields_to_json(self) | {"by_token": self.by_token()}


def one_map(
    model: Transformer,
    text: str,
    *,
    at: int = -1,
    target: str | None = None,
    index: Index | None = None,
    by: Unit = "norm",
    limit: int = 5,
    bias: Bias = "inside",
    bos: Bos | None = None,
) -> OneMap:
    """What attention and memories added to one position of a text, in one unit, and which token fired which memory.

    Tokens have their parts by the attention of each layer alone: what earlier layers had moved between tokens counts for the
    token where it stood.

    Args:
        model: any but an encoder-decoder.
        text: read as one input.
        at: the position, from 0, special tokens included; negative: from the end.
        target: the token whose score is shared out, exactly one, spaces included; by default the model's own prediction.
        index: an index of the model, to say what cells are.
        by: what the cells shown are chosen by.
        limit: cells of each layer.
        bias: where the bias of W_V goes.
        bos: special tokens: as in the index, or "auto" without one.

    Raises:
        InputError: an encoder-decoder, a position that is not there, a target that is not one token or is given to a model
            whose stream is no plain sum, or an index of another model.
        ModelError: gated cells whose activation is not known, or not what the model computes.

    Cost: one forward pass with explicit weights; kept: for each layer tokens x d_model numbers.

    Source: norms: Kobayashi et al. 2020, 2021; shares of coefficients: 2024, of
        gated cells: see `line`; cells: Geva et al. 2021, 2022.
    """
    _check_kind(model, target, by, limit)
    if index is not None:
        check_model(index, model)
        bos = bos or index.manifest.options.bos
    read = read_text(model, text, None, bos or "auto")
    n = len(read.tokens)
    if not -n <= at < n:
        raise InputError(
            f"the position is {at}, and the text has {n} tokens",
            f"Expected {-n} to {n - 1}",
            "Positions count from 0; negative ones count from the end",
        )
    at %= n
    n_seen = at + 1 if model.facts.causal else n
    ids, _ = as_batch(model, read)
    brought: dict[int, Brought] = {}

    def keep(layer: AttentionLayer, states: AttentionStates) -> None:
        brought[layer.place] = _bring(model, layer, states, at, n_seen, bias)

    places = (torch.tensor([0], device=ids.device), torch.tensor([at], device=ids.device))
    with torch.inference_mode(), model.watch_attention(keep):
        states = trace(model, ids, at=places)
    with torch.inference_mode():
        layers = [LayerParts(model, number, at_position(state, 0)) for number, state in enumerate(states)]
        return _assemble(model, index, text, read.tokens[:n_seen], at, target, layers, brought, by, limit)


def _bring(
    model: Transformer, layer: AttentionLayer, states: AttentionStates, at: int, n_seen: int, bias: Bias
) -> Brought:
    split = split_values(layer, states.values[0, :n_seen], bias)
    weights = states.weights[0, :, at, :n_seen].float()
    parts = torch.einsum("hj,jhd->jd", weights, split.vectors).double()
    output, stream, constant = states.output[0, at].double(), states.stream[0, at].double(), split.constant.double()
    after = None
    if layer.placement == "sandwich":
        norm = model.unembedding.freeze(layer.norm_after, states.output[0, at])
        parts, output, constant = norm.shaped(parts) * norm.scale, norm(output), norm(constant)
    elif layer.placement == "post":
        after = model.unembedding.freeze(layer.norm_after, states.output[0, at] + states.stream[0, at])
    return Brought(parts, constant, stream, output, after)


def _check_kind(model: Transformer, target: str | None, by: str, limit: int) -> None:
    facts = model.facts
    if facts.two_stacks:
        raise InputError(
            f"{facts.name} is an encoder-decoder, whose decoder has two kinds of sources in every layer",
            "Expected a model with a single stack of layers",
            "Use attention_maps, which gives weights and norms for each of its three kinds of attention",
        )
    places = {layer.place for layer in model.attention_layers}
    layouts = [model.layout(place) for place in range(facts.n_layers)]
    if len(places) < facts.n_layers or any(one.before or (one.beside and not one.parallel) for one in layouts):
        raise InputError(
            f"the layers of {facts.name} are not attention and memories alone, so that their parts do not add up to its stream",
            "Expected attention and a feed-forward layer in each layer, and nothing else",
            "Use attention_maps, which gives weights and norms of the layers that have attention",
        )
    if by not in ("norm", "logit"):
        raise InputError(f"by is {by!r}", "Expected one of: norm, logit", "Choose cells by norm: by='norm'")
    if limit < 0:
        raise InputError(f"the limit is {limit}", "Expected 0 or more", "For example, limit=5")
    if not has_scores(model):
        if by == "logit":
            raise InputError(
                f"the stream of {facts.name} is not a plain sum up to its scores, so no part has a share of a logit",
                "Expected by='norm'",
                "Choose cells by norm: by='norm', or leave --by out",
            )
        if target is not None:
            raise InputError(
                f"the stream of {facts.name} is not a plain sum up to its scores, so no part has a share of a logit",
                "Expected no target: only norms can be given for this model",
                "Leave the target out",
            )


def _assemble(
    model: Transformer,
    index: Index | None,
    text: str,
    tokens: tuple[AttentionToken, ...],
    at: int,
    target: str | None,
    layers: list[LayerParts],
    brought: dict[int, Brought],
    by: Unit,
    limit: int,
) -> OneMap:
    score = linear = probability = token = error = None
    if has_scores(model):
        final = layers[-1].state.layer_output
        logits = model.project(final, model.unembedding.own_projection).double()
        token = int(logits.argmax()) if target is None else one_token(model, target)
        score = token_score(model, final, logits, token)
        linear, probability = score.linear, float(logits.softmax(-1)[token])
    shown = tuple(
        _layer(model, index, number, layer, brought[number], at, linear, by, limit)
        for number, layer in enumerate(layers)
    )
    embedding = _addition(layers[0].state.layer_input.double(), linear)
    if score is not None:
        error = score.error_of(model, _logits([embedding, *(part for layer in shown for part in layer.parts)]))
    return OneMap(
        model=model.facts.name,
        text=text,
        tokens=tokens,
        at=at,
        target=None if token is None else display(model.vocabulary[token]),
        score=None if score is None else score.whole,
        quantity=None if score is None else model.unembedding.quantity,
        probability=probability,
        embedding=embedding,
        layers=shown,
        constant=None if linear is None else linear.constant,
        normalisers=None if linear is None else linear.normalisers,
        stream_error=_stream_error(model, layers, brought),
        score_error=error,
    )


def _logits(parts: Sequence[Addition]) -> list[float]:
    return [part.logit for part in parts if part.logit is not None]


def _addition(vector: Float[Tensor, "d_model"], score: LinearScore | None) -> Addition:
    return Addition(float(vector.norm()), None if score is None else float(score.of(vector)))


def _stream_error(model: Transformer, layers: list[LayerParts], brought: dict[int, Brought]) -> float:
    """Of the sums that the map is made of against the states of the model."""
    if is_plain_sum(model):
        summed = layers[0].state.layer_input.double()
        for number, layer in enumerate(layers):
            summed = summed + brought[number].parts.sum(0) + brought[number].constant + layer.feed_forward
        return _relative(summed, layers[-1].state.layer_output)
    errors = []
    for number, layer in enumerate(layers):
        attention = brought[number]
        summed = attention.stream + attention.parts.sum(0) + attention.constant
        if attention.after is not None:
            summed = attention.after(summed) + (0.0 if attention.after.bias is None else attention.after.bias)
        elif model.facts.norm_placement == "shared":
            continue  # a norm stands between this sum and r
        errors.append(_relative(summed, layer.state.residual))
    return max(errors, default=0.0)


def _relative(sums: Tensor, expected: Tensor) -> float:
    return float((sums - expected.double()).abs().max() / expected.double().abs().max())


def _layer(
    model: Transformer,
    index: Index | None,
    number: int,
    layer: LayerParts,
    brought: Brought,
    at: int,
    score: LinearScore | None,
    by: Unit,
    limit: int,
) -> LayerOfMap:
    state = layer.state
    lengths = layer.coefficients.abs() * layer.values.norm(dim=1)
    logits = None if score is None else layer.shares(score)
    strength = lengths if by == "norm" or logits is None else logits.abs()
    chosen = strength.topk(min(limit, len(strength))).indices
    chosen = chosen[strength[chosen] > 0]
    split = CellSplit(model, number, state, into_keys(model, number, state, brought, at))
    shares, constants = split.fired_by(chosen)
    memories = tuple(
        FiredMemory(
            cell=describe(model, index, number, row, float(state.coefficients[row])),
            addition=Addition(float(lengths[row]), None if logits is None else float(logits[row])),
            fired_by=tuple(shares[shown].tolist()),
            fired_by_constant=float(constants[shown]),
        )
        for shown, row in enumerate(chosen.tolist())
    )
    others = layer.feed_forward - layer.bias - layer.coefficients[chosen] @ layer.values[chosen]
    by_source = by_constant = None
    if score is not None:
        by_source, by_constant = split.logits(layer.values, score)
    return LayerOfMap(
        layer=model.facts.layers[number].name,
        sources=tuple(_addition(part, score) for part in brought.parts),
        attention_bias=_addition(brought.constant, score),
        memories=memories,
        other_memories=_addition(others, score),
        value_bias=_addition(layer.bias, score),
        memory_logits=by_source,
        memory_logit_constant=by_constant,
        attention=_addition(brought.output, score),
        feed_forward=_addition(layer.feed_forward, score),
        stream_norm=float(state.layer_output.double().norm()),
    )
