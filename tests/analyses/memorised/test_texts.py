"""Tokens that the rest of the training text has, against a count by hand."""

import numpy as np

from ffmem.analyses.memorised.texts import ReadText, copies_in, known_elsewhere, read_document, surface_counts
from ffmem.corpus.documents import Document
from ffmem.models.transformer import Transformer
from tests.fixtures.planted_memory import WORDS


def text_of(words: str) -> ReadText:
    spans, at = [], 0
    for word in words.split():
        at = words.index(word, at)
        spans.append((at, at + len(word)))
        at += len(word)
    return ReadText("one", words, np.arange(len(spans)), tuple(spans))


def test_a_document_keeps_the_letters_of_words_that_the_model_does_not_know(planted_memory: Transformer) -> None:
    read = read_document(planted_memory, Document("a", "the zebra is open"))
    assert read.surfaces == ["the", "zebra", "is", "open"]
    assert read.ids.tolist() == [WORDS.index(word) for word in ("the", "<unk>", "is", "open")]


def test_only_the_rest_of_the_training_text_counts() -> None:
    training = [text_of(one) for one in ("a a b c", "a b c d", "a c e e e")]
    counts = surface_counts(training)
    # "a" 2 + 1 + 1, "b" 1 + 1, "c" 1 + 1 + 1, "e" thrice, all in one document
    assert known_elsewhere(training[0], counts, in_training=True).tolist() == [True, True, False, True]
    assert known_elsewhere(training[2], counts, in_training=True).tolist() == [True, True, False, False, False]
    assert known_elsewhere(text_of("b c d e"), counts, in_training=False).tolist() == [True, True, False, True]


def test_copies_are_counted_in_documents_and_never_between_two_tokens() -> None:
    texts = [ReadText("", "", np.array(ids, dtype=np.int64), ()) for ids in ([1, 2, 3, 1, 2], [2, 3], [1], [256, 0])]
    runs = [np.array(run, dtype=np.int64) for run in ([1, 2], [2, 3], [3, 2], [1, 0])]
    assert copies_in(runs, texts).tolist() == [1, 2, 0, 0]
    assert copies_in([np.array([1], dtype=np.int64)], [ReadText("", "", np.array([256, 0]), ())]).tolist() == [0]


def test_a_line_may_begin_with_what_the_model_has_before_a_text(planted_memory: Transformer) -> None:
    read = read_document(planted_memory, Document("a", "the door\n\nis open"), lines=True)
    assert [WORDS[one] for one in read.ids] == ["the", "door", "<s>", "is", "open"]
    assert read.surfaces == ["the", "door", "", "is", "open"]
    counts = surface_counts([read, read, read])
    assert known_elsewhere(read, counts, in_training=True).tolist() == [True, True, False, True, True]
    plain = read_document(planted_memory, Document("a", "the door\n\nis open"))
    assert [WORDS[one] for one in plain.ids] == ["the", "door", "is", "open"]
