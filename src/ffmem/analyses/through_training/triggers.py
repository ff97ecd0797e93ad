"""How far the trigger lists of a cell agree between two moments, with a chance level, a floor and a ceiling."""

import warnings

import numpy as np
from jaxtyping import Bool, Float, Int64

from ffmem.queries.overlap import rank_biased_overlap, without_repeats
from ffmem.store.keys import NO_TOKEN
from ffmem.store.reader import Index

Lists = Int64[np.ndarray, "cells signs top"]
"""Something of each trigger of each cell and sign, best first; -1 in empty slots, which come last."""
EMPTY = -1


def trigger_lists(index: Index, place: int) -> Lists:
    """The token indices of the triggers of a layer's cells: equal numbers are one position of one sentence."""
    tokens = np.asarray(index.layer(place).trigger_token).astype(np.int64)
    return np.where(tokens == NO_TOKEN, EMPTY, tokens)


def sentences_of(index: Index, lists: Lists) -> Lists:
    """The sentences of triggers."""
    there = lists != EMPTY
    found = index.text.sentence_of(np.where(there, lists, 0).reshape(-1)).reshape(lists.shape).astype(np.int64)
    return np.where(there, found, EMPTY)


def documents_of(index: Index, lists: Lists) -> Lists:
    """The documents of triggers."""
    sentences = sentences_of(index, lists)
    found = index.text.document_of(np.maximum(sentences, 0).reshape(-1)).reshape(lists.shape).astype(np.int64)
    return np.where(lists != EMPTY, found, EMPTY)


def firing_tokens(index: Index, lists: Lists, documents: Bool[np.ndarray, "documents"]) -> Lists:
    """The distinct tokens that triggers of some documents fire on, best first.

    Two halves of a corpus share no position, but tokens: what a cell fires on in one can be held against the other.
    """
    there = lists != EMPTY
    there &= documents[np.maximum(documents_of(index, lists), 0)]
    tokens = index.text.token_id[np.where(there, lists, 0)].astype(np.int64)
    flat = np.where(there, tokens, EMPTY).reshape(-1, lists.shape[-1])
    closed = np.take_along_axis(flat, np.argsort(flat == EMPTY, axis=1, kind="stable"), axis=1)
    return without_repeats(closed).reshape(lists.shape)


def half_of(n_documents: int, seed: int = 0) -> Bool[np.ndarray, "documents"]:
    """Whether each document is in the first of two halves, drawn by lot."""
    found = np.zeros(n_documents, dtype=bool)
    found[np.random.default_rng([seed, 31]).permutation(n_documents)[: n_documents // 2]] = True
    return found


def overlap(left: Lists, right: Lists) -> Float[np.ndarray, "cells"]:
    """The rank-biased overlap of each cell's lists: of gated cells the mean over both signs.

    Returns:
        from 0 to 1; 0 where one list is empty, NaN for a cell without any trigger in both.
    """
    by_sign = [rank_biased_overlap(left[:, sign], right[:, sign]) for sign in range(left.shape[1])]
    return _mean(np.stack(by_sign))


def shared(left: Lists, right: Lists) -> Float[np.ndarray, "cells"]:
    """The Jaccard index of each cell's lists as sets: items that both have over those that either has; else as `overlap`."""
    found = np.full(left.shape[:2], np.nan)
    for sign in range(left.shape[1]):
        both = np.concatenate([_distinct(left[:, sign]), _distinct(right[:, sign])], axis=1)
        ordered = np.sort(both, axis=1)
        n_each = (both != EMPTY).sum(1)
        n_both = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != EMPTY)).sum(1)
        with np.errstate(invalid="ignore"):
            found[:, sign] = n_both / (n_each - n_both)
    return _mean(found.T)


def chance(top: int, n_sentences: int) -> float:
    """What `shared` would be of the sentences of two lists drawn by lot: t / (2 S - t); 1 where a list holds every sentence."""
    return min(top / (2 * n_sentences - top), 1.0) if top < n_sentences else 1.0


def another(n_cells: int) -> Int64[np.ndarray, "cells"]:
    """Another cell of the layer for each, the one half a layer further on: what a cell shares with it is the floor."""
    found: np.ndarray = np.roll(np.arange(n_cells), n_cells // 2)
    return found


def _distinct(items: Int64[np.ndarray, "cells top"]) -> Int64[np.ndarray, "cells top"]:
    return without_repeats(items)


def _mean(by_sign: Float[np.ndarray, "signs cells"]) -> Float[np.ndarray, "cells"]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a cell that has no list at all: NaN is what it is to be
        found: np.ndarray = np.nanmean(by_sign, axis=0)
    return found
