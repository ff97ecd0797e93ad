"""Pairs as tokens: rows and what they predict, a first token that the model asks for, and pairs that do not fit."""

from ffmem.analyses.alignment.pairs import Pair
from ffmem.analyses.translation.taught import teach, token_counts
from tests.studies.alignment.copying import POSITIONS, copy_model

PAIR = Pair(("two", "one"), ("three", "one", "one"))


def test_a_row_predicts_the_token_after_the_one_it_is_given() -> None:
    model = copy_model(0)
    vocabulary = model.tokenizer.get_vocab()
    found = teach(model, PAIR)
    assert found is not None
    assert found.source_ids == (vocabulary["two"], vocabulary["one"], vocabulary["</s>"])
    assert (found.n_before, found.n_source, found.first_row) == (0, 2, 0)
    assert found.given_ids == (vocabulary["</s>"], *found.target_ids)
    assert found.target_ids == tuple(vocabulary[word] for word in PAIR.target)


def test_a_first_token_that_the_model_asks_for_shifts_the_rows() -> None:
    model = copy_model(0)
    model.module.generation_config.forced_bos_token_id = 2
    found = teach(model, PAIR)
    assert found is not None and found.given_ids[:2] == (1, 2) and found.first_row == 1


def test_pairs_that_do_not_fit_are_none() -> None:
    model = copy_model(0)
    longest = POSITIONS - 2  # the start token, or </s>, takes one more, and the context is one less than the table
    for side in (longest, longest + 1):
        words = ("one",) * side
        assert (teach(model, Pair(words, ("one",))) is None) == (side > longest)
        assert (teach(model, Pair(("one",), words)) is None) == (side > longest)


def test_counts_are_of_all_translations() -> None:
    model = copy_model(0)
    counts = token_counts(model, [PAIR, PAIR, Pair(("four",), ("five",))])
    vocabulary = model.tokenizer.get_vocab()
    expected = {"one": 4, "three": 2, "five": 1}
    assert {word: int(counts[vocabulary[word]]) for word in expected} == expected and counts.sum() == 7
