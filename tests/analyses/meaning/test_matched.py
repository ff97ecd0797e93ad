"""Coherence of triggers against plain loops, and of units whose meaning is known."""

import numpy as np
import pytest

from ffmem.analyses.meaning.matched import Coherence, Cosine, Groups, SameLabel, blocks, coherence, strongest
from tests.analyses.meaning.made import Made, make_text, planted


@pytest.fixture(scope="module")
def made() -> Made:
    return make_text(n_documents=200)


def found_of(made: Made, c: np.ndarray, level: int) -> Coherence:
    """Of a unit, and of 19 like it with another order among equals."""
    rng = np.random.default_rng(3)
    units = np.stack([np.where(c > 0, c * (1 + 1e-3 * rng.random(len(c))), 0) for _ in range(20)])
    document = made.sample.document
    triggers = strongest(units, document)
    groups = Groups(made.sample.levels[level], document)
    return coherence(triggers, groups, document, np.arange(made.sample.n_documents), SameLabel(made.topic))


def lift_of(found: Coherence) -> float:
    own, matched = found.levels(np.ones((1, found.own_sums.shape[1])))
    return float(own[0] / matched[0])


def test_words_alone_have_no_lift_where_the_same_word_is_matched(made: Made) -> None:
    cells = planted(made)
    unmatched = found_of(made, cells["words"], level=3)  # by the position alone: as if nothing were matched
    assert lift_of(unmatched) > 1.2
    matched = found_of(made, cells["words"], level=0)
    assert 0.8 < lift_of(matched) < 1.2 and matched.above_all.mean() < 0.5


def test_a_topic_whatever_the_word_survives_both(made: Made) -> None:
    for level in (0, 1):
        found = found_of(made, planted(made)["topic"], level)
        assert lift_of(found) > 2 and found.above_all.all()
        assert np.nanmean(found.own) > 0.99


def test_a_pair_of_words_is_found_out_where_both_are_matched(made: Made) -> None:
    pair = planted(made)["pair"]
    assert 0.8 < lift_of(found_of(made, pair, level=1)) < 1.25
    assert lift_of(found_of(made, pair, level=0)) > lift_of(found_of(made, pair, level=1))


def test_random_silent_and_rare_units(made: Made) -> None:
    cells, document = planted(made), made.sample.document
    of_chance = np.random.default_rng(5).random((60, len(document)))
    triggers = strongest(np.stack([cells["silent"], cells["rare"], *of_chance]), document)
    assert triggers.there.sum(1)[:4].tolist() == [0, 2, 25, 25]
    groups = Groups(made.sample.levels[0], document)
    found = coherence(triggers, groups, document, np.arange(200), SameLabel(made.topic))
    assert 0.95 < lift_of(found) < 1.05 and found.above_all.mean() < 0.2  # 1 in 21 by chance
    assert np.isnan(found.own[0]) and np.isfinite(found.own[2:]).all() and len(found.above_all) >= 60


def test_equals_plain_loops(made: Made) -> None:
    cells, document, label = planted(made), made.sample.document, made.topic
    units = np.stack([cells["random"], cells["words"]])
    triggers = strongest(units, document, 6)
    found = coherence(triggers, Groups(made.sample.levels[0], document), document, np.arange(200), SameLabel(label))
    for unit, c in enumerate(units):
        chosen: list[int] = []
        for i in sorted(range(len(c)), key=lambda i: (-c[i], i)):
            if c[i] > 0 and document[i] not in [document[j] for j in chosen] and len(chosen) < 6:
                chosen.append(i)
        assert triggers.position[unit].tolist() == chosen
        pairs = [(a, b) for a in chosen for b in chosen if a < b]
        assert found.own[unit] == pytest.approx(np.mean([label[a] == label[b] for a, b in pairs]))
    weight = np.random.default_rng(1).integers(0, 4, 200).astype(float)
    total = sum(
        weight[document[a]] * weight[document[b]] * (label[a] == label[b])
        for u in triggers.position
        for a in u
        for b in u
        if a < b
    )
    count = sum(weight[document[a]] * weight[document[b]] for u in triggers.position for a in u for b in u if a < b)
    assert found.levels(weight[None])[0, 0] == pytest.approx(total / count)


def test_draws_have_the_same_words_and_differ_within_a_unit(made: Made) -> None:
    document, level = made.sample.document, made.sample.levels[0]
    triggers = strongest(np.stack([planted(made)["words"]] * 3), document)
    groups, rng = Groups(level, document), np.random.default_rng(0)
    seen = []
    for order in groups.orders:
        drawn = groups.draw(triggers, order, rng)
        assert (level[drawn] == level[triggers.position]).all()
        assert all(len(set(row.tolist())) == len(row) for row in drawn)
        seen.append(drawn)
    # every position of the word is as likely as every other
    word = level[triggers.position[0, 0]]
    hits = np.concatenate([one[level[one] == word] for one in seen])
    assert len(np.unique(hits)) > 0.5 * min(len(hits), (level == word).sum())


def test_a_trigger_that_nothing_matches_says_nothing() -> None:
    document, group = np.array([0, 1, 2, 3]), np.array([0, 0, 1, 2])
    triggers = strongest(np.array([[4.0, 3, 2, 1]]), document)
    assert Groups(group, document).matchable(triggers).there[0, :4].tolist() == [True, True, False, False]


def test_cosine_of_vectors() -> None:
    vectors = np.array([[1, 0], [0, 1], [0.6, 0.8]], dtype=np.float32)
    assert Cosine(vectors)(np.array([[0, 2]]))[0] == pytest.approx(np.array([[1, 0.6], [0.6, 1]]))


def test_blocks_hold_all_documents() -> None:
    rng = np.random.default_rng(0)
    assert blocks(30, rng).tolist() == list(range(30))
    counts = np.bincount(blocks(2_500, rng))
    assert len(counts) == 1_000 and set(counts.tolist()) == {2, 3}
