"""Sentences that are about the same: clusters of what their words are about, learnt from the text alone."""

from dataclasses import dataclass

import numpy as np

from ffmem.names.rules.text import Text

N_DIMENSIONS = 40
MIN_DOCUMENTS = 3
"""In fewer documents a word tells nothing about others."""
_OVERSAMPLED, _N_STEPS = 10, 5
"""Of the subspace iteration (Halko, Martinsson & Tropp 2011)."""
_MOST_CLUSTERS, _FEWEST_CLUSTERS, _SENTENCES_OF_ONE = 64, 4, 100
_MOST_SENTENCES, _N_ROUNDS = 20_000, 12
_CHUNK = 1 << 17
_PRIOR = 500.0
_N_WORDS = 3
_SHORTEST_WORD = 3


@dataclass(frozen=True)
class Clusters:
    """A cluster for each sentence."""

    of_sentence: np.ndarray
    """(sentences,) its number, -1 for a sentence without a word that tells."""
    words: tuple[str, ...]
    """Of each cluster the three words that stand out most in it."""


def clusters(text: Text, fold: np.ndarray, names: tuple[str, ...], *, seed: int = 0) -> Clusters:
    """Clusters of a text's sentences by the sum of their words' vectors.

    Args:
        text: the text.
        fold: (n,) number of the folded token at each position.
        names: of those numbers.
        seed: of where the vectors and the clusters begin.
    """
    vectors = sentence_vectors(text, word_vectors(text, fold, len(names), seed=seed)[fold])
    tells = np.flatnonzero(np.einsum("ij,ij->i", vectors, vectors) > 0)
    n_clusters = min(max(len(tells) // _SENTENCES_OF_ONE, _FEWEST_CLUSTERS), _MOST_CLUSTERS)
    of_sentence = np.full(len(vectors), -1, dtype=np.int32)
    if len(tells) < n_clusters:
        return Clusters(of_sentence, ())
    rng = np.random.default_rng([seed, 23])
    drawn = np.sort(rng.permutation(tells)[:_MOST_SENTENCES])
    centres = _centres(vectors[drawn], n_clusters, rng)
    for first in range(0, len(tells), _CHUNK):
        some = tells[first : first + _CHUNK]
        of_sentence[some] = np.argmax(vectors[some] @ centres.T, axis=1)
    return Clusters(of_sentence, _words(text, fold, names, of_sentence, n_clusters))


def word_vectors(text: Text, fold: np.ndarray, n_words: int, *, seed: int = 0) -> np.ndarray:
    """A vector for each folded token: a truncated singular value decomposition of document x word, log(1 + count) * idf.

    Words count that are in `MIN_DOCUMENTS` documents or more, and in half of them at most; the others' vectors are zeros.

    Source: Deerwester et al. 1990.
    """
    n_documents = text.n_documents
    pairs, counts = np.unique(text.document.astype(np.int64) * n_words + fold, return_counts=True)
    rows, words = np.divmod(pairs, n_words)
    in_documents = np.bincount(words, minlength=n_words)
    wanted = (in_documents >= MIN_DOCUMENTS) & (2 * in_documents <= n_documents)
    vectors = np.zeros((n_words, N_DIMENSIONS), dtype=np.float32)
    if not wanted.any():
        return vectors
    idf = np.where(wanted, np.log(n_documents / np.maximum(in_documents, 1)), 0.0)
    some = wanted[words]
    table = _Sparse(rows[some], words[some], np.log1p(counts[some]) * idf[words[some]], n_documents, n_words)
    width = min(N_DIMENSIONS + _OVERSAMPLED, n_documents, int(wanted.sum()))
    basis = np.random.default_rng([seed, 4]).standard_normal((n_words, width)) * wanted[:, None]
    for _ in range(_N_STEPS):
        left, _ = np.linalg.qr(table.times(basis))
        basis, _ = np.linalg.qr(table.turned_times(left))
    _, _, small = np.linalg.svd(table.times(basis), full_matrices=False)
    right = (basis @ small.T)[:, :N_DIMENSIONS]
    vectors[:, : right.shape[1]] = right * idf[:, None]
    return vectors


class _Sparse:
    """A sparse matrix by its entries, in the order of rows, which can be multiplied."""

    def __init__(self, rows: np.ndarray, columns: np.ndarray, values: np.ndarray, n_rows: int, n_columns: int) -> None:
        self._of_rows = (rows, columns, values, n_rows)
        order = np.argsort(columns, kind="stable")
        self._of_columns = (columns[order], rows[order], values[order], n_columns)

    def times(self, dense: np.ndarray) -> np.ndarray:
        return _summed(*self._of_rows, dense)

    def turned_times(self, dense: np.ndarray) -> np.ndarray:
        return _summed(*self._of_columns, dense)


def _summed(to: np.ndarray, of: np.ndarray, values: np.ndarray, n: int, dense: np.ndarray) -> np.ndarray:
    """Sum of values * dense[of] by the ascending numbers in ``to``, some at a time."""
    found = np.zeros((n, dense.shape[1]))
    for first in range(0, len(to), _CHUNK):
        part = slice(first, first + _CHUNK)
        starts = np.flatnonzero(np.diff(to[part], prepend=-1))
        found[to[part][starts]] += np.add.reduceat(values[part, None] * dense[of[part]], starts, axis=0)
    return found


def sentence_vectors(text: Text, _of_position: np.ndarray) -> np.ndarray:
    """(sentences, dimensions) the sum of the vectors at a sentence's positions, at length 1; zeros for nothing."""
    n_sentences = int(text.sentence[-1]) + 1 if len(text.sentence) else 0
    found = np.zeros((n_sentences, _of_position.shape[1]), dtype=np.float32)
    starts = np.flatnonzero(text.within == 0)
    if len(starts):
        found = np.add.reduceat(_of_position, starts, axis=0)
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    return np.where(lengths > 1e-6, found / np.maximum(lengths, 1e-6), 0).astype(np.float32)


def _centres(vectors: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Spherical k-means; the first centres are drawn far from one another (Arthur & Vassilvitskii 2007)."""
    centres = np.empty((n, vectors.shape[1]), dtype=np.float32)
    far = np.ones(len(vectors))
    for number in range(n):
        total = np.cumsum(far)
        centres[number] = vectors[np.searchsorted(total, rng.random() * total[-1]) if total[-1] > 0 else 0]
        far = np.minimum(far, np.maximum(1 - vectors @ centres[number], 0))
    for _ in range(_N_ROUNDS):
        nearest = np.argmax(vectors @ centres.T, axis=1)
        order = np.argsort(nearest, kind="stable")
        starts = np.flatnonzero(np.diff(nearest[order], prepend=-1))
        sums = np.add.reduceat(vectors[order], starts, axis=0)
        centres[nearest[order][starts]] = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-6)
    return centres


def _words(text: Text, fold: np.ndarray, names: tuple[str, ...], of_sentence: np.ndarray, n: int) -> tuple[str, ...]:
    """Of each cluster the words of largest log-odds over their deviation (Monroe, Colaresi & Quinn 2008)."""
    cluster = of_sentence[text.sentence]
    inside = cluster >= 0
    n_words = len(names)
    total = np.bincount(fold, minlength=n_words).astype(np.float64)
    prior = _PRIOR * total / max(total.sum(), 1)
    readable = np.array([one.isalpha() and len(one) >= _SHORTEST_WORD for one in names])
    found = []
    order = np.flatnonzero(inside)[np.argsort(cluster[inside], kind="stable")]
    ends = np.searchsorted(cluster[order], np.arange(n + 1))
    for number in range(n):
        here = np.bincount(fold[order[ends[number] : ends[number + 1]]], minlength=n_words)
        there = total - here
        odds = np.log((here + prior) / (here.sum() + _PRIOR - here - prior))
        odds -= np.log((there + prior) / (there.sum() + _PRIOR - there - prior))
        z = np.where(readable & (here > 0), odds / np.sqrt(1 / (here + prior) + 1 / (there + prior)), -np.inf)
        best = np.argsort(-z, kind="stable")[:_N_WORDS]
        found.append(", ".join(names[i] for i in best.tolist() if z[i] > 0))
    return tuple(found)
