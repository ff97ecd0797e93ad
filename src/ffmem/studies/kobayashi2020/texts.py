"""The texts that attention is looked at in: drawn from a corpus whose tokens are counted on the way."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64

from ffmem.analyses.attention.options import AttentionOptions
from ffmem.corpus.documents import Corpus
from ffmem.errors import InputError
from ffmem.models.transformer import Transformer

Listener = Callable[[str, int, int], None]
"""Takes what is being done, how much of it is, and how much there is."""


@dataclass(frozen=True)
class Texts:
    """What is read."""

    ids: list[list[int]]
    """With their special tokens."""
    documents: Int64[np.ndarray, " texts"]
    counts: Int64[np.ndarray, " d_vocab"]
    """How often each token is in the corpus."""


def draw_texts(model: Transformer, corpus: Corpus, options: AttentionOptions, progress: Listener) -> Texts:
    """Texts of consecutive tokens, each of one document; and how often each token is in the corpus.

    Raises:
        InputError: the corpus has too little text.
    """
    before, after = model.special_tokens(options.bos)
    limit = min(options.length, model.facts.max_length or options.length)
    size = limit - len(before) - len(after)
    if size < 2:
        raise InputError(
            f"texts of {limit} tokens have {size} of their own, beside the special ones",
            "Expected two or more, so that there is something to attend to",
            f"Write --length {len(before) + len(after) + 16}",
        )
    counts = np.zeros(model.facts.d_vocab, np.int64)
    pieces: list[tuple[int, list[int]]] = []
    n_counted = 0
    for number, document in enumerate(corpus):
        ids = model.tokenizer.backend_tokenizer.encode(document.text, add_special_tokens=False).ids
        counts += np.bincount(ids, minlength=len(counts))[: len(counts)] if ids else 0
        n_counted += len(ids)
        pieces += [(number, ids[start : start + size]) for start in range(0, len(ids), size)]
        progress("counting tokens", min(n_counted, options.count_tokens), options.count_tokens)
        if n_counted >= options.count_tokens:
            break
    whole = [piece for piece in pieces if len(piece[1]) == size] or [piece for piece in pieces if len(piece[1]) > 1]
    if len(whole) < 2:
        raise InputError(
            f"the corpus {corpus.name} has {n_counted:,} tokens: {len(whole)} texts of two tokens or more",
            "Expected two texts or more",
            "Give more text",
        )
    rng = np.random.default_rng(options.seed)
    chosen = sorted(rng.permutation(len(whole))[: options.texts].tolist())
    return Texts(
        ids=[[*before, *whole[one][1], *after] for one in chosen],
        documents=np.array([whole[one][0] for one in chosen]),
        counts=counts,
    )


def frequency_ranks(counts: Int64[np.ndarray, " d_vocab"]) -> Float[np.ndarray, " d_vocab"]:
    """1 for the most frequent token, and so on; tokens that are not in the corpus come last, all with one rank."""
    order = np.argsort(-counts, kind="stable")
    ranks = np.empty(len(counts))
    ranks[order] = np.arange(1, len(counts) + 1)
    ranks[counts == 0] = (counts > 0).sum() + 1
    return ranks
