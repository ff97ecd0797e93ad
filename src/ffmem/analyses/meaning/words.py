"""What the words of a text are about, learnt from that text alone: latent semantic analysis of its documents."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int64

N_DIMENSIONS = 40
"""Of the vectors."""
MIN_DOCUMENTS = 3
"""In fewer documents a word tells nothing about others."""
_OVERSAMPLED, _N_STEPS = 10, 5
"""Of the subspace iteration (Halko, Martinsson & Tropp 2011)."""


@dataclass(frozen=True)
class WordVectors:
    """A vector for each token of a vocabulary; zeros for those that are too rare or too common to tell."""

    vectors: Float32[np.ndarray, "d_vocab dimensions"]

    @classmethod
    def of(
        cls, token: Int64[np.ndarray, "n"], document: Int64[np.ndarray, "n"], d_vocab: int, *, seed: int = 0
    ) -> "WordVectors":
        """From the documents of a text: a truncated singular value decomposition of document x word, log(1 + count) * idf.

        Words count that are in `MIN_DOCUMENTS` documents or more, and in half of them at most.

        Args:
            token: the text.
            document: of each of its tokens.
            d_vocab: size of the vocabulary.
            seed: of where the decomposition begins.

        Source: Deerwester et al. 1990.
        """
        names, row = np.unique(document, return_inverse=True)
        pairs, counts = np.unique(row.astype(np.int64) * d_vocab + token, return_counts=True)
        rows, words = np.divmod(pairs, d_vocab)
        n_documents = np.bincount(words, minlength=d_vocab)
        wanted = (n_documents >= MIN_DOCUMENTS) & (2 * n_documents <= len(names))
        idf = np.where(wanted, np.log(len(names) / np.maximum(n_documents, 1)), 0.0)
        some = wanted[words]
        chosen = np.flatnonzero(wanted)
        if not len(chosen):
            return cls(np.zeros((d_vocab, 1), dtype=np.float32))
        columns = np.searchsorted(chosen, words[some])
        weights = np.log1p(counts[some]) * idf[words[some]]
        table = torch.sparse_coo_tensor(
            torch.from_numpy(np.stack([rows[some], columns])),
            torch.from_numpy(weights),
            (len(names), len(chosen)),
            check_invariants=False,
        ).coalesce()
        right = _right_vectors(table, min(N_DIMENSIONS, len(names), len(chosen)), seed)
        vectors = np.zeros((d_vocab, right.shape[1]), dtype=np.float32)
        vectors[chosen] = right * idf[chosen, None]
        return cls(vectors)

    def earlier(
        self, token: Int64[np.ndarray, "n"], start: Int64[np.ndarray, "sentences_and_one"], n_near: int, *, causal: bool
    ) -> Float32[np.ndarray, "n dimensions"]:
        """What stands around each token but not near it, as the sum of the words' vectors at length 1; zeros for nothing.

        Args:
            token: of sentences, one after the other.
            start: where each sentence begins, and where the last one ends.
            n_near: so many tokens up to and including each are near, and left out.
            causal: look at what stands before each token alone; else at the whole sentence, without as many on the right.
        """
        found = np.zeros((len(token), self.vectors.shape[1]), dtype=np.float32)
        for first, end in zip(start[:-1].tolist(), start[1:].tolist(), strict=True):
            sums = np.cumsum(self.vectors[token[first:end]], axis=0, dtype=np.float64)
            n = len(sums)
            if causal:
                found[first + n_near : end] = sums[: n - n_near] if n > n_near else 0
                continue
            before = np.zeros_like(sums)
            before[n_near:] = sums[: max(n - n_near, 0)]
            last = np.minimum(np.arange(n) + n_near - 1, n - 1)
            found[first:end] = before + sums[-1] - sums[last]
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        return np.where(lengths > 1e-6, found / np.maximum(lengths, 1e-6), 0).astype(np.float32)


def _right_vectors(table: torch.Tensor, n: int, seed: int) -> np.ndarray:
    """The first right singular vectors of a sparse matrix, a column each."""
    width = min(n + _OVERSAMPLED, *table.shape)
    turned = table.t().coalesce()
    basis = torch.from_numpy(np.random.default_rng([seed, 4]).standard_normal((table.shape[1], width)))
    for _ in range(_N_STEPS):
        left, _ = torch.linalg.qr(torch.sparse.mm(table, basis))
        basis, _ = torch.linalg.qr(torch.sparse.mm(turned, left))
    _, _, small = torch.linalg.svd(torch.sparse.mm(table, basis), full_matrices=False)
    right: np.ndarray = (basis @ small.T)[:, :n].numpy()
    return right
