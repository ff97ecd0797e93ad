"""Chance given the words, by hand and by trying all outcomes; a topic that is only a word's."""

from itertools import product

import numpy as np
import pytest

from ffmem.analyses.patterns.control import control
from ffmem.analyses.patterns.detect import Triggers, shared_meanings, shared_values
from ffmem.analyses.patterns.kinds import Kind
from ffmem.analyses.patterns.same_words import SameWords, any_tail
from tests.analyses.patterns.made import Text, Unit


def test_tail_by_all_outcomes() -> None:
    rng = np.random.default_rng(0)
    p, counted = rng.random((5, 6)), rng.random((5, 6)) < 0.8
    k = np.array([0, 1, 2, 3, 6])
    expected = [
        sum(
            np.prod([one if hit else 1 - one for hit, one in zip(hits, row[there], strict=True)])
            for hits in product((0, 1), repeat=int(there.sum()))
            if sum(hits) >= least
        )
        for row, there, least in zip(p, counted, k.tolist(), strict=True)
    ]
    assert any_tail(k, p, counted) == pytest.approx(expected)


def text_of_two_topics() -> Text:
    """Topic 1 has the word 3 in every document, topic 0 seldom; 0 1 2 are everyone's."""
    rng = np.random.default_rng(0)
    rows, documents = [], []
    for document in range(80):
        for _ in range(4):
            row = rng.integers(0, 3, 6).tolist()
            if document % 2 or rng.random() < 0.05:
                row[int(rng.integers(0, 6))] = 3
            rows.append(row)
            documents.append(document)
    return Text(rows, documents, [document % 2 for document in range(80)])


def test_frequencies_by_hand() -> None:
    text = Text([[0, 1], [0, 1], [1, 1], [0, 1], [1]], [0, 1, 2, 2, 3], [0, 1, 1, 0])
    words = SameWords.of(text.features(), "topic", np.array(text.documents))
    assert words is not None
    # token 1, in other documents than 0: at 3, 4, 5, 7 and 8, of topics 1, 1, 1, 1, 0; after 0: 3 and 7, of topic 1 both
    by_token, by_both = words.frequencies(np.array([[1]]), np.array([1], dtype=np.uint64), np.array([0.5]))
    token = (4 + 5 * 0.5) / (5 + 5)
    assert by_token[0, 0] == pytest.approx(token) and by_both[0, 0] == pytest.approx((2 + 5 * token) / (2 + 5))
    # a prefix of one token has only others of one token beside it: nothing else begins with 1 but row 2
    _, by_both = words.frequencies(np.array([[8]]), np.array([1], dtype=np.uint64), np.array([0.5]))
    token = (5 - 1 + 5 * 0.5) / (5 + 5)  # all but its own; rows 0 and 1 differ
    assert by_both[0, 0] == pytest.approx((1 + 5 * token) / (1 + 5))


def test_a_word_of_a_topic_is_no_topic() -> None:
    """A unit that fires on 3 has triggers of topic 1; given the word that is nothing. One that fires on the topic stands."""
    text = text_of_two_topics()
    features, documents = text.features(), np.array(text.documents)
    on_word: Unit = [(s, row.index(3)) for s, row in enumerate(text.rows) if 3 in row]
    on_topic: Unit = [(s, 5) for s in range(len(text.rows)) if text.documents[s] % 2 and text.rows[s][5] < 3]
    once_each = [
        list({text.documents[one[0]]: one for one in unit if one}.values())[:25] for unit in (on_word, on_topic)
    ]
    triggers = [Triggers.of(features.tokens, text.stored(units)) for units in (once_each, once_each[:1])]
    once = [one.once_a_document(features.tokens, documents) for one in triggers]
    shared = [shared_meanings(features, "topic", some, ones) for some, ones in zip(triggers, once, strict=True)]
    accepted = []
    for words in (None, SameWords.of(features, "topic", documents)):
        (found, _), limits = control(features, "topic", once, shared, words)
        rows = dict(
            zip(zip(found.unit.tolist(), found.value.tolist(), strict=True), found.accepted.tolist(), strict=True)
        )
        accepted.append((rows.get((0, 1)), rows.get((1, 1))))
        assert limits.given_words == (words is not None)
    assert accepted == [(True, True), (False, True)]


def test_what_says_nothing_beyond_the_word() -> None:
    """1 2 is frequent, but after 1 it is always 2: who fires on 2 fires on 1 2 as well. Given the word that is nothing."""
    rng = np.random.default_rng(1)
    rows = [[*rng.integers(3, 40, 3).tolist(), 1, 2, *rng.integers(3, 40, 2).tolist()] for _ in range(60)]
    rows += [[*rng.integers(3, 40, 3).tolist(), 5, 6] for _ in range(12)] + [[40, 6, 7]] * 20 + [[8, 9]] * 20
    text = Text(rows, list(range(len(rows))), [0] * len(rows))
    features, documents = text.features(), np.array(text.documents)
    on_word: Unit = [(number, 4) for number in range(12)]
    on_both: Unit = [(60 + number, 4) for number in range(12)]
    layers = [Triggers.of(features.tokens, text.stored([on_word, on_both])) for _ in range(2)]
    shared = [shared_values(features, "final-2-gram", one) for one in layers]
    accepted = []
    for words in (None, SameWords.of(features, "final-2-gram", documents, np.unique(shared[0].value))):
        (found, _), _ = control(features, "final-2-gram", layers, shared, words)
        accepted.append([(found.accepted & (found.unit == unit)).any() for unit in (0, 1)])
    assert accepted == [[True, True], [False, True]]


@pytest.mark.parametrize("kind", ["token", "shape", "2-gram", "3-gram"])
def test_what_is_the_words_own_is_held_against_all_prefixes(kind: Kind) -> None:
    text = text_of_two_topics()
    assert SameWords.of(text.features(), kind, np.array(text.documents)) is None
