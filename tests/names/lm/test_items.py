from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import ffmem
from ffmem.ids import CellId
from ffmem.names.lm.examples import shown_of
from ffmem.names.lm.items import (
    Items,
    detection_items,
    fuzzing_items,
    items_of,
    sentences_to_look_up,
    simulation_items,
    spread,
)
from ffmem.names.lm.known import Known, Positions, Unit, known_of
from ffmem.names.lm.texts import Texts

UNIT = Unit(CellId(0, 4))


@pytest.fixture(scope="module")
def texts(planted: Path) -> Texts:
    return Texts(ffmem.open_index(planted))


@pytest.fixture(scope="module")
def known(texts: Texts) -> Known:
    return known_of(texts, UNIT)


@pytest.fixture(scope="module")
def items(texts: Texts, known: Known) -> Items:
    return items_of(texts, known, np.random.default_rng(0), choosing=True)


def test_what_is_judged_is_true_and_from_the_other_half(texts: Texts, known: Known, items: Items) -> None:
    tokens = np.array([one.token for one in items.detection])
    assert texts.halves.is_in("judging", tokens).all() and len(set(tokens.tolist())) == len(tokens)
    shown = shown_of(texts, UNIT, known, 0)
    assert not set(texts.halves.documents_of(tokens)) & set(texts.halves.documents_of(np.array(shown.tokens)))
    # the planted cell is above 0 at its word and nowhere else
    words = {one.token: texts.index.text.token_strings([int(texts.last[one.token])])[0] for one in items.detection}
    assert all(words[one.token] == " bax" for one in items.detection if one.fires)
    assert not any(words[one.token] == " bax" for one in items.detection if one.group == "hard")
    for some in (items.detection, items.choosing):
        counts = Counter(one.group for one in some)
        assert counts["firing"] >= 5 and counts["hard"] >= 2 and counts["random"] >= 2


def test_items_to_choose_by_are_others(items: Items) -> None:
    assert not {one.token for one in items.detection} & {one.token for one in items.choosing}
    assert len(items.intruders) == 2
    for one in items.intruders:
        assert ["⟦bax⟧" in text for text in one.texts].count(True) == 4 and "⟦bax⟧" not in one.texts[one.odd]


def test_firing_items_are_spread_over_what_they_stand_for(texts: Texts) -> None:
    tokens = np.arange(0, 400, 10)
    # the first ten stand for half of all positions: half of the chosen ones are theirs
    weights = np.array([3.0] * 10 + [1.0] * 30)
    fires = Positions(tokens, np.linspace(9, 1, 40), weights)
    chosen = spread(texts, fires, 10, np.random.default_rng(0))
    assert len(chosen) == 10 and sum(token < 100 for token in chosen) == 5


def test_random_items_are_drawn_by_what_they_stand_for(texts: Texts, known: Known) -> None:
    judging = np.flatnonzero(texts.halves.is_in("judging", np.arange(texts.n_tokens)))
    some = judging[:: len(judging) // 200][:200]
    weak, silent = some[::2], some[1::2]
    sample = Positions(
        np.concatenate([weak, silent]), np.array([0.1] * 100 + [-1.0] * 100), np.array([1.0] * 100 + [9.0] * 100)
    )
    of = Known(known.top, sample, silent, 4.0, 2.0)
    n_weak = n = 0
    for seed in range(40):
        found = detection_items(texts, of, 10, np.random.default_rng(seed))
        random = [one.token for one in found if one.group == "random"]
        n_weak, n = n_weak + sum(one in set(weak.tolist()) for one in random), n + len(random)
    assert n == 400 and 0.05 < n_weak / n < 0.16


def test_tokens_and_sentences_with_every_coefficient(texts: Texts, known: Known) -> None:
    rng = np.random.default_rng(0)
    top, random = sentences_to_look_up(texts, known, rng)
    text = texts.index.text
    coefficients = {}
    for sentence in [*top, *random]:
        first, end = text.sentence_range(sentence)
        words = text.token_strings(texts.last[first:end].tolist())
        coefficients[sentence] = np.array([4.0 if word == " bax" else -1.0 for word in words])
    fuzzed = fuzzing_items(texts, known, top, coefficients, rng)
    assert [one.fires for one in fuzzed] == [True, False] * 5
    assert all(("⟦bax⟧" in one.text) == one.fires for one in fuzzed)
    assert len({int(text.sentence_of(np.array([one.token]))[0]) for one in fuzzed}) == 5
    simulated = simulation_items(texts, top, random, coefficients)
    assert Counter(one.group for one in simulated) == {"top": 5, "random": len(random)}
    for one in simulated:
        assert [value > 0 for value in one.coefficients] == [token == " bax" for token in one.tokens]
