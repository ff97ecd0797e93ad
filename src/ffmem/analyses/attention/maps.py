"""The attention of one text: weights, norms of the transformed vectors, and norms of what each source adds.

Source: Kobayashi, Kuribayashi, Yokoi, Inui, "Attention is Not Only a Weight" (EMNLP 2020), and, for the residual connection,
the norm and the mixing ratio, the same authors' "Incorporating Residual and Normalization Layers" (EMNLP 2021).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ffmem.analyses.attention.inputs import AttentionInput, AttentionToken, as_batch, read_text, run
from ffmem.analyses.attention.mixing import MixingVariant, array, parts_of, ratios_of
from ffmem.analyses.attention.norms import gram, norms_of, summed_norms
from ffmem.analyses.attention.split import Bias, split_values
from ffmem.errors import InputError
from ffmem.index.resources import free_memory
from ffmem.json_values import JsonObject, to_json
from ffmem.markup import HEATMAP_STYLE, Markup, each, heatmap
from ffmem.models.attention import AttentionLayer, AttentionStates
from ffmem.models.frozen_norm import FrozenNorm
from ffmem.models.transformer import Transformer
from ffmem.options import Bos

_N_SHOWN = 64
"""Tokens of a heat map."""
_STYLE = ":root { color-scheme: light dark; } body { font: 1rem/1.5 system-ui, sans-serif; margin: 1rem; }"
_PAGE = Markup(
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{}</title><style>{}</style></head>'
    "<body><h1>{}</h1>{}</body></html>"
)


@dataclass(frozen=True)
class MostSeen:
    """What one layer's queries look at most, on average."""

    layer: str
    token: str
    weight: float
    """The token's share of all weight that the text's tokens give."""
    norm: float
    """Its share of all that is added: of the sum of ‖sum of alpha f(x)‖."""


@dataclass(frozen=True)
class LayerAttention:
    """One attention sub-layer over a text. In the formulas: i is a query, j a source, h a head."""

    layer: str
    """"L3", "dec.L3.cross"."""
    cross: bool
    queries: tuple[AttentionToken, ...]
    keys: tuple[AttentionToken, ...]
    weights: Float[np.ndarray, "heads queries keys"]
    """alpha^h_ij."""
    transformed_norms: Float[np.ndarray, "heads keys"]
    """‖f^h(x_j)‖."""
    summed_norms: Float[np.ndarray, "queries keys"]
    """‖sum over h of alpha^h_ij f^h(x_j)‖."""
    added_norms: Float[np.ndarray, "queries keys"]
    """The same as it arrives in the stream: behind the norm of the output, where there is one (Gemma); otherwise equal."""
    residual_norms: Float[np.ndarray, "queries keys"] | None
    """With what was in the stream counted to i itself (AttnRes-N); None across stacks, where the stream is of no source."""
    normed_norms: Float[np.ndarray, "queries keys"] | None
    """The same behind the norm of the sum (AttnResLn-N); None where no norm stands there."""
    bias_norm: float
    """Length of what is of no source: b_O, and b_V W_O where it is not inside f."""
    mixing: dict[MixingVariant, Float[np.ndarray, "queries"]]
    """Mixing ratios, 0 to 1; none across stacks."""
    output_error: float
    """Of the sum over heads and sources of alpha f against the sub-layer's output, less what is of no source:
    max|difference| / max|output|, at up to 32 queries from first to last."""

    @property
    def n_heads(self) -> int:
        """Heads."""
        return len(self.weights)

    @property
    def head_norms(self) -> Float[np.ndarray, "heads queries keys"]:
        """‖alpha^h_ij f^h(x_j)‖ = alpha^h_ij ‖f^h(x_j)‖, since weights are not negative."""
        norms: Float[np.ndarray, "heads queries keys"] = self.weights * self.transformed_norms[:, None]
        return norms

    @property
    def most_seen(self) -> MostSeen:
        """The token with most weight, and what it adds; of several the first."""
        weights, norms = (matrix.sum(0) / matrix.sum() for matrix in (self.mean_weights, self.summed_norms))
        best = int(weights.argmax())
        return MostSeen(self.layer, self.keys[best].text, float(weights[best]), float(norms[best]))

    @property
    def mean_weights(self) -> Float[np.ndarray, "queries keys"]:
        """The mean over heads of alpha: what a layer's weights are, beside `summed_norms`."""
        mean: Float[np.ndarray, "queries keys"] = self.weights.mean(0)
        return mean

    def html(self, heads: bool = True) -> Markup:
        """Heat maps, weights beside norms: of all heads together, then head by head."""
        rows, columns = ([one.text for one in tokens[:_N_SHOWN]] for tokens in (self.queries, self.keys))
        n = len(rows), len(columns)

        def both(weights: np.ndarray, norms: np.ndarray, what: tuple[str, str]) -> Markup:
            shown = (
                heatmap(name, rows, columns, found[: n[0], : n[1]].tolist())
                for name, found in zip(what, (weights, norms), strict=True)
            )
            return Markup('<div class="heatmaps">{}</div>').format(Markup().join(shown))

        found = both(self.mean_weights, self.summed_norms, ("mean of α over heads", "‖Σ α f(x)‖ over heads"))
        if heads:
            norms = self.head_norms
            found += Markup().join(
                both(self.weights[head], norms[head], (f"H{head}: α", f"H{head}: ‖α f(x)‖"))
                for head in range(self.n_heads)
            )
        cut = max(len(self.queries), len(self.keys)) - _N_SHOWN
        return found + each("<p>{} tokens more are not drawn; the arrays have them.</p>", [[cut]] if cut > 0 else [])

    def _repr_html_(self) -> str:
        return Markup("<style>{}</style>{}").format(HEATMAP_STYLE, self.html(heads=True))

    def to_json(self) -> JsonObject:
        """The fields, arrays with six decimals, rows for queries; the tokens are named once, by `AttentionMaps`."""
        plain = {"layer": self.layer, "cross": self.cross, "n_heads": self.n_heads} | self.__dict__
        plain |= {name: np.round(one, 6) for name, one in plain.items() if isinstance(one, np.ndarray)}
        plain |= {"mixing": {name: np.round(ratios, 6) for name, ratios in self.mixing.items()}}
        return {name: to_json(one) for name, one in plain.items() if name not in ("queries", "keys")}


@dataclass(frozen=True)
class AttentionMaps:
    """The attention of a model over one text."""

    model: str
    read: AttentionInput
    bias: Bias
    layers: tuple[LayerAttention, ...]

    def layer(self, name: str) -> LayerAttention:
        """A sub-layer by its name.

        Raises:
            InputError: there is none; the message lists those there are.
        """
        for one in self.layers:
            if one.layer == name:
                return one
        names = ", ".join(one.layer for one in self.layers)
        raise InputError(f"these maps have no attention {name!r}", f"Expected one of: {names}", "Choose one of those")

    def to_json(self) -> JsonObject:
        """The text beside its tokens, and the layers."""
        return {
            "model": self.model,
            "text": self.read.text,
            "target": self.read.target,
            "bias": self.bias,
            "tokens": [one.text for one in self.read.tokens],
            "target_tokens": [one.text for one in self.read.target_tokens],
            "layers": to_json(self.layers),
        }

    def write_html(self, path: Path) -> None:
        """All maps as one page that needs nothing else: weights beside norms, layer by layer, head by head.

        Raises:
            InputError: it cannot be written there.
        """
        title = f"Attention of {self.model}"
        try:
            path.write_text(_PAGE.format(title, _STYLE, title, self._html(heads=True)), "utf-8")
        except OSError as error:
            raise InputError(
                f"{path} cannot be written: {error.strerror}",
                "Expected a file in a folder that exists",
                "Name another",
            ) from error

    def _repr_html_(self) -> str:
        return self._html(heads=False)

    def _html(self, heads: bool) -> Markup:
        parts = each(
            "<details{}><summary>{}</summary>{}</details>",
            ((" open" if one is self.layers[0] else "", one.layer, one.html(heads=heads)) for one in self.layers),
        )
        text = self.read.text if self.read.target is None else f"{self.read.text} → {self.read.target}"
        return Markup(
            "<style>{}</style><p>{}</p><p>A row is a token that looks, a column one that is looked at. {}</p>{}"
        ).format(HEATMAP_STYLE, text, _told(self.bias), parts)


def _told(bias: Bias) -> str:
    where = "inside f(x)" if bias == "inside" else "with b_O, which is of no source"
    return f"The bias of W_V is {where}."


def attention_maps(
    model: Transformer,
    text: str,
    *,
    target: str | None = None,
    bias: Bias = "inside",
    layers: Sequence[str] | None = None,
    bos: Bos = "auto",
) -> AttentionMaps:
    """Weights beside norms for one text, every layer and head.

    Args:
        model: of any family.
        text: read as one input.
        target: for an encoder-decoder, what its decoder is given; by default the text itself.
        bias: where the bias of W_V goes.
        layers: names of the sub-layers to read; by default all.
        bos: special tokens.

    Returns:
        Maps whose rows are queries and whose columns are sources, special tokens included. A text of one token has maps of
        one entry: its weights are 1, its norms are not.

    Raises:
        InputError: the text is empty or over the context, there is no such sub-layer, or a target without a decoder.
        ModelError: the model gives no attention weights.

    Cost: one forward pass with explicit weights; for each sub-layer heads^2 / 2 passes over queries x keys numbers. Kept:
        (heads + 4) x queries x keys numbers a sub-layer; never heads x queries x keys x d_model.

    Source: Kobayashi et al. 2020, sections 2 and 3; 2021, section 3.
    """
    read = read_text(model, text, target, bos)
    chosen = choose(model, layers)
    _check_memory(read, chosen)
    found: list[LayerAttention] = []
    run(
        model,
        *as_batch(model, read),
        lambda layer, states: found.append(layer_attention(model, layer, states, read, bias)),
        chosen,
    )
    order = {one.name: number for number, one in enumerate(model.attention_layers)}
    return AttentionMaps(model.facts.name, read, bias, tuple(sorted(found, key=lambda one: order[one.layer])))


def _check_memory(read: AttentionInput, layers: Sequence[AttentionLayer]) -> None:
    """Refuse maps that cannot fit: those that are kept, and a few of one sub-layer on the way."""
    pairs = [len(queries) * len(keys) * 4 for queries, keys in (read.of(layer) for layer in layers)]
    kept = sum(n * (layer.n_heads + 4) for n, layer in zip(pairs, layers, strict=True))
    needed = kept + max(n * 4 * layer.n_heads for n, layer in zip(pairs, layers, strict=True))
    free = free_memory()
    if free is not None and needed > free:
        raise InputError(
            f"maps of {len(layers)} sub-layers over {len(read.tokens):,} tokens need {needed / 2**30:.1f} GiB, "
            f"and {free / 2**30:.1f} GiB is free",
            "Expected maps that fit into memory",
            "Name the sub-layers that you want (layers=, --layer), or give a shorter text",
        )


def choose(model: Transformer, names: Sequence[str] | None) -> tuple[AttentionLayer, ...]:
    """Sub-layers by name.

    Raises:
        InputError: there is no such sub-layer; the message lists those there are.
    """
    if names is None:
        return model.attention_layers
    by_name = {one.name: one for one in model.attention_layers}
    for name in names:
        if name not in by_name:
            raise InputError(
                f"{model.facts.name} has no attention {name!r}",
                f"Expected one of: {', '.join(by_name)}",
                f"For example {next(iter(by_name))}",
            )
    return tuple(by_name[name] for name in names)


def layer_attention(
    model: Transformer, layer: AttentionLayer, states: AttentionStates, read: AttentionInput, bias: Bias
) -> LayerAttention:
    """The maps of one sub-layer from what it saw of one text."""
    weights = states.weights[0].float()
    split = split_values(layer, states.values[0], bias)
    vectors, output, stream = split.vectors, states.output[0].float(), states.stream[0].float()
    products = gram(vectors)
    summed = added = summed_norms(weights, products)
    total = output - split.constant
    if layer.placement == "sandwich":
        added = _behind(model.unembedding.freeze(layer.norm_after, output), weights, vectors)
    residual = normed = None
    mixing: dict[MixingVariant, np.ndarray] = {}
    if not layer.cross:
        parts = parts_of(model, layer, states, split)
        mixing = ratios_of(weights, parts)
        residual = added.clone()
        residual.fill_diagonal_(0).diagonal().copy_(parts["AttnRes-N"][1].norm(dim=-1))
        if layer.placement == "post":
            behind = model.unembedding.freeze(layer.norm_after, output + stream)
            normed = _behind(behind, weights, vectors)
            normed.diagonal().copy_(parts["AttnResLn-N"][1].norm(dim=-1))
    queries, keys = read.of(layer)
    return LayerAttention(
        layer=layer.name,
        cross=layer.cross,
        queries=queries,
        keys=keys,
        weights=array(weights),
        transformed_norms=array(norms_of(products)),
        summed_norms=array(summed),
        added_norms=array(added),
        residual_norms=None if residual is None else array(residual),
        normed_norms=None if normed is None else array(normed),
        bias_norm=float(split.constant.norm()),
        mixing=mixing,
        output_error=_output_error(weights, vectors, total),
    )


def _behind(
    norm: FrozenNorm, weights: Float[Tensor, "heads queries keys"], vectors: Float[Tensor, "keys heads d_model"]
) -> Float[Tensor, "queries keys"]:
    """Norms of the sums over heads behind a norm: its gain and centring on the vectors, its scale on the rows."""
    shaped = norm.shaped(vectors.double()).float()
    return summed_norms(weights, gram(shaped)) * norm.scale.float()[:, None]


def _output_error(
    weights: Float[Tensor, "heads queries keys"],
    vectors: Float[Tensor, "keys heads d_model"],
    total: Float[Tensor, "queries d_model"],
) -> float:
    rows = torch.linspace(0, len(total) - 1, min(len(total), 32), device=total.device).long()
    summed = weights[:, rows].permute(1, 2, 0).flatten(1) @ vectors.flatten(0, 1)
    return float((summed - total[rows]).abs().max() / total[rows].abs().max().clamp(min=1e-30))
