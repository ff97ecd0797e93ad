"""Whether the top tokens of a value belong together, as the index's own text has it: which tokens share documents."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ffmem.analyses.updates.readout import Readout
from ffmem.store.reader import Index

N_TOP = 30
"""Tokens of a value that are looked at, as in the paper."""
MIN_DOCUMENTS = 5
"""In fewer documents a token says nothing of those that it shares."""
MOST_DOCUMENTS = 4_000
"""Of a longer text as many are drawn."""
_SCORES_HELD = 2**23


@dataclass(frozen=True)
class SharedDocuments:
    """Which tokens stand in which documents of a text; a bit for each."""

    has: np.ndarray
    """(known tokens, documents), bool."""
    row_of: Int[np.ndarray, "d_vocab"]
    """Of each token; -1 for those that are in fewer than `MIN_DOCUMENTS`, or in all."""

    @classmethod
    def of(cls, token: Int[np.ndarray, "n"], document: Int[np.ndarray, "n"], d_vocab: int) -> "SharedDocuments":
        """Of a text.

        Args:
            token: each.
            document: of each.
            d_vocab: size of the vocabulary.
        """
        names, number = np.unique(document, return_inverse=True)
        pairs = np.unique(token.astype(np.int64) * len(names) + number)
        tokens, documents = np.divmod(pairs, len(names))
        counts = np.bincount(tokens, minlength=d_vocab)
        known = np.flatnonzero((counts >= MIN_DOCUMENTS) & (counts < len(names)))
        row_of = np.full(d_vocab, -1, dtype=np.int64)
        row_of[known] = np.arange(len(known))
        has = np.zeros((len(known), len(names)), dtype=bool)
        there = row_of[tokens] >= 0
        has[row_of[tokens[there]], documents[there]] = True
        return cls(has, row_of)

    @property
    def n_documents(self) -> int:
        """Of the text."""
        return int(self.has.shape[1])

    def coherence(self, tokens: Int[np.ndarray, "lists top"]) -> tuple[np.ndarray, np.ndarray]:
        """For each list of tokens, the pairs that share more documents than two such tokens do by chance, and all pairs.

        By chance two tokens that are in a and in b of D documents share a b / D. Pairs with a token that is not known are none.
        """
        above, n = np.zeros(len(tokens), dtype=np.int64), np.zeros(len(tokens), dtype=np.int64)
        for number, some in enumerate(tokens):
            rows = self.row_of[some]
            rows = np.unique(rows[rows >= 0])
            has = self.has[rows].astype(np.float32)
            counts = has.sum(1)
            more = has @ has.T > np.outer(counts, counts) / self.n_documents
            pairs = np.triu_indices(len(rows), 1)
            above[number], n[number] = more[pairs].sum(), len(pairs[0])
        return above, n

    def alike(self, tokens: Int[np.ndarray, "lists top"], rng: np.random.Generator) -> Int[np.ndarray, "lists top"]:
        """As many random tokens that are in about as many documents; tokens that are not known stay."""
        order = np.argsort(self.has.sum(1), kind="stable")
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        token_of = np.flatnonzero(self.row_of >= 0)
        width = max(1, len(order) // 40)
        away = rng.integers(1, width + 1, tokens.shape) * rng.choice([-1, 1], tokens.shape)
        if not len(order):
            return tokens
        moved = np.abs(rank[np.maximum(self.row_of[tokens], 0)] + away)
        moved = np.where(moved >= len(order), 2 * (len(order) - 1) - moved, moved)
        drawn = token_of[order[np.clip(moved, 0, len(order) - 1)]]
        return np.where(self.row_of[tokens] >= 0, drawn, tokens)


def shared_documents(index: Index, *, seed: int = 0) -> SharedDocuments:
    """Of an index's own text, without what it holds out; at most `MOST_DOCUMENTS` of it."""
    text = index.text
    n = text.n_sentences
    lengths = np.diff(text.sentence_start.astype(np.int64)[: n + 1])
    document = np.repeat(text.document_of(np.arange(n)), lengths)
    token, names = text.token_id[: len(document)], np.unique(document)
    if len(names) > MOST_DOCUMENTS:
        kept = np.isin(document, np.random.default_rng(seed).choice(names, MOST_DOCUMENTS, replace=False))
        token, document = token[kept], document[kept]
    return SharedDocuments.of(token, document, index.manifest.model.d_vocab)


def top_tokens(readout: Readout, vectors: Float[Tensor, "n d_model"], n_top: int = N_TOP) -> Int[np.ndarray, "n top"]:
    """The tokens that each vector scores highest, by U', highest first.

    Cost: a product of each with the vocabulary.
    """
    at_a_time = max(1, _SCORES_HELD // len(readout.matrix))
    n = min(n_top, len(readout.matrix))
    with torch.inference_mode():
        found = [readout.products(few).topk(n, 1).indices.cpu() for few in torch.split(vectors, at_a_time)]
    return torch.cat(found).numpy()


def permuted(vectors: Float[Tensor, "n d_model"], *, seed: int) -> Float[Tensor, "n d_model"]:
    """The same numbers in another order: directions that nothing has chosen; one order for all."""
    order = np.random.default_rng([seed, 24]).permutation(vectors.shape[1])
    return vectors[:, torch.from_numpy(order).to(vectors.device)]
