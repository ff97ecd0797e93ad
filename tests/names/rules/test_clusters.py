"""Sentences about one subject are found together, against a plain decomposition."""

import numpy as np
import pytest

from ffmem.names.rules.clusters import clusters, sentence_vectors, word_vectors
from ffmem.names.rules.text import Text

N_DOCUMENTS, N_SENTENCES, LENGTH = 48, 6, 8
SUBJECTS = ("law", "sea", "war", "art")
WORDS = tuple(f"{subject}{chr(97 + i)}" for subject in SUBJECTS for i in range(12)) + tuple(
    f"the{chr(97 + i)}" for i in range(12)
)


def subject_text() -> tuple[Text, np.ndarray]:
    """Documents of four subjects in turn, and the subject of each sentence; half of the words are common to all."""
    rng = np.random.default_rng(3)
    n_sentences = N_DOCUMENTS * N_SENTENCES
    subject = np.arange(n_sentences) // N_SENTENCES % 4
    drawn = rng.integers(0, 12, (n_sentences, LENGTH))
    own = rng.random((n_sentences, LENGTH)) < 0.5
    token = np.where(own, 12 * subject[:, None] + drawn, 48 + drawn).reshape(-1)
    sentence = np.repeat(np.arange(n_sentences), LENGTH)
    text = Text(
        token=token, token_ids=np.arange(len(WORDS)), strings=WORDS, within=np.tile(np.arange(LENGTH), n_sentences),
        sentence=sentence, document=sentence // N_SENTENCES, competes=np.ones(len(token), dtype=bool),
        quarter=(np.arange(N_DOCUMENTS) % 4).astype(np.uint8), document_ids=np.arange(N_DOCUMENTS),
    )  # fmt: skip
    return text, subject


def test_sentences_of_a_subject_are_one_cluster_and_its_words_are_told() -> None:
    text, subject = subject_text()
    found = clusters(text, text.token, WORDS)
    told = found.of_sentence >= 0
    assert told.mean() > 0.9 and len(found.words) == 4
    main = [np.bincount(subject[told & (found.of_sentence == i)], minlength=4).argmax() for i in range(4)]
    assert sorted(main) == [0, 1, 2, 3]
    assert (np.array(main)[found.of_sentence[told]] == subject[told]).mean() > 0.95
    for i, words in enumerate(found.words):
        assert [one[:3] for one in words.split(", ")] == [SUBJECTS[main[i]]] * 3


def test_word_vectors_span_what_numpy_finds() -> None:
    text, _ = subject_text()
    keep = text.document < 20  # fewer documents than dimensions: the whole space of rows
    small = Text(
        text.token[keep], text.token_ids, text.strings, text.within[keep], text.sentence[keep], text.document[keep],
        text.competes[keep], text.quarter[:20], text.document_ids[:20],
    )  # fmt: skip
    table = np.zeros((20, len(WORDS)))
    for document, word in zip(small.document.tolist(), small.token.tolist(), strict=True):
        table[document, word] += 1
    in_documents = (table > 0).sum(0)
    tells = (in_documents >= 3) & (in_documents <= 10)
    idf = np.where(tells, np.log(20 / np.maximum(in_documents, 1)), 0)
    _, sizes, right = np.linalg.svd(np.log1p(table) * idf, full_matrices=False)
    right = right[sizes > 1e-9]
    vectors = word_vectors(small, small.token, len(WORDS)).astype(np.float64)
    assert 0 < tells.sum() < len(WORDS)
    assert vectors @ vectors.T == pytest.approx(idf[:, None] * (right.T @ right) * idf, abs=1e-4)


def test_a_sentence_is_the_sum_of_its_words_at_length_one() -> None:
    text, _ = subject_text()
    of_word = np.random.default_rng(0).standard_normal((len(WORDS), 5))
    of_word[text.token[:LENGTH]] = 0
    found = sentence_vectors(text, of_word[text.token])
    assert not found[0].any()
    for number in (1, 17, len(found) - 1):
        total = sum(of_word[word] for word in text.token[LENGTH * number : LENGTH * (number + 1)].tolist())
        assert found[number] == pytest.approx(total / np.sqrt((total**2).sum()), abs=1e-5)
