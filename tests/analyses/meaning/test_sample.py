"""The positions that are asked about: which, in what order, and what stands at them."""

from collections.abc import Callable

import numpy as np
import pytest

from ffmem import Index
from ffmem.analyses.meaning.sample import Sample, draw_sample
from tests.analyses.meaning.made import make_text


@pytest.fixture(scope="module")
def drawn(index_of: Callable[[str], Index]) -> Sample:
    return draw_sample(index_of("gpt2"), 2_000, causal=True)


def test_whole_sentences_of_every_document(drawn: Sample, index_of: Callable[[str], Index]) -> None:
    text = index_of("gpt2").text
    start = text.sentence_start.astype(int)
    there = [tuple(text.token_id[start[i] : start[i + 1]].tolist()) for i in range(text.n_all_sentences)]
    assert 1_900 < len(drawn) <= 2_000 and len(drawn) == sum(map(len, drawn.sentences))
    assert all(tuple(one.tolist()) in there for one in drawn.sentences)
    # there are more documents than sentences that have room: none gives a second one
    assert drawn.n_documents == len(drawn.sentences) > 40
    assert np.bincount(drawn.fold_of).max() - np.bincount(drawn.fold_of).min() <= 1
    assert (np.diff(drawn.fold_of) >= 0).all() and (np.diff(drawn.document_of) >= 0).all()
    assert draw_sample(index_of("gpt2"), 2_000, causal=True).sentences[3].tolist() == drawn.sentences[3].tolist()
    other = draw_sample(index_of("gpt2"), 2_000, causal=True, seed=1)
    assert [one.tolist() for one in other.sentences] != [one.tolist() for one in drawn.sentences]


def test_groups_are_last_tokens(drawn: Sample) -> None:
    prefixes = [one[: place + 1].tolist() for one in drawn.sentences for place in range(len(one))]
    for n in (1, 2, 3):
        seen: dict[tuple[object, ...], int] = {}
        for number, prefix in zip(drawn.levels[n - 1].tolist(), prefixes, strict=True):
            key = (len(prefix) >= n, *prefix[-n:]) if len(prefix) >= n else (False, *prefix)
            assert seen.setdefault(key, number) == number
        assert len(set(seen.values())) == len(seen)
    assert drawn.place.tolist() == [len(prefix) - 1 for prefix in prefixes]


def test_labels_are_spread_over_folds(index_of: Callable[[str], Index]) -> None:
    made = make_text().sample
    fewer, positions = made.part(1 / 3)
    assert fewer.n_documents == 20 and np.bincount(fewer.fold_of).tolist() == [4] * 5
    assert fewer.label_of is not None and made.label_of is not None
    tokens = np.concatenate(made.sentences)
    assert np.concatenate(fewer.sentences).tolist() == tokens[positions].tolist()
    assert made.label_of[made.document[positions]].tolist() == fewer.label_of[fewer.document].tolist()


def test_shuffled_words_are_those_of_the_same_place() -> None:
    made = make_text().sample
    shuffled = made.shuffled_earlier(0)
    for place in (0, 2, 5, 11):
        at = made.place == place
        assert sorted(map(tuple, shuffled[at].tolist())) == sorted(map(tuple, made.earlier[at].tolist()))
    assert (shuffled[made.place == 8] != made.earlier[made.place == 8]).any(1).mean() > 0.9
    assert not made.earlier[made.place < 3].any()
