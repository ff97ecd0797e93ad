"""What prefixes are about: the label of their document, or the cluster of their sentence's embedding."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float64, Int32, Int64

from ffmem.analyses.patterns.tokens import Tokens
from ffmem.analyses.prefixes import passes
from ffmem.models.transformer import Transformer
from ffmem.store.reader import Index

N_CLUSTERS = 100
"""Of sentences; fewer in a small corpus."""
N_SAMPLED = 5_000
"""Random prefixes whose sentences clusters are made of, and their frequencies told by."""
N_STEPS = 30
"""Of k-means, at most."""
LONGEST = 256
"""Tokens of a sentence that its embedding sees: what all-MiniLM-L6-v2 was made for."""
_AT_A_TIME = 2_000
"""Sentences whose embeddings are held."""
_LABEL_LENGTH = 60
"""Characters of the sentence that stands for a cluster."""


@dataclass(frozen=True)
class Meaning:
    """A number for what each sentence is about."""

    kind: Literal["topic", "cluster"]
    names: tuple[str, ...]
    """Labels; of clusters the beginning of the most typical sentence."""
    of_sentence: Int32[np.ndarray, "sentences"]
    """Number of the name, by sentence, held-out ones too; -1 for sentences that nobody asked about."""
    frequency: Float64[np.ndarray, "names"]
    """Share of the index's positions; of clusters estimated, from a sample and one position more for each."""
    n_possible: int
    """Names that could be shared by the triggers of a unit."""
    centroids: Float[np.ndarray, "names d_embedding"] | None
    """Of clusters, of length 1."""


def topics(index: Index, tokens: Tokens, n_shared: int) -> Meaning | None:
    """The labels of documents (see `TextReader.document_labels`), or None if they have none."""
    found = index.text.document_labels()
    if found is None:
        return None
    of_sentence = found.of_document[index.text.document_of(np.arange(index.text.n_all_sentences))].astype(np.int32)
    counts = np.bincount(of_sentence[: tokens.n_sentences], tokens.n_competing, minlength=len(found.names))
    n_possible = int((counts >= n_shared).sum())
    return Meaning("topic", found.names, of_sentence, counts / tokens.n_prefixes, n_possible, None)


def clusters(
    index: Index,
    tokens: Tokens,
    wanted: Int64[np.ndarray, "some"],
    encoder: Transformer,
    *,
    seed: int = 0,
    on_sentences: Callable[[int, int], None] = lambda *_: None,
) -> Meaning:
    """Clusters of sentences by their embeddings.

    The clusters are made of random sentences alone (of `N_SAMPLED` random prefixes), never of triggers: clusters made around
    triggers would be shared by them more often than chance says.

    Args:
        index: a finished index.
        tokens: its tokens.
        wanted: sentences that are asked about.
        encoder: a sentence encoder, such as the model ``minilm``.
        seed: of the sample, and of where k-means begins.

        on_sentences: called with how many of the wanted sentences have their cluster, and how many there are.

    Cost: one pass of the encoder over the sample and the wanted sentences.
    """
    rng = np.random.default_rng([seed, 1])
    sampled = tokens.sentence_of(tokens.random(min(N_SAMPLED, tokens.n_prefixes), rng))
    different, numbers = np.unique(sampled, return_inverse=True)
    vectors = embed(index, encoder, different)
    n_clusters = min(N_CLUSTERS, max(2, len(different) // 20))
    centroids = k_means(vectors[numbers], min(n_clusters, len(different)), rng)
    counts = np.bincount((vectors @ centroids.T).argmax(1)[numbers], minlength=len(centroids))
    typical = different[(vectors @ centroids.T).argmax(0)]
    names = tuple(f"like {index.text.sentence(i).text[:_LABEL_LENGTH]!r}" for i in typical.tolist())
    of_sentence = np.full(index.text.n_all_sentences, -1, dtype=np.int32)
    frequency = (counts + 1) / (len(sampled) + len(centroids))
    found = Meaning("cluster", names, of_sentence, frequency, len(names), centroids)
    return assign(index, found, wanted, encoder, on_sentences)


def assign(
    index: Index,
    found: Meaning,
    wanted: Int64[np.ndarray, "some"],
    encoder: Transformer,
    on_sentences: Callable[[int, int], None] = lambda *_: None,
) -> Meaning:
    """The same clusters, with those of more sentences."""
    assert found.centroids is not None
    of_sentence = found.of_sentence.copy()
    missing = np.unique(wanted[of_sentence[wanted] < 0])
    for first in range(0, len(missing), _AT_A_TIME):
        some = missing[first : first + _AT_A_TIME]
        of_sentence[some] = (embed(index, encoder, some) @ found.centroids.T).argmax(1)
        on_sentences(first + len(some), len(missing))
    return Meaning(found.kind, found.names, of_sentence, found.frequency, found.n_possible, found.centroids)


def embed(index: Index, encoder: Transformer, sentences: Int64[np.ndarray, "n"]) -> Float[np.ndarray, "n d_embedding"]:
    """Embeddings of sentences: the mean of the encoder's last states over all tokens, special ones too, at length 1.

    Source: Reimers & Gurevych 2019; so all-MiniLM-L6-v2 was made.
    """
    before, after = encoder.special_tokens("auto")
    longest = LONGEST - len(before) - len(after)
    texts = [index.text.sentence(number).text for number in sentences.tolist()]
    own = [
        np.array(encoder.tokenizer(text, add_special_tokens=False).input_ids[:longest], dtype=np.int64)
        for text in texts
    ]
    device = next(encoder.module.parameters()).device
    vectors = np.zeros((len(own), encoder.facts.d_model), dtype=np.float32)
    with torch.inference_mode():
        for one in passes(encoder, own, "auto", device=str(device)):
            states = encoder.forward(one.token_ids, one.attention_mask).float()
            mask = one.attention_mask.to(device)
            means = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
            vectors[list(one.sentences)] = torch.nn.functional.normalize(means, dim=1).cpu().numpy()
    return vectors


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
