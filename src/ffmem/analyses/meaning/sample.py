"""The positions that are asked about: some of every document, with the words that stand at, before and around them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float32, Int64

from ffmem.analyses.meaning.words import WordVectors
from ffmem.store.reader import Index

MOST_DOCUMENTS = 1_000
"""More documents than these are not drawn: each gives some positions, so that fewer tell more of each."""
N_FOLDS = 5
N_NEAR = 3
"""Tokens up to and including a position whose n-grams are looked at; earlier words come before them."""
_POSITIONS = np.array([0, 1, 2, 3, 4, 6, 9, 14, 20, 30])
"""Where classes of positions in a sentence begin."""


@dataclass(frozen=True)
class Sample:
    """Positions of a text, document by document; the documents of a fold stand together."""

    sentences: tuple[Int64[np.ndarray, "own_tokens"], ...]
    """Own tokens of each sentence, in the order of the positions."""
    first: Int64[np.ndarray, "sentences"]
    """In each sentence, the first position that is asked about."""
    document_of: Int64[np.ndarray, "sentences"]
    """Number of each sentence's document, ascending, from 0."""
    fold_of: Int64[np.ndarray, "documents"]
    """Ascending, from 0."""
    label_of: Int64[np.ndarray, "documents"] | None
    """Number of each document's label; None if the corpus has none."""
    causal: bool
    """Whether words behind a position are no part of what it is made of."""
    words: WordVectors

    @property
    def n_documents(self) -> int:
        """Documents."""
        return len(self.fold_of)

    @cached_property
    def start(self) -> Int64[np.ndarray, "sentences_and_one"]:
        """Number of each sentence's first position here, and how many there are."""
        return np.concatenate(([0], np.cumsum([len(one) for one in self.sentences] - self.first))).astype(np.int64)

    def __len__(self) -> int:
        return int(self.start[-1])

    @cached_property
    def sentence(self) -> Int64[np.ndarray, "n"]:
        """Of each position."""
        return np.repeat(np.arange(len(self.sentences)), np.diff(self.start))

    @cached_property
    def place(self) -> Int64[np.ndarray, "n"]:
        """Of each position in its sentence, from 0."""
        places: np.ndarray = np.arange(len(self)) - self.start[self.sentence] + self.first[self.sentence]
        return places

    @cached_property
    def document(self) -> Int64[np.ndarray, "n"]:
        """Of each position."""
        documents: np.ndarray = self.document_of[self.sentence]
        return documents

    @cached_property
    def levels(self) -> Int64[np.ndarray, "four n"]:
        """The group of each position by its last token, last two, last three, and by where it is in its sentence."""
        own = np.concatenate(self.sentences).astype(np.int64)
        begins = np.concatenate([np.arange(len(one)) for one in self.sentences])
        groups = []
        code = np.zeros(len(own), dtype=np.int64)
        for back in range(N_NEAR):
            token = np.where(begins >= back, np.roll(own, back), -1)
            code = np.unique(code * (own.max(initial=0) + 2) + token + 1, return_inverse=True)[1]
            groups.append(code)
        groups.append(np.searchsorted(_POSITIONS, begins, side="right") - 1)
        asked = begins >= np.repeat(self.first, [len(one) for one in self.sentences])
        return np.stack([np.unique(one[asked], return_inverse=True)[1] for one in groups])

    @cached_property
    def earlier(self) -> Float32[np.ndarray, "n dimensions"]:
        """What the words further from each position are about: see `WordVectors.earlier`."""
        own = np.concatenate(self.sentences).astype(np.int64)
        lengths = np.array([len(one) for one in self.sentences])
        vectors = self.words.earlier(
            own, np.concatenate(([0], lengths.cumsum())).astype(np.int64), N_NEAR, causal=self.causal
        )
        begins = np.concatenate([np.arange(n) for n in lengths])
        return vectors[begins >= np.repeat(self.first, lengths)]

    def shuffled_earlier(self, seed: int) -> Float32[np.ndarray, "n dimensions"]:
        """The same of other positions, each at the same place of its sentence."""
        rng = np.random.default_rng([seed, 5])
        by_place = np.lexsort((np.arange(len(self)), self.place))
        drawn = np.lexsort((rng.random(len(self)), self.place))
        found = np.empty_like(self.earlier)
        found[by_place] = self.earlier[drawn]
        return found

    def part(self, share: float) -> "tuple[Sample, Int64[np.ndarray, 'some']]":
        """Some of the documents, alike of every fold, and which positions those have."""
        kept = np.zeros(self.n_documents, dtype=bool)
        for fold in np.unique(self.fold_of):
            members = np.flatnonzero(self.fold_of == fold)
            kept[members[: max(1, round(share * len(members)))]] = True
        some = kept[self.document_of]
        positions = np.flatnonzero(some[self.sentence])
        numbers = np.cumsum(kept) - 1
        sentences = tuple(one for one, keep in zip(self.sentences, some.tolist(), strict=True) if keep)
        fewer = Sample(
            sentences=sentences,
            first=self.first[some],
            document_of=numbers[self.document_of[some]],
            fold_of=self.fold_of[kept],
            label_of=None if self.label_of is None else self.label_of[kept],
            causal=self.causal,
            words=_words_of(sentences, self.document_of[some], len(self.words.vectors)),
        )
        return fewer, positions


def draw_sample(index: Index, n_positions: int, *, causal: bool, held_out: bool = True, seed: int = 0) -> Sample:
    """Positions of an index's text: whole sentences of as many documents as there are, up to `MOST_DOCUMENTS`.

    Long sentences that were cut into windows give no position that begins within a sentence.

    Args:
        index: a finished index.
        n_positions: how many, at most.
        causal: whether the model's states depend on what comes before them alone.
        held_out: also from the documents that the index holds back.
        seed: of the draws.
    """
    text, rng = index.text, np.random.default_rng([seed, 6])
    start = text.sentence_start.astype(np.int64)
    able = np.arange(text.n_all_sentences if held_out else text.n_sentences)
    if text.context is not None:
        able = able[text.context[able] == 0]
    lengths = start[able + 1] - start[able] - index.manifest.options.skip_first
    able, lengths = able[lengths > 0], lengths[lengths > 0]
    chosen = _some_of_each(text.document_of(able), lengths, n_positions, rng)
    able = able[chosen]
    documents, number = np.unique(text.document_of(able), return_inverse=True)
    labels = text.document_labels()
    label_of = None if labels is None else labels.of_document[documents].astype(np.int64)
    fold_of = _folds(len(documents), label_of, rng)
    by_fold = np.argsort(fold_of, kind="stable")
    rank = np.empty(len(documents), dtype=np.int64)
    rank[by_fold] = np.arange(len(documents))
    order = np.argsort(rank[number], kind="stable")
    able, document_of = able[order], rank[number[order]]
    sentences = tuple(np.array(text.token_id[start[i] : start[i + 1]], dtype=np.int64) for i in able.tolist())
    return Sample(
        sentences=sentences,
        first=np.full(len(sentences), index.manifest.options.skip_first, dtype=np.int64),
        document_of=document_of,
        fold_of=fold_of[by_fold],
        label_of=None if label_of is None else label_of[by_fold],
        causal=causal,
        words=_words_of(sentences, document_of, index.manifest.model.d_vocab),
    )


def _words_of(sentences: Sequence[np.ndarray], document_of: np.ndarray, d_vocab: int) -> WordVectors:
    token = np.concatenate([np.zeros(0, dtype=np.int64), *sentences])
    return WordVectors.of(token, np.repeat(document_of, [len(one) for one in sentences]), d_vocab)


def _some_of_each(
    document: Int64[np.ndarray, "sentences"], lengths: Int64[np.ndarray, "sentences"], n: int, rng: np.random.Generator
) -> Int64[np.ndarray, "some"]:
    """Random sentences of each document (of `MOST_DOCUMENTS` random ones), of about equally many positions, ascending."""
    names = rng.permutation(np.unique(document))[:MOST_DOCUMENTS]
    order = rng.permutation(np.flatnonzero(np.isin(document, names)))
    order = order[np.argsort(document[order], kind="stable")]
    total = np.cumsum(lengths[order])
    begins = np.flatnonzero(np.diff(document[order], prepend=-1))
    before = np.repeat(total[begins] - lengths[order[begins]], np.diff(np.append(begins, len(order))))
    taken_before = total - before - lengths[order]  # of the same document
    by_turn = order[np.lexsort((rng.random(len(order)), taken_before))]
    return np.sort(by_turn[np.cumsum(lengths[by_turn]) <= n])


def _folds(
    n_documents: int, label_of: Int64[np.ndarray, "documents"] | None, rng: np.random.Generator
) -> Int64[np.ndarray, "documents"]:
    """A fold for each document, those of one label spread evenly."""
    keys: Sequence[np.ndarray] = (rng.random(n_documents),) if label_of is None else (rng.random(n_documents), label_of)
    fold = np.empty(n_documents, dtype=np.int64)
    fold[np.lexsort(keys)] = np.arange(n_documents) % min(N_FOLDS, max(n_documents, 1))
    return fold
