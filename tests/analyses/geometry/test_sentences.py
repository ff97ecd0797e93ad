from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from ffmem import Index, InputError
from ffmem.analyses.geometry.sentences import LONGEST, SHORTEST, bags_of_words, sentences_of, shuffled_words


def test_sentences_are_different_and_of_many_documents(index_of: Callable[[str], Index]) -> None:
    text = index_of("gpt2").text
    found = sentences_of(text, 100, seed=1)
    assert len(found) == 100 and len({one.tobytes() for one in found.tokens}) == 100
    assert all(SHORTEST <= len(one) <= LONGEST for one in found.tokens) and found.label is None
    for number, one in zip(found.ids.tolist(), found.tokens, strict=True):
        assert (text.sentence(number).token_ids == one).all()
    n_able = len(np.unique(sentences_of(text, 10_000).document))
    most = max(Counter(found.document.tolist()).values())
    assert most <= -(-100 // n_able) + 1  # one of each document before a second of any
    assert found.ids.tolist() == sentences_of(text, 100, seed=1).ids.tolist()
    assert found.ids.tolist() != sentences_of(text, 100, seed=2).ids.tolist()


def test_repeated_sentences_are_counted(index_of: Callable[[str], Index]) -> None:
    text = index_of("gpt2").text
    every = sentences_of(text, 10_000)
    starts = text.sentence_start.astype(int)
    lengths = np.diff(starts)
    able = [
        i for i, n in enumerate(lengths) if SHORTEST <= n <= LONGEST and (text.context is None or text.context[i] == 0)
    ]
    different = {tuple(text.token_id[starts[i] : starts[i + 1]].tolist()) for i in able}
    assert len(every) == len(different) and every.n_repeated == len(able) - len(different)


def test_labels_are_those_of_documents(labelled: Index) -> None:
    found, text = sentences_of(labelled.text, 120), labelled.text
    assert found.label is not None and found.label_field == "topic" and len(found.label_names) >= 3
    for document, label in zip(found.document.tolist(), found.label.tolist(), strict=True):
        assert text.document(document).metadata["topic"] == found.label_names[label]


def test_too_little_text_is_refused(index_of: Callable[[str], Index]) -> None:
    with pytest.raises(InputError, match="the text has 20 different sentences"):
        sentences_of(index_of("gpt2").text, 20)


def test_shuffled_words_are_the_same_words(index_of: Callable[[str], Index]) -> None:
    text = index_of("gpt2").text
    ids = sentences_of(text, 60).ids
    mixed = shuffled_words(text, ids)
    n_moved = 0
    for number, tokens in zip(ids.tolist(), mixed, strict=True):
        own = text.sentence(number).text.split()
        back = text._tokenizer.decode(tokens.tolist(), skip_special_tokens=False).split()
        assert sorted(back) == sorted(own)
        n_moved += back != own
    assert n_moved > 50
    again = shuffled_words(text, ids[:3])
    assert all((one == other).all() for one, other in zip(mixed, again, strict=False))


def test_shuffled_words_are_no_more_tokens_than_a_model_takes(index_of: Callable[[str], Index]) -> None:
    text = index_of("gpt2").text
    whole = shuffled_words(text, np.arange(40))
    most = max(map(len, whole)) - 1
    cut = shuffled_words(text, np.arange(40), most=most)
    assert max(map(len, cut)) == most
    assert all(one.tolist() == other[:most].tolist() for one, other in zip(cut, whole, strict=True))
    assert max(map(len, shuffled_words(text, np.arange(40), most=10_000))) <= 2 * LONGEST


def test_bags_of_words_weigh_rare_tokens_and_have_length_1() -> None:
    bags = bags_of_words([np.array([1, 2, 2]), np.array([1, 3]), np.array([1, 3, 4])])
    weights = np.log(3 / np.array([3, 1, 2, 1]))
    expected = np.array([[1, 2, 0, 0], [1, 0, 1, 0], [1, 0, 1, 1]]) * weights
    assert bags == pytest.approx(expected / np.linalg.norm(expected, axis=1, keepdims=True), abs=1e-6)
