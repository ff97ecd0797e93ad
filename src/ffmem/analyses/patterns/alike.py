"""How alike triggers are, graded, and against prefixes with the same last words: what stands beside the rate of patterns.

A rate counts units whose triggers pass a threshold, and so tells the size of a text as well; this does not.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Int64

from ffmem.analyses.in_parallel import of_layers
from ffmem.analyses.intervals import proportion
from ffmem.analyses.meaning.draws import LayerDraws, document_weights, quotient, trends
from ffmem.analyses.meaning.draws import estimate as over_draws
from ffmem.analyses.meaning.matched import Cosine, Groups, Likeness, SameLabel, blocks, coherence
from ffmem.analyses.meaning.matched import Triggers as Strongest
from ffmem.analyses.meaning.sample import N_NEAR
from ffmem.analyses.meaning.words import WordVectors
from ffmem.analyses.patterns.detect import N_TRIGGERS, Triggers
from ffmem.analyses.patterns.kinds import last_words
from ffmem.analyses.patterns.results import LayerLikeness, Likenesses
from ffmem.analyses.patterns.semantic import Meaning
from ffmem.analyses.patterns.tokens import Tokens
from ffmem.store.keys import NO_TOKEN
from ffmem.store.reader import Index

MOST_UNITS = 1_000
"""Of a layer that has more, so many random ones are looked at."""
MOST_POSITIONS = 2**20
"""Of a larger text, so many random positions are drawn from, beside the triggers themselves."""


def measure_likeness(
    index: Index,
    tokens: Tokens,
    meaning: Meaning | None,
    *,
    seed: int = 0,
    on_layer: Callable[[int], None] = lambda _: None,
) -> Likenesses:
    """How alike triggers are that different documents give, beyond what their last words make them.

    Args:
        index: a finished index.
        tokens: its tokens.
        meaning: topics of its documents; None, or clusters: triggers are compared by the words before their last three.
        seed: of the draws.
        on_layer: called with each layer's place when it is done.

    Cost: for each draw a sort of the positions; for each layer and draw the pairs of triggers of `MOST_UNITS` units.
    """
    document_of = index.text.document_of(np.arange(index.text.n_all_sentences)).astype(np.int64)
    layers = [_chosen(index, tokens, document_of, place, seed) for place in range(index.n_layers)]
    ends = _population(tokens, layers, seed)
    document = document_of[tokens.sentence_of(ends)]
    names, document = np.unique(document, return_inverse=True)
    block = blocks(len(names), np.random.default_rng([seed, 11]))
    by_topic = meaning is not None and meaning.kind == "topic"
    likeness: Likeness = (
        SameLabel(meaning.of(tokens, ends))
        if meaning is not None and by_topic
        else Cosine(_earlier_words(index, tokens, ends, document_of))
    )
    groups = [Groups(_words(tokens, ends, n), document, seed=seed) for n in (1, 2)]
    weights = document_weights(int(block.max(initial=0)) + 1, np.random.default_rng([seed, 12]))

    def of_layer(place: int) -> tuple[LayerLikeness, LayerDraws]:
        some = layers[place]
        positions = Strongest(np.searchsorted(ends, some.position).clip(max=len(ends) - 1), some.there)
        one, two = (coherence(positions, group, document, block, likeness, seed=seed) for group in groups)
        levels = [of.levels(weights) for of in (one, two)]
        lifts = [quotient(own, matched) for own, matched in levels]
        above = one.above_all
        told = LayerLikeness(
            layer=index.cells.layers[place].name,
            n_units=len(above),
            coherence=over_draws(levels[0][0], len(names)),
            lift=over_draws(lifts[0], len(names)),
            lift_two_words=over_draws(lifts[1], len(names)),
            above=proportion(int(above.sum()), len(above)),
            smallest_lift=one.smallest_lift,
        )
        return told, {"lift": lifts[0], "lift, same two words": lifts[1]}

    found = of_layers(index.n_layers, of_layer, on_layer)
    drawn = [draws for _, draws in found]
    of_depth = trends(drawn, len(names))
    return Likenesses(
        "topic" if by_topic else "earlier words",
        tuple(told for told, _ in found),
        of_depth["lift"],
        of_depth["lift, same two words"],
    )


def _chosen(index: Index, tokens: Tokens, document_of: np.ndarray, place: int, seed: int) -> Strongest:
    """The first triggers of some units, one a document, from all that the index has."""
    stored = index.layer(place).trigger_token
    units = np.flatnonzero(stored.reshape(-1, stored.shape[-1])[:, 0] != NO_TOKEN)
    rng = np.random.default_rng([seed, place, 16])
    units = np.sort(rng.permutation(units)[:MOST_UNITS])
    every = Triggers.of(tokens, stored.reshape(-1, stored.shape[-1])[units]).once_a_document(tokens, document_of)
    order = np.argsort(~every.counted, axis=1, kind="stable")[:, :N_TRIGGERS]
    return Strongest(np.take_along_axis(every.ends, order, 1), np.take_along_axis(every.counted, order, 1))


def _population(tokens: Tokens, layers: Sequence[Strongest], seed: int) -> Int64[np.ndarray, "positions"]:
    """Positions that are drawn from, ascending: all triggers among them."""
    own = [one.position[one.there] for one in layers]
    if tokens.n_prefixes <= MOST_POSITIONS:
        return np.unique(np.concatenate([*own, *tokens.blocks()]))
    return np.unique(np.concatenate([*own, tokens.random(MOST_POSITIONS, np.random.default_rng([seed, 17]))]))


def _words(tokens: Tokens, ends: np.ndarray, n: int) -> Int64[np.ndarray, "positions"]:
    """A number for the last words of each prefix, from 0."""
    numbers: np.ndarray = np.unique(last_words(tokens, ends, n), return_inverse=True)[1]
    return numbers


def _earlier_words(
    index: Index, tokens: Tokens, ends: np.ndarray, document_of: np.ndarray
) -> Float[np.ndarray, "positions dimensions"]:
    """What stands before the last three tokens of each prefix: never what follows it."""
    sentences = np.unique(tokens.sentence_of(ends))
    lengths = tokens.start[sentences + 1] - tokens.start[sentences]
    own = np.concatenate([np.arange(tokens.start[i], tokens.start[i + 1]) for i in sentences.tolist()])
    ids = tokens.token_id[own].astype(np.int64)
    words = WordVectors.of(ids, np.repeat(document_of[sentences], lengths), index.manifest.model.d_vocab)
    vectors = words.earlier(ids, np.concatenate(([0], lengths.cumsum())).astype(np.int64), N_NEAR, causal=True)
    found: np.ndarray = vectors[np.searchsorted(own, ends)]
    return found
