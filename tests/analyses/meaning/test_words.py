"""Vectors of words against a full singular value decomposition, and sums of them against plain loops."""

from itertools import pairwise

import numpy as np
import pytest

from ffmem.analyses.meaning.words import WordVectors


def test_spans_what_a_full_decomposition_spans() -> None:
    rng = np.random.default_rng(0)
    document = np.repeat(np.arange(80), 30)
    token = (rng.integers(0, 30, len(document)) * (1 + document % 3)) % 60
    found = WordVectors.of(token, document, 70).vectors
    counts = np.zeros((80, 70))
    np.add.at(counts, (document, token), 1)
    n = (counts > 0).sum(0)
    idf = np.where((n >= 3) & (n <= 40), np.log(80 / np.maximum(n, 1)), 0)
    _, sizes, right = np.linalg.svd(np.log1p(counts) * idf, full_matrices=False)
    plain = right[:40].T * idf[:, None]
    assert found.shape == (70, 40)
    # the same up to a rotation of equal dimensions: products of words are what is used
    leading = int((sizes > 1e-6).sum())
    assert leading >= 30
    assert found @ found.T == pytest.approx(plain[:, : min(40, leading)] @ plain[:, : min(40, leading)].T, abs=2e-2)
    assert not found[n < 3].any() and not found[n > 40].any()


@pytest.mark.parametrize("causal", [True, False])
def test_earlier_words_leave_the_near_ones_out(causal: bool) -> None:
    rng = np.random.default_rng(1)
    words = WordVectors(rng.standard_normal((20, 4)).astype(np.float32))
    start = np.array([0, 2, 9, 20])
    token = rng.integers(0, 20, 20)
    found = words.earlier(token, start, 3, causal=causal)
    for first, end in pairwise(start.tolist()):
        for i in range(first, end):
            far = [j for j in range(first, end) if j <= i - 3 or (not causal and j >= i + 3)]
            total = sum((words.vectors[token[j]] for j in far), np.zeros(4))
            expected = total / np.linalg.norm(total) if far else np.zeros(4)
            assert found[i] == pytest.approx(expected, abs=1e-5)


def test_a_text_of_rare_words_has_no_vectors() -> None:
    words = WordVectors.of(np.arange(10), np.arange(10), 10)
    assert not words.vectors.any()
    assert not words.earlier(np.arange(10), np.array([0, 10]), 3, causal=True).any()
