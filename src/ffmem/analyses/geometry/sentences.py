"""The sentences that become points: of many documents, each once, with what they are about."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from ffmem.errors import InputError
from ffmem.store.text import TextReader

SHORTEST, LONGEST = 5, 64
"""Tokens of a sentence: the mean of fewer tells of single words, and more cost time."""
LEAST = 50
"""Points below which ratios of distances tell nothing."""
_OF_A_LABEL = 80
"""Points that a label has on average, where there are documents enough: more than the neighbours that are looked at."""
_LEAST_LABELS = 10


@dataclass(frozen=True)
class Sentences:
    """What becomes points, in the order of the text."""

    ids: Int64[np.ndarray, " n"]
    tokens: tuple[Int64[np.ndarray, "own_tokens"], ...]
    document: Int64[np.ndarray, " n"]
    label: Int64[np.ndarray, " n"] | None
    """What its document is about, as a number; None where documents do not say."""
    label_names: tuple[str, ...] = ()
    label_field: str = ""
    n_repeated: int = 0
    """Sentences with the tokens of another, which were left out."""

    def __len__(self) -> int:
        return len(self.ids)


def sentences_of(text: TextReader, n: int, *, seed: int = 0) -> Sentences:
    """Random sentences of a stored text, held-out ones too: one of each document first, then a second, and so on.

    Windows within longer sentences, sentences of fewer than `SHORTEST` or more than `LONGEST` tokens, and repetitions of the
    same tokens are left out. Where documents have labels, those with most documents are taken, so many that each has
    `_OF_A_LABEL` of the points on average, and no fewer than ten.

    Args:
        text: of an index.
        n: at most this many.
        seed: of the draw.

    Raises:
        InputError: there are fewer than `LEAST`.
    """
    starts = text.sentence_start.astype(np.int64)
    lengths = np.diff(starts)
    able = (lengths >= SHORTEST) & (lengths <= LONGEST)
    if text.context is not None:
        able &= text.context == 0
    every = np.arange(len(lengths))
    of_document = text.document_of(every).astype(np.int64)
    labels = text.document_labels()
    names: tuple[str, ...] = ()
    if labels is not None:
        most = _most_common(labels.of_document, max(_LEAST_LABELS, n // _OF_A_LABEL))
        able &= np.isin(labels.of_document[of_document], most)
        names = tuple(labels.names[one] for one in most.tolist())
    order = np.random.default_rng([seed, 52]).permutation(np.flatnonzero(able))
    turn = _turns(of_document[order])
    ids, n_repeated = _once(text, starts, order[np.argsort(turn, kind="stable")], n)
    if len(ids) < LEAST:
        raise InputError(
            f"the text has {len(ids)} different sentences of {SHORTEST} to {LONGEST} tokens",
            f"Expected {LEAST} or more: each is a point, and fewer have no geometry",
            "Index more text",
        )
    numbers = None if labels is None else np.searchsorted(most, labels.of_document[of_document[ids]]).astype(np.int64)
    return Sentences(
        ids=ids,
        tokens=tuple(np.array(text.token_id[starts[one] : starts[one + 1]], dtype=np.int64) for one in ids.tolist()),
        document=of_document[ids],
        label=numbers,
        label_names=names,
        label_field="" if labels is None else labels.field,
        n_repeated=n_repeated,
    )


def _most_common(values: np.ndarray, n: int) -> np.ndarray:
    """The n most common values, ascending; of equally common ones the first."""
    counts = np.bincount(values)
    return np.sort(np.argsort(-counts, kind="stable")[: min(n, int((counts > 0).sum()))])


def _turns(document: np.ndarray) -> np.ndarray:
    """How many things of the same document stand before each."""
    order = np.argsort(document, kind="stable")
    ordered = document[order]
    first = np.searchsorted(ordered, ordered, side="left")
    turns = np.empty(len(document), dtype=np.int64)
    turns[order] = np.arange(len(document)) - first
    return turns


def _once(text: TextReader, starts: np.ndarray, order: np.ndarray, n: int) -> tuple[Int64[np.ndarray, " some"], int]:
    """The first n sentences that are all different, ascending, and how many repetitions were passed over."""
    seen: set[bytes] = set()
    kept: list[int] = []
    n_repeated = 0
    for one in order.tolist():
        if len(kept) == n:
            break
        tokens = np.asarray(text.token_id[starts[one] : starts[one + 1]]).tobytes()
        if tokens in seen:
            n_repeated += 1
            continue
        seen.add(tokens)
        kept.append(one)
    return np.array(sorted(kept), dtype=np.int64), n_repeated


def shuffled_words(
    text: TextReader, ids: Int64[np.ndarray, " n"], *, most: int = 2 * LONGEST, seed: int = 0
) -> list[Int64[np.ndarray, "tokens"]]:
    """The same sentences with their words, as spaces part them, in random order, as tokens.

    Args:
        text: of an index.
        ids: of its sentences.
        most: tokens that are kept of each, at most twice `LONGEST`: in another order, the same words may be more tokens than
            a model takes.
        seed: of the orders.
    """
    found = []
    for one in ids.tolist():
        words = text.sentence(one).text.split()
        order = np.random.default_rng([seed, 53, one]).permutation(len(words))
        mixed = " ".join(words[place] for place in order.tolist())
        found.append(np.array(text.tokenize(mixed)[: min(most, 2 * LONGEST)], dtype=np.int64))
    return found


def bags_of_words(tokens: Sequence[Int64[np.ndarray, "own_tokens"]]) -> np.ndarray:
    """What never sees a model: how often each token is in each sentence, times ln(N / sentences that have it), of length 1."""
    known, flat = np.unique(np.concatenate(tokens), return_inverse=True)
    row = np.repeat(np.arange(len(tokens)), [len(one) for one in tokens])
    counts = np.zeros((len(tokens), len(known)), dtype=np.float32)
    np.add.at(counts, (row, flat.reshape(-1)), 1)
    weighted = counts * np.log(len(tokens) / (counts > 0).sum(0)).astype(np.float32)
    length = np.linalg.norm(weighted, axis=1, keepdims=True)
    bags: np.ndarray = weighted / np.maximum(length, 1e-12)
    return bags
