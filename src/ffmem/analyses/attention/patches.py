"""What a prediction owes to where attention looks: other weights in the place of a head's own, without any training.

The patches are the Transformer's form of the tests of Wiegreffe and Pinter, "Attention is not not Explanation" (EMNLP
2019), who trained models anew with uniform weights.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ffmem.analyses.attention.inputs import AttentionInput, as_batch, read_text, run
from ffmem.analyses.attention.maps import choose
from ffmem.analyses.distances import jsd, kl, tvd
from ffmem.errors import InputError
from ffmem.json_values import Record
from ffmem.models.attention import AttentionLayer, AttentionStates, change_attention
from ffmem.models.transformer import Transformer
from ffmem.models.vocabulary import display
from ffmem.options import Bos

Patch = Literal["uniform", "norms"]
"""What stands in the place of alpha, over the sources that a query may look at: "uniform", 1 / their number; "norms", shares of
‖f(x_j)‖, so that queries and keys have no part in it."""

_HEAD = re.compile(r"(?P<layer>.+?)(?:\.H(?P<head>\d+))?")


@dataclass(frozen=True)
class PatchEffect:
    """What one patch does to a prediction."""

    where: str
    """"L3.H5", or "L3" for all heads of a layer; several joined by +."""
    kl: float
    """Of the changed distribution from the model's own, in nats."""
    tvd: float
    """Total variation distance, 0 to 1."""
    jsd: float
    """Jensen-Shannon divergence in nats, 0 to ln 2."""
    top: str
    """The most probable token afterwards."""
    top_probability: float
    target_probability: float
    """Of the token that was most probable before."""


@dataclass(frozen=True)
class PatchSweep(Record):
    """The effects of one patch, each layer and each head by itself."""

    model: str
    text: str
    target: str | None
    patch: Patch
    predicted: str
    """The most probable token without a patch."""
    probability: float
    layers: tuple[PatchEffect, ...]
    heads: tuple[PatchEffect, ...]


def patch_attention(
    model: Transformer,
    text: str,
    heads: Sequence[str],
    *,
    patch: Patch = "uniform",
    target: str | None = None,
    at: int = -1,
    bos: Bos = "auto",
) -> PatchEffect:
    """What becomes of a prediction when some heads look elsewhere.

    Args:
        model: one with a head that predicts.
        text: read as one input.
        heads: "L3.H5", or "L3" for all heads of a layer; all are patched together.
        patch: what stands in the place of their weights.
        target: for an encoder-decoder, what its decoder is given.
        at: position whose prediction is looked at, special tokens included.
        bos: special tokens.

    Raises:
        InputError: no such head, a model without a prediction, a text of one token, a position that is not there.

    Cost: two forward passes.
    """
    read, allowed, own = _before(model, text, patch, target, at, bos)
    chosen: dict[str, list[int]] = {}
    for name in heads:
        layer, numbers = _parse(model, name)
        chosen.setdefault(layer.name, []).extend(numbers)
    if not chosen:
        raise InputError("no head is named", "Expected at least one", "For example: L0.H0, or L0 for a whole layer")

    def change(layer: AttentionLayer, values: Tensor) -> dict[tuple[int, int], Tensor]:
        return {
            (0, head): _weights(layer, values[0], allowed[layer.name], patch, head)
            for head in chosen.get(layer.name, ())
        }

    layers = tuple(one for one in model.attention_layers if one.name in chosen)
    with change_attention(layers, change):
        changed = _prediction(model, read, 1, at)[0]
    return _effect(model, "+".join(heads), own, changed)


def patch_sweep(
    model: Transformer,
    text: str,
    *,
    patch: Patch = "uniform",
    target: str | None = None,
    at: int = -1,
    layers: Sequence[str] | None = None,
    bos: Bos = "auto",
    on_layer: Callable[[int, int], None] = lambda _done, _all: None,
) -> PatchSweep:
    """The effect of a patch on each layer, and on each head, one at a time.

    Args:
        model: one with a head that predicts.
        text: read as one input.
        patch: what stands in the place of the weights.
        target: for an encoder-decoder, what its decoder is given.
        at: position whose prediction is looked at, special tokens included.
        layers: names of the sub-layers to patch; by default all.
        bos: special tokens.
        on_layer: called with the sub-layers that are done, and how many there are.

    Raises:
        InputError: a model without a prediction, or whose rows of a batch change each other; a text of one token; a position
            that is not there.

    Cost: for each sub-layer one forward pass of heads + 1 rows.
    """
    if model.batching.rows == "alone":
        raise InputError(
            f"in {model.facts.name} the texts of a batch influence one another, and a sweep runs the text once for each head",
            "Expected a model in which they do not, as measured by its proof",
            "Patch one head at a time: patch_attention(model, text, heads)",
        )
    read, allowed, own = _before(model, text, patch, target, at, bos)
    by_layer: list[PatchEffect] = []
    by_head: list[PatchEffect] = []
    chosen = choose(model, layers)
    for number, layer in enumerate(chosen, 1):

        def change(layer: AttentionLayer, values: Tensor) -> dict[tuple[int, int], Tensor]:
            patched = [_weights(layer, values[0], allowed[layer.name], patch, head) for head in range(layer.n_heads)]
            whole = {(0, head): weights for head, weights in enumerate(patched)}
            return whole | {(head + 1, head): weights for head, weights in enumerate(patched)}

        with change_attention((layer,), change):
            changed = _prediction(model, read, layer.n_heads + 1, at)
        by_layer.append(_effect(model, layer.name, own, changed[0]))
        by_head += [_effect(model, f"{layer.name}.H{head}", own, changed[head + 1]) for head in range(layer.n_heads)]
        on_layer(number, len(chosen))
    best = int(own.argmax())
    return PatchSweep(
        model=model.facts.name,
        text=text,
        target=read.target,
        patch=patch,
        predicted=display(model.vocabulary[best]),
        probability=float(own[best].exp()),
        layers=tuple(by_layer),
        heads=tuple(by_head),
    )


def _before(
    model: Transformer, text: str, patch: str, target: str | None, at: int, bos: Bos
) -> tuple[AttentionInput, dict[str, Bool[Tensor, "queries keys"]], Float[Tensor, "d_vocab"]]:
    """The tokens, which sources each query may look at, and the model's own prediction."""
    if patch not in ("uniform", "norms"):
        raise InputError(f"the patch is {patch!r}", "Expected one of: uniform, norms", "Use uniform")
    if not model.has_head:
        raise InputError(
            f"{model.facts.name} predicts nothing: it has no head over the vocabulary",
            "Expected a model that predicts tokens",
            "Use a language model, or the checkpoint of this one that has its head",
        )
    read = read_text(model, text, target, bos)
    queries = read.target_tokens or read.tokens
    if len(read.tokens) == 1 and len(queries) == 1:
        raise InputError(
            "the text is a single token: its weights are 1, whatever replaces them",
            "Expected two tokens or more",
            "Give a longer text",
        )
    if not -len(queries) <= at < len(queries):
        raise InputError(
            f"the position is {at}, and there are {len(queries)} tokens",
            f"Expected {-len(queries)} to {len(queries) - 1}",
            "Positions count from 0; negative ones count from the end",
        )
    allowed: dict[str, Tensor] = {}

    def keep(layer: AttentionLayer, states: AttentionStates) -> None:
        # the mask is the same for all heads: a source that none of them gives anything to is behind it
        allowed[layer.name] = (states.weights[0] > 0).any(0)

    run(model, *as_batch(model, read), keep)
    return read, allowed, _prediction(model, read, 1, at)[0]


def _parse(model: Transformer, name: str) -> tuple[AttentionLayer, list[int]]:
    match = _HEAD.fullmatch(name.strip())
    assert match is not None  # everything but nothing matches
    (layer,) = choose(model, [match["layer"]])
    if match["head"] is None:
        return layer, list(range(layer.n_heads))
    head = int(match["head"])
    if head >= layer.n_heads:
        raise InputError(
            f"there is no head {name}: {layer.name} has {layer.n_heads} heads",
            f"Expected H0 to H{layer.n_heads - 1}",
            f"For example {layer.name}.H0",
        )
    return layer, [head]


def _weights(
    layer: AttentionLayer,
    values: Float[Tensor, "keys heads d_head"],
    allowed: Bool[Tensor, "queries keys"],
    patch: Patch,
    head: int,
) -> Float[Tensor, "queries keys"]:
    """Rows that add up to 1 over the sources that a query may look at."""
    shares = allowed.float()
    if patch == "norms":
        shares = shares * (values[:, head].float() @ layer.output_matrix()[head].float()).norm(dim=-1)
    return shares / shares.sum(1, keepdim=True).clamp(min=1e-30)


def _prediction(model: Transformer, read: AttentionInput, n_rows: int, at: int) -> Float[Tensor, "rows d_vocab"]:
    """Log-probabilities at a position, of some copies of the text, float64."""
    ids, target_ids = as_batch(model, read)
    many = ids.expand(n_rows, -1).contiguous()
    decoded = None if target_ids is None else target_ids.expand(n_rows, -1).contiguous()
    with torch.inference_mode():
        logits = model.logits(many, target_ids=decoded)
    assert logits is not None  # `_before` made sure that it has a head
    return logits[:, at].double().log_softmax(-1)


def _effect(
    model: Transformer, where: str, own: Float[Tensor, "d_vocab"], changed: Float[Tensor, "d_vocab"]
) -> PatchEffect:
    best = int(changed.argmax())
    return PatchEffect(
        where=where,
        kl=float(kl(own, changed)),
        tvd=float(tvd(own, changed)),
        jsd=float(jsd(own, changed)),
        top=display(model.vocabulary[best]),
        top_probability=float(changed[best].exp()),
        target_probability=float(changed[own.argmax()].exp()),
    )
