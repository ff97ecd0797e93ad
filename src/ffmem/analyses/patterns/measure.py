"""What do the triggers of each cell have in common, and is it more than chance? Geva et al. 2021, Figure 2, by machine."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from ffmem.analyses.intervals import proportion
from ffmem.analyses.patterns.chance import MIN_SHARED
from ffmem.analyses.patterns.control import control
from ffmem.analyses.patterns.detect import N_TRIGGERS, Shared, Triggers, shared_meanings, shared_values
from ffmem.analyses.patterns.kinds import CLASS_OF, Features, Kind
from ffmem.analyses.patterns.lexical import Shapes
from ffmem.analyses.patterns.results import ChanceRate, Found, Patterns
from ffmem.analyses.patterns.same_words import SameWords
from ffmem.analyses.patterns.semantic import Meaning, clusters, topics
from ffmem.analyses.patterns.summary import summarise
from ffmem.analyses.patterns.tokens import Tokens
from ffmem.errors import InputError
from ffmem.store.reader import Index
from ffmem.store.text import LABEL_FIELDS

N_RANDOM_UNITS = 400
"""Units of random prefixes by which the chance rate is told."""
SemanticChoice = Literal["auto", "topic", "cluster", "none"]
"""Where semantic patterns come from: "topic": labels of documents; "cluster": the words before a prefix's last three; "auto":
labels if the corpus has them, else these words; "none": there are none."""


def measure_patterns(
    index: Index,
    *,
    semantic: SemanticChoice = "auto",
    seed: int = 0,
    on_layer: Callable[[int], None] = lambda _: None,
) -> Patterns:
    """Patterns among the first `N_TRIGGERS` triggers of every unit: a cell, of gated cells a cell and a sign.

    A candidate is a value (see `kinds.Kind`) that `MIN_SHARED` triggers share or more, of which repeats of a prefix
    count once; a topic or cluster, which sentences of one document share by themselves, counts once for each document.
    With n triggers, of which k share a value that a share f of random prefixes has, p = P(Binomial(n, f) >= k). Within
    a unit and kind, p is multiplied by the number of values that could have been shared: those that `MIN_SHARED`
    indexed positions have or more (Bonferroni). Over all units with so many triggers, the smallest of these of each
    unit is held to a false discovery rate of `FALSE_DISCOVERY_RATE` for each kind (Benjamini & Hochberg); values up to
    that threshold are patterns. Words have topics: a topic is held, besides, against prefixes of other documents with the same
    last token as each trigger, and with the same last two (see `SameWords`), and the largest of the three p counts.

    Args:
        index: a finished index.
        semantic: where semantic patterns come from: see `SemanticChoice`.
        seed: of random prefixes, clusters and bootstraps.
        on_layer: called with each layer's place when its triggers have been compared.

    Raises:
        InputError: labels are asked for, and there are none.

    Cost: about a second a layer of 3,072 units, and some passes over the tokens; memory of the candidates, and some 40 bytes
    for each token, of 4 million at most.

    Source: Geva et al. 2021, section 3, where people found, described and classified patterns.
    """
    tokens = Tokens.of(index)
    rng = np.random.default_rng([seed, 0])
    random = tokens.random(N_RANDOM_UNITS * N_TRIGGERS, rng).reshape(N_RANDOM_UNITS, N_TRIGGERS)
    stored = [_stored(index, place) for place in range(index.n_layers)]
    triggers = [Triggers.of(tokens, ends) for ends in (*stored, random)]
    meaning = _meaning(index, tokens, semantic, seed)
    features = Features(tokens, Shapes.of_vocabulary(index.text.vocabulary), meaning)
    document_of = index.text.document_of(np.arange(index.text.n_all_sentences))
    once = [one.once_a_document(tokens, document_of) for one in triggers]
    shared = []
    for place, some in enumerate(triggers):
        shared.append([_shared(features, kind, some, once[place]) for kind in features.kinds])
        if place < index.n_layers:
            on_layer(place)
    found, controls = [], []
    for number, kind in enumerate(features.kinds):
        of_kind = [by_kind[number] for by_kind in shared]
        values = np.unique(np.concatenate([one.value for one in of_kind]))
        counted = once if CLASS_OF[kind] == "semantic" else triggers
        tested, one = control(features, kind, counted, of_kind, SameWords.of(features, kind, document_of, values))
        found.append(tested)
        controls.append(one)
    by_layer = list(zip(*found, strict=True))
    return Patterns(
        found=tuple(by_layer[:-1]),
        layers=tuple(
            summarise(index.cells.layers[place].name, triggers[place].counted, by_layer[place], seed=seed)
            for place in range(index.n_layers)
        ),
        controls=tuple(controls),
        chance=_chance_rates(by_layer[-1]),
        meaning=meaning,
    )


def _shared(features: Features, kind: Kind, triggers: Triggers, once: Triggers) -> Shared:
    if CLASS_OF[kind] == "semantic":
        return shared_meanings(features, kind, triggers, once)
    return shared_values(features, kind, triggers)


def _stored(index: Index, place: int) -> np.ndarray:
    tokens = index.layer(place).trigger_token[:, :, :N_TRIGGERS]
    return tokens.reshape(-1, tokens.shape[-1])


def _meaning(index: Index, tokens: Tokens, semantic: SemanticChoice, seed: int) -> Meaning | None:
    if semantic == "none":
        return None
    if semantic != "cluster":
        found = topics(index, tokens, MIN_SHARED)
        if found is not None:
            return found
        if semantic == "topic":
            raise InputError(
                f"the documents of {index.folder} have no labels",
                f"Expected one of these fields in the metadata of every document: {', '.join(LABEL_FIELDS)}",
                "Give semantic='cluster' for clusters of the words before a trigger",
            )
    return clusters(index, tokens, MIN_SHARED, seed=seed)


def _chance_rates(random: Sequence[Found]) -> tuple[ChanceRate, ...]:
    def rate(units: np.ndarray) -> int:
        return len(np.unique(units))

    rates = [
        ChanceRate(
            one.kind,
            proportion(rate(one.unit), N_RANDOM_UNITS),
            proportion(rate(one.unit[one.accepted]), N_RANDOM_UNITS),
        )
        for one in random
    ]
    before = rate(np.concatenate([one.unit for one in random]))
    after = rate(np.concatenate([one.unit[one.accepted] for one in random]))
    return (*rates, ChanceRate("any", proportion(before, N_RANDOM_UNITS), proportion(after, N_RANDOM_UNITS)))
