"""Links from an encoder-decoder's cross-attention: every layer and head, by weights and by norms, in both readings.

The decoder is given the reference translation. Its row t has y_t as its input, and predicts y_(t+1): with AWO, "align with
output", the row speaks for the word that it predicts; with AWI, "align with input", for the word that it was given (Kobayashi
et al. 2020, section 5; Shift-Att in Chen et al. 2020).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int16, Int64
from torch import Tensor

from ffmem.analyses.alignment.maps import best_sources
from ffmem.analyses.alignment.pairs import Pair
from ffmem.analyses.alignment.words import NO_WORD, columns_of, merge, rows_of, text_of, word_of_tokens
from ffmem.analyses.attention.inputs import run
from ffmem.analyses.attention.norms import gram, norms_of, summed_norms
from ffmem.analyses.attention.split import split_values
from ffmem.errors import InputError
from ffmem.models.attention import AttentionLayer, AttentionStates
from ffmem.models.inputs import as_row, tokenize
from ffmem.models.transformer import Transformer

Measure = Literal["weights", "norms"]
"""What a map is made of: "weights": alpha, and for a layer its mean over heads; "norms": ‖alpha f(x)‖, and for a layer
‖sum of alpha f(x) over heads‖."""
Reading = Literal["AWI", "AWO"]
"""Whom a row of the decoder speaks for: its input, or its output."""
MEASURES: tuple[Measure, ...] = ("weights", "norms")
READINGS: tuple[Reading, ...] = ("AWI", "AWO")
WHOLE_LAYER = 0
"""The place of a layer itself, before its heads."""


@dataclass(frozen=True)
class CrossMaps:
    """The cross-attention of one pair, token by token."""

    weights: Float[np.ndarray, "layers heads target source"]
    """alpha."""
    norms: Float[np.ndarray, "layers heads target source"]
    """‖alpha f(x)‖."""
    layer_norms: Float[np.ndarray, "layers target source"]
    """‖sum of alpha f(x) over heads‖."""


@dataclass(frozen=True)
class TokenPair:
    """The tokens of a pair, and the words that they are pieces of."""

    source_ids: list[int]
    """With what the tokenizer puts around a sentence."""
    target_ids: list[int]
    """What the decoder is given: its start token, then the sentence."""
    source_words: Int64[np.ndarray, " source"]
    target_words: Int64[np.ndarray, " own"]
    """Without the start token."""


@dataclass(frozen=True)
class Extraction:
    """Links of every layer and head."""

    sources: dict[tuple[Measure, Reading], list[Int16[np.ndarray, "layers heads_and_one _words"]]]
    """For each pair the source word of each target word, or `maps.NO_LINK`; the layer itself stands before its heads."""
    norm_sums: Float[np.ndarray, "*layers_heads_and_one"]
    """The sum over all cells of all maps of norms."""
    n_cells: int

    @property
    def n_pairs(self) -> int:
        """Pairs that were read."""
        return len(next(iter(self.sources.values()), []))

    @property
    def mean_norms(self) -> Float[np.ndarray, "layers heads_and_one"]:
        """The mean over all cells: all that is asked to choose a layer or a head without gold links."""
        means: np.ndarray = self.norm_sums / self.n_cells
        return means

    def arrays(self) -> dict[str, np.ndarray]:
        """All of it, to be kept; see `from_arrays`."""
        links = {"/".join(which): np.concatenate(parts, axis=2) for which, parts in self.sources.items()}
        n_words = [part.shape[2] for part in next(iter(self.sources.values()))]
        return {
            **links,
            "n_words": np.array(n_words),
            "norm_sums": self.norm_sums,
            "n_cells": np.array([self.n_cells]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Extraction":
        """What `arrays` gave."""
        ends = np.cumsum(arrays["n_words"])[:-1]
        sources: dict[tuple[Measure, Reading], list[np.ndarray]] = {
            (measure, reading): np.split(np.array(arrays[f"{measure}/{reading}"]), ends, axis=2)
            for measure in MEASURES
            for reading in READINGS
        }
        return cls(sources, np.array(arrays["norm_sums"]), int(arrays["n_cells"][0]))


def extract(
    model: Transformer,
    pairs: Sequence[Pair],
    on_pair: Callable[[int, int], None] = lambda _done, _all: None,
    *,
    begun: Extraction | None = None,
    keep: Callable[[Extraction], None] = lambda _: None,
) -> Extraction:
    """Links by the largest entry of each target word's row: one for each, or none where </s> has the largest.

    Args:
        model: an encoder-decoder.
        pairs: what is aligned.
        on_pair: called with the pairs that are done, and how many there are.
        begun: of the first pairs, to go on from.
        keep: called after each pair with what there is so far; its lists grow later.

    Raises:
        InputError: the model has no cross-attention, or a pair is longer than its context.

    Cost: a forward pass for each pair, and its maps.
    """
    check_has_cross_attention(model)
    so_far = begun or Extraction({}, np.zeros(()), 0)
    for number, pair in enumerate(pairs[so_far.n_pairs :], so_far.n_pairs + 1):
        so_far = _with_pair(so_far, model, pair, number)
        keep(so_far)
        on_pair(number, len(pairs))
    return so_far


def _with_pair(so_far: Extraction, model: Transformer, pair: Pair, number: int) -> Extraction:
    tokens = tokens_of(model, pair, number)
    maps = cross_maps(model, tokens)
    norms = _with_layers(maps.layer_norms, maps.norms)
    stacks: dict[Measure, np.ndarray] = {
        "weights": _with_layers(maps.weights.mean(1), maps.weights),
        "norms": norms,
    }
    for measure, stack in stacks.items():
        for reading, found in read_maps(stack, tokens, len(pair.source), len(pair.target)).items():
            so_far.sources.setdefault((measure, reading), []).append(found)
    n_cells = norms.shape[2] * norms.shape[3]
    return Extraction(so_far.sources, so_far.norm_sums + norms.sum((2, 3)), so_far.n_cells + n_cells)


def read_maps(
    stack: Float[np.ndarray, "*maps target source"], tokens: TokenPair, n_source: int, n_target: int
) -> dict[Reading, Int16[np.ndarray, "*maps words"]]:
    """The source word of each target word, in both readings of the decoder's rows."""
    columns, own = columns_of(tokens.source_words, n_source), rows_of(tokens.target_words, n_target)
    nothing = np.zeros((n_target, 1))
    rows: dict[Reading, np.ndarray] = {"AWI": np.hstack((nothing, own)), "AWO": np.hstack((own, nothing))}
    has_row = own.sum(1) > 0
    return {
        reading: best_sources(merge(stack, matrix, columns), tokens.source_words, has_row, n_source)
        for reading, matrix in rows.items()
    }


def check_has_cross_attention(model: Transformer) -> None:
    """Refuse a model that is no encoder-decoder."""
    if not model.module.config.is_encoder_decoder:
        raise InputError(
            f"{model.facts.name} has no cross-attention: it is a {model.facts.architecture}",
            "Expected an encoder-decoder that translates, such as a MarianMTModel",
            "Give such a model; examples/translation_model/train.py makes a small one",
        )


def tokens_of(model: Transformer, pair: Pair, number: int) -> TokenPair:
    """The tokens of a pair.

    Args:
        model: whose tokenizer and special tokens are used.
        pair: the words.
        number: of the pair, for messages.

    Raises:
        InputError: it is longer than the model's context, or nothing is left of a side.
    """
    source, target = (tokenize(model, text_of(side)) for side in (pair.source, pair.target))
    before, after = model.special_tokens("auto")
    limit = model.facts.max_length
    for what, ids in (("source", source.ids), ("target", target.ids)):
        n = len(ids) + len(before) + len(after)
        if not ids or (limit is not None and n > limit):
            raise InputError(
                f"pair {number:,}: its {what} side has {n:,} tokens, special ones included",
                f"Expected at least one word, and at most {limit:,} tokens, the context of {model.facts.name}"
                if limit is not None
                else "Expected at least one word",
                "Remove the pair from every file, the gold links included",
            )
    source_words = word_of_tokens(pair.source, source.spans)
    return TokenPair(
        source_ids=[*before, *source.ids, *after],
        target_ids=[model.module.config.decoder_start_token_id, *target.ids],
        source_words=np.concatenate((np.full(len(before), NO_WORD), source_words, np.full(len(after), NO_WORD))),
        target_words=word_of_tokens(pair.target, target.spans),
    )


def _with_layers(layers: np.ndarray, heads: np.ndarray) -> np.ndarray:
    """(layers, target, source) before (layers, heads, target, source)."""
    return np.concatenate((layers[:, None], heads), axis=1)


def cross_maps(model: Transformer, tokens: TokenPair) -> CrossMaps:
    """Weights and norms of the cross-attention of one pair."""
    weights: list[Tensor] = []
    norms: list[Tensor] = []
    layer_norms: list[Tensor] = []

    def keep(layer: AttentionLayer, states: AttentionStates) -> None:
        own = states.weights[0].double()
        products = gram(split_values(layer, states.values[0]).vectors.double())
        weights.append(own)
        norms.append(own * norms_of(products)[:, None])
        layer_norms.append(summed_norms(own, products))

    run(
        model,
        as_row(model, tokens.source_ids),
        as_row(model, tokens.target_ids),
        keep,
        [layer for layer in model.attention_layers if layer.cross],
    )
    return CrossMaps(*(torch.stack(part).cpu().numpy() for part in (weights, norms, layer_norms)))
