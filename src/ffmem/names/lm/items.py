"""What the judge is asked about a unit, all from documents that its name was not made from."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from ffmem.names.lm.examples import hard_negatives
from ffmem.names.lm.known import Coefficients, Known, Positions
from ffmem.names.lm.texts import N_SHOWN, Texts, one_a_document, quoted

N_ITEMS = 10
"""Firing, random and hard ones each."""
N_FUZZED = 5
"""Firing sentences, each with a token at which the unit fires and one at which it does not."""
N_SIMULATED = 5
"""Sentences with a trigger, and as many random ones."""
N_INTRUDERS = 2
"""Questions which of `N_TOGETHER` does not belong to the others."""
N_TOGETHER = 5
STRONG = 0.3
"""Of the largest coefficient in a sentence: from here on a token of it counts as firing, where tokens are marked."""

Group = Literal["firing", "random", "hard"]


@dataclass(frozen=True)
class Item:
    """A marked position: does the unit with this name fire there?"""

    token: int
    text: str
    """As it stands in the prompt."""
    fires: bool
    group: Group
    why: str = ""
    """Of a hard one: see `examples.WHY`."""


@dataclass(frozen=True)
class Sentence:
    """A piece of a sentence: how strongly does the unit fire at each of its tokens?"""

    tokens: tuple[str, ...]
    """As they stand in the prompt."""
    coefficients: tuple[float, ...]
    group: Literal["top", "random"]


@dataclass(frozen=True)
class Intruder:
    """Some positions at which the unit fires, and one at which it does not: which one?"""

    texts: tuple[str, ...]
    odd: int
    """From 0."""


@dataclass(frozen=True)
class Items:
    """All that the judge is asked about a unit."""

    detection: tuple[Item, ...]
    choosing: tuple[Item, ...] = ()
    """Others, to choose among several names by."""
    fuzzing: tuple[Item, ...] = ()
    simulation: tuple[Sentence, ...] = ()
    intruders: tuple[Intruder, ...] = ()


def firing(texts: Texts, known: Known) -> Positions:
    """The sampled positions of the judging half at which a unit fires, strongest first."""
    sample = known.sample.where(texts.halves.is_in("judging", known.sample.tokens) & known.fires(known.sample))
    return sample.where(np.lexsort((sample.tokens, -sample.coefficients)))


def detection_items(texts: Texts, known: Known, n: int, rng: np.random.Generator) -> tuple[Item, ...]:
    """N firing positions from each tenth of the firing ones, n random ones, n hard ones: fewer of what there is less of.

    Args:
        texts: the text.
        known: where the unit fires.
        n: of each group.
        rng: of the draws.
    """
    documents: set[int] = set()
    chosen = spread(texts, firing(texts, known), n, rng, documents)
    silent = np.setdiff1d(known.silent, chosen)
    # without the index's model there are few silent positions: half of them are left for the random ones
    n_hard = min(n, int(texts.halves.is_in("judging", silent).sum()) // 2)
    hard = hard_negatives(texts, replace(known, silent=silent), "judging", 3 * n_hard, rng)
    hard = _balanced(hard, n_hard)
    asked = {*chosen, *(one for one, _ in hard)}
    random = _random(texts, known, n, rng, asked, documents)
    groups: list[tuple[Group, bool, list[tuple[int, str]]]] = [
        ("firing", True, [(one, "") for one in chosen]),
        ("random", False, [(one, "") for one in random]),
        ("hard", False, hard),
    ]
    return tuple(Item(one, texts.excerpt(one), yes, name, why) for name, yes, some in groups for one, why in some)


def _random(texts: Texts, known: Known, n: int, rng: np.random.Generator, avoid: set[int], used: set[int]) -> list[int]:
    """N positions of the judging half at which the unit does not fire, each as likely as every other."""
    sample = known.sample.where(texts.halves.is_in("judging", known.sample.tokens) & ~known.fires(known.sample))
    sample = sample.where(~np.isin(sample.tokens, [*avoid]))
    # in order of their keys, the first ones are a draw by weight without replacement (Efraimidis & Spirakis 2006)
    keys = rng.exponential(size=len(sample)) / np.maximum(sample.weights, 1e-9)
    sample = sample.where(np.argsort(keys))
    # of silent positions, most of the text, a sample has few: behind the last of them the others would be too many
    silent = np.flatnonzero(sample.coefficients <= 0)
    tokens = sample.tokens[: silent[-1] + 1] if len(silent) else sample.tokens
    return one_a_document(texts, tokens.tolist(), n, used)


def _balanced(hard: list[tuple[int, str]], n: int) -> list[tuple[int, str]]:
    """N of some hard ones, of every kind in turn."""
    kinds: dict[str, list[tuple[int, str]]] = {}
    for one in hard:
        kinds.setdefault(one[1], []).append(one)
    filling = kinds.pop("", [])
    longest = max(map(len, kinds.values()), default=0)
    in_turn = [some[i] for i in range(longest) for some in kinds.values() if i < len(some)]
    return [*in_turn, *filling][:n]


def spread(texts: Texts, fires: Positions, n: int, rng: np.random.Generator, used: set[int] | None = None) -> list[int]:
    """N of some positions, strongest first, one of each n-th part of what they stand for."""
    if not len(fires):
        return []
    part = np.minimum((np.cumsum(fires.weights) - fires.weights / 2) / fires.weights.sum() * n, n - 1).astype(int)
    order = rng.permutation(len(fires))
    in_parts = [order[part[order] == one] for one in range(n)]
    longest = max(map(len, in_parts))
    in_turn = [int(one[i]) for i in range(longest) for one in in_parts if i < len(one)]
    return one_a_document(texts, fires.tokens[in_turn].tolist(), n, used)


def items_of(
    texts: Texts, known: Known, rng: np.random.Generator, *, choosing: bool = False, intruders: bool = True
) -> Items:
    """What is asked about a unit without its model.

    Args:
        texts: the text.
        known: where it fires.
        rng: of the draws.
        choosing: ask about others too, to choose among several names by.
        intruders: ask which position does not belong to the others.
    """
    detection = detection_items(texts, known, 2 * N_ITEMS if choosing else N_ITEMS, rng)
    others: tuple[Item, ...] = ()
    if choosing:  # every second one of each group, in the order in which they were drawn
        groups = [[one for one in detection if one.group == group] for group in get_args(Group)]
        detection, others = (tuple(one for some in groups for one in some[first::2]) for first in (0, 1))
    return Items(
        detection=detection,
        choosing=others,
        intruders=tuple(_intruders(detection, rng)) if intruders else (),
    )


def _intruders(detection: tuple[Item, ...], rng: np.random.Generator) -> Iterator[Intruder]:
    fires = [one for one in detection if one.fires]
    others = [one for one in detection if one.group == "random"]
    for _ in range(N_INTRUDERS if len(fires) >= N_TOGETHER - 1 and others else 0):
        together = [fires[i] for i in rng.choice(len(fires), N_TOGETHER - 1, replace=False)]
        odd = int(rng.integers(N_TOGETHER))
        together.insert(odd, others[int(rng.integers(len(others)))])
        yield Intruder(tuple(one.text for one in together), odd)


def sentences_to_look_up(texts: Texts, known: Known, rng: np.random.Generator) -> tuple[list[int], list[int]]:
    """Sentences of the judging half of which every coefficient is wanted: with a trigger or a firing position, and random."""
    top = known.top.where(texts.halves.is_in("judging", known.top.tokens))
    strongest = one_a_document(texts, top.tokens.tolist(), N_SIMULATED)
    more = spread(texts, firing(texts, known), N_FUZZED, rng)
    tokens = [*dict.fromkeys([*strongest, *more])]
    random = texts.drawn("judging", N_SIMULATED, rng)
    of = texts.index.text.sentence_of
    return (
        [*dict.fromkeys(of(np.array(tokens, dtype=np.int64)).tolist())] if tokens else [],
        [*dict.fromkeys(of(random).tolist())] if len(random) else [],
    )


def fuzzing_items(
    texts: Texts, known: Known, sentences: list[int], coefficients: Coefficients, rng: np.random.Generator
) -> tuple[Item, ...]:
    """In firing sentences a marked token at which the unit fires, and one at which it does not."""
    found: list[Item] = []
    for sentence in sentences:
        values = coefficients.get(sentence)
        if values is None or len(found) >= 2 * N_FUZZED:
            continue
        first = int(texts.index.text.sentence_start[sentence])
        own = texts.indexed(first + np.arange(len(values))) - first
        most = float(values[own].max(initial=0.0))
        strong = own[(values[own] >= STRONG * most) & (values[own] > 0)]
        weak = own[values[own] < min(STRONG * most, known.threshold)]
        if most <= 0 or not len(strong) or not len(weak):
            continue
        for places, yes in ((strong, True), (weak, False)):
            token = first + int(rng.choice(places))
            found.append(Item(token, texts.excerpt(token), yes, "firing" if yes else "hard"))
    return tuple(found)


def simulation_items(
    texts: Texts, top: list[int], random: list[int], coefficients: Coefficients
) -> tuple[Sentence, ...]:
    """Pieces of sentences with every coefficient: around the largest of some, and the beginning of random ones."""
    found: list[Sentence] = []
    for sentences, group in ((top[:N_SIMULATED], "top"), (random, "random")):
        for sentence in sentences:
            values = coefficients.get(sentence)
            if values is None or len(values) < 2:
                continue
            last = int(values.argmax()) + N_SHOWN // 4 if group == "top" else N_SHOWN
            first = max(0, min(last, len(values)) - N_SHOWN)
            piece = slice(first, first + N_SHOWN)
            tokens = texts.index.text.sentence(sentence).token_strings()[piece]
            found.append(
                Sentence(tuple(map(quoted, tokens)), tuple(map(float, values[piece])), group)  # type: ignore[arg-type]
            )
    return tuple(found)
