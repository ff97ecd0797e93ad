"""What prefixes are about: the label of their document, or the cluster of their earlier words."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64

from ffmem.analyses.meaning.sample import N_NEAR
from ffmem.analyses.meaning.words import WordVectors
from ffmem.analyses.patterns.tokens import Tokens
from ffmem.store.reader import Index

N_CLUSTERS = 100
"""Of prefixes; fewer in a small corpus."""
N_SAMPLED = 5_000
"""Random prefixes that clusters are made of."""
N_STEPS = 30
"""Of k-means, at most."""
MOST_TOKENS = 2**20
"""Of a larger text, sentences of about so many tokens tell what words are about."""
_TOKENS_AT_A_TIME = 2**17
"""Whose vectors are held."""
_N_WORDS = 4
"""That a cluster is named by."""


@dataclass(frozen=True)
class Meaning:
    """A number for what each prefix is about."""

    kind: Literal["topic", "cluster"]
    names: tuple[str, ...]
    """Labels; of clusters the words that stand for them."""
    number: np.ndarray
    """Number of the name, by sentence if these are topics, by token index if they are clusters, held-out text too; -1 for a
    prefix that has no earlier words that tell."""
    frequency: Float64[np.ndarray, "names"]
    """Share of the index's positions that can be a trigger."""
    n_possible: int
    """Names that could be shared by the triggers of a unit."""

    def of(self, tokens: Tokens, ends: Int64[np.ndarray, "n"]) -> Int64[np.ndarray, "n"]:
        """The number of each prefix, -1 for none."""
        places = ends if self.kind == "cluster" else tokens.sentence_of(ends)
        numbers: np.ndarray = self.number[places].astype(np.int64)
        return numbers


def topics(index: Index, tokens: Tokens, n_shared: int) -> Meaning | None:
    """The labels of documents (see `TextReader.document_labels`), or None if they have none."""
    found = index.text.document_labels()
    if found is None:
        return None
    of_sentence = found.of_document[index.text.document_of(np.arange(index.text.n_all_sentences))].astype(np.int32)
    counts = np.bincount(of_sentence[: tokens.n_sentences], tokens.n_competing, minlength=len(found.names))
    n_possible = int((counts >= n_shared).sum())
    return Meaning("topic", found.names, of_sentence, counts / tokens.n_prefixes, n_possible)


def clusters(index: Index, tokens: Tokens, n_shared: int, *, seed: int = 0) -> Meaning | None:
    """Clusters of prefixes by the words before their last three, or None if the text is too small to tell what words are about.

    The last three tokens have no part in them, and nothing that stands to the right of a trigger. They are made of random
    prefixes alone, never of triggers: clusters made around triggers would be shared by them more often than chance says.

    Args:
        index: a finished index.
        tokens: its tokens.
        n_shared: a cluster of fewer positions could not be shared.
        seed: of the sample, and of where k-means begins.

    Cost: a look at every token; memory of 2 bytes for each.
    """
    rng = np.random.default_rng([seed, 1])
    words = _words(index, tokens, seed)
    causal = index.manifest.model.causal
    sampled = np.unique(tokens.random(min(N_SAMPLED, tokens.n_prefixes), rng))
    vectors = np.concatenate(
        [
            words.earlier(tokens.token_id[own].astype(np.int64), np.array([0, len(own)]), N_NEAR, causal=causal)[
                [end - int(own[0])]
            ]
            for end, own in _sentences_of(tokens, sampled)
        ]
    )
    vectors = vectors[np.any(vectors != 0, axis=1)]
    n_clusters = min(N_CLUSTERS, len(vectors) // 20)
    if n_clusters < 2:
        return None
    centroids = k_means(vectors, n_clusters, rng)
    number = _nearest(tokens, words, centroids, causal)
    counts = np.zeros(len(centroids), dtype=np.int64)
    for ends in tokens.blocks():
        some = number[ends]
        counts += np.bincount(some[some >= 0], minlength=len(centroids))
    names = _names(words, centroids, index)
    return Meaning("cluster", names, number, counts / tokens.n_prefixes, int((counts >= n_shared).sum()))


def _words(index: Index, tokens: Tokens, seed: int) -> WordVectors:
    """What words are about, learnt from the indexed text, or from random sentences of a large one."""
    sentences = np.arange(tokens.n_sentences)
    lengths = np.diff(tokens.start)[: tokens.n_sentences]
    if lengths.sum() > MOST_TOKENS:
        order = np.random.default_rng([seed, 19]).permutation(sentences)
        sentences = np.sort(order[np.cumsum(lengths[order]) <= MOST_TOKENS])
    own = np.concatenate([np.arange(0), *(np.arange(*tokens.start[i : i + 2]) for i in sentences.tolist())])
    document = np.repeat(index.text.document_of(sentences).astype(np.int64), lengths[sentences])
    return WordVectors.of(tokens.token_id[own].astype(np.int64), document, index.manifest.model.d_vocab, seed=seed)


def _sentences_of(tokens: Tokens, ends: Int64[np.ndarray, "n"]) -> list[tuple[int, np.ndarray]]:
    """Each prefix with all tokens of its sentence."""
    sentences = tokens.sentence_of(ends)
    return [
        (end, np.arange(*tokens.start[i : i + 2])) for end, i in zip(ends.tolist(), sentences.tolist(), strict=True)
    ]


def _nearest(
    tokens: Tokens, words: WordVectors, centroids: Float32[np.ndarray, "clusters d"], causal: bool
) -> np.ndarray:
    """The cluster of every prefix, by token index."""
    number = np.full(len(tokens.token_id), -1, dtype=np.int16)
    first = 0
    while first < len(tokens.start) - 1:
        after = int(np.searchsorted(tokens.start, tokens.start[first] + _TOKENS_AT_A_TIME, side="right")) - 1
        end = max(after, first + 1)
        own = slice(int(tokens.start[first]), int(tokens.start[end]))
        begins = tokens.start[first : end + 1] - tokens.start[first]
        vectors = words.earlier(tokens.token_id[own].astype(np.int64), begins, N_NEAR, causal=causal)
        number[own] = np.where(np.any(vectors != 0, axis=1), (vectors @ centroids.T).argmax(1), -1)
        first = end
    return number


def _names(words: WordVectors, centroids: Float32[np.ndarray, "clusters d"], index: Index) -> tuple[str, ...]:
    """The words that point most in the direction of each cluster."""
    strength = centroids @ words.vectors.T
    vocabulary = index.text.vocabulary
    return tuple(
        "with "
        + ", ".join(repr(vocabulary[token].strip()) for token in np.argsort(-row, kind="stable")[:_N_WORDS].tolist())
        for row in strength
    )


def k_means(
    vectors: Float[np.ndarray, "n d"], n_clusters: int, rng: np.random.Generator
) -> Float[np.ndarray, "clusters d"]:
    """Centroids of vectors of length 1 by their angles (spherical k-means, Dhillon & Modha 2001), from random ones of them."""
    different = np.unique(vectors, axis=0)
    centroids = different[rng.choice(len(different), min(n_clusters, len(different)), replace=False)]
    nearest = np.full(len(vectors), -1)
    for _ in range(N_STEPS):
        before, nearest = nearest, (vectors @ centroids.T).argmax(1)
        if (before == nearest).all():
            break
        sums = np.zeros_like(centroids)
        np.add.at(sums, nearest, vectors)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        centroids = np.where(lengths > 0, sums / np.maximum(lengths, np.finfo(np.float32).tiny), centroids)
    return centroids
