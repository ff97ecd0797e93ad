"""Which sentences share a shard and a batch: a pure function of their lengths and the options, never of workers.

Float products depend on the shape of the batch they are computed in, so this is what makes an index the same whatever
computed it. Knows no model.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Int64, UInt64

from ffmem.json_values import Record
from ffmem.models.base import Rows

MAX_WASTE = 0.1
"""Largest share of a batch that may be padding; where a batch has a price, of all batches of a shard."""


@dataclass(frozen=True)
class Shard:
    """A contiguous range of sentences: what a worker is handed. Readable without reading anything before it."""

    shard_id: int
    """Number of the shard, from 0."""
    first_sentence: int
    """Id of its first sentence."""
    end_sentence: int
    """Id after its last sentence."""
    n_tokens: int
    """Own tokens of its sentences."""


@dataclass(frozen=True)
class Run:
    """Neighbouring rows of a batch whose sentences have the same number of own tokens."""

    start: int
    """First row."""
    stop: int
    """Row after the last."""
    length: int
    """Own tokens of each of these sentences."""


@dataclass(frozen=True)
class Batch(Record):
    """Sentences that go through the model together, longest first."""

    sentence_ids: tuple[int, ...]
    """Sentence of each row."""
    runs: tuple[Run, ...]
    """The rows by length."""

    @property
    def max_length(self) -> int:
        """Own tokens of the longest sentence."""
        return self.runs[0].length

    @property
    def n_tokens(self) -> int:
        """Own tokens of all sentences, without padding."""
        return sum((run.stop - run.start) * run.length for run in self.runs)


def plan_shards(
    sentence_start: UInt64[np.ndarray, "n_offsets"], n_sentences_by_corpus: Sequence[int], shard_tokens: int
) -> list[Shard]:
    """Cut the indexed sentences into shards of about ``shard_tokens`` tokens, in order.

    Args:
        sentence_start: index of the first token of each sentence, and one entry after the last.
        n_sentences_by_corpus: how many sentences each corpus has; a shard ends with its corpus, so that the shards of an
            index stay the same when another corpus is added.
        shard_tokens: a shard ends with the sentence in which it reaches this many tokens.
    """
    planner, shards, last = ShardPlanner(shard_tokens), list[Shard](), 0
    for n_sentences in n_sentences_by_corpus:
        first, last = last, last + n_sentences
        shards += planner.add(np.diff(sentence_start[first : last + 1].astype(np.int64)))
        shards += planner.end_corpus()
    return shards


class ShardPlanner:
    """The shards of sentences that come bit by bit: each is known as soon as its last sentence is, whatever follows.

    Args:
        shard_tokens: a shard ends with the sentence in which it reaches this many tokens.
        first_shard: number of the first.
        first_sentence: id of the first sentence that comes.
    """

    def __init__(self, shard_tokens: int, first_shard: int = 0, first_sentence: int = 0) -> None:
        self._shard_tokens, self._next_shard, self._next_sentence = shard_tokens, first_shard, first_sentence
        self._begun = np.zeros(0, dtype=np.int64)
        """Tokens of each sentence of the shard that is not full."""

    def add(self, lengths: Int64[np.ndarray, "n"]) -> list[Shard]:
        """The shards that are full with these sentences, by their tokens."""
        lengths = np.concatenate((self._begun, lengths))
        ends, shards, n_taken, begin = lengths.cumsum(), list[Shard](), 0, 0
        while (last := int(np.searchsorted(ends, begin + self._shard_tokens))) < len(ends):
            shards.append(self._shard(last + 1 - n_taken, int(ends[last]) - begin))
            n_taken, begin = last + 1, int(ends[last])
        self._begun = lengths[n_taken:]
        return shards

    def end_corpus(self) -> list[Shard]:
        """What is left is a shard: none reaches from one corpus into the next."""
        left, self._begun = self._begun, self._begun[:0]
        return [self._shard(len(left), int(left.sum()))] if len(left) else []

    def _shard(self, n_sentences: int, n_tokens: int) -> Shard:
        first, number = self._next_sentence, self._next_shard
        self._next_sentence, self._next_shard = first + n_sentences, number + 1
        return Shard(number, first, self._next_sentence, n_tokens)


def plan_batches(
    shard: Shard,
    lengths: Int64[np.ndarray, "n"],
    n_special: int,
    batch_tokens: int,
    context: Int64[np.ndarray, "n"] | None = None,
    batch_price: int = 0,
    rows: Rows = "padded",
) -> Iterator[Batch]:
    """The batches of a shard, longest sentences first.

    Args:
        shard: the shard.
        lengths: own tokens of each sentence of the shard, in order of id.
        n_special: special tokens added to each sentence.
        batch_tokens: most tokens of a batch, padding and special tokens included (a longer sentence goes alone).
        context: how many tokens at the start of each sentence do not compete, by default none; sentences that differ in
            that share no batch, so that a batch has one first competing position.
        batch_price: how many tokens of padding are as dear as one more batch. 0: a batch takes all that fits, with at most
            MAX_WASTE of padding in it. More, where a small batch takes about as long as a larger one, as on a GPU: batches
            are then chosen together (see `_cheapest`).
        rows: which sentences may share a batch: those of a model whose coefficients padding would change, of equal length.

    Returns:
        Batches that hold each sentence once; at most MAX_WASTE of their tokens is padding.
    """
    starts = np.zeros_like(lengths) if context is None else context
    order = np.lexsort((-lengths, starts))
    sorted_starts, widths = starts[order], lengths[order] + n_special
    groups = np.flatnonzero(np.diff(sorted_starts)) + 1
    for first, last in pairwise((0, *groups.tolist(), len(order))):
        own = widths[first:last]
        ends = (
            _cheapest(own, batch_tokens, batch_price)
            if batch_price and rows == "padded"
            else _fullest(own.tolist(), batch_tokens, rows)
        )
        begin = first
        for end in ends:
            ids = order[begin : first + end]
            yield Batch(tuple((ids + shard.first_sentence).tolist()), tuple(_runs(lengths[ids].tolist())))
            begin = first + end


def _fullest(widths: list[int], batch_tokens: int, rows: Rows) -> Iterator[int]:
    """Where batches end if each takes all that fits with at most MAX_WASTE of padding in it; widths descend."""
    begin = 0
    while begin < len(widths):
        end, used = begin, 0
        while end < len(widths):
            n_rows = end - begin + 1
            used += widths[end]
            padded = n_rows * widths[begin]
            if n_rows > 1 and (rows == "alone" or (rows == "equal-length" and used < padded)):
                break
            if n_rows > 1 and (padded > batch_tokens or padded - used > MAX_WASTE * padded):
                break
            end += 1
        yield end
        begin = end


def _cheapest(widths: Int64[np.ndarray, "n"], batch_tokens: int, price: int) -> list[int]:
    """Where batches end if tokens, padding included, plus batches times a price are to be least; widths descend.

    The price is halved until at most MAX_WASTE of all is padding: at 0 there is none.

    Cost: a few hundred steps for each distinct width, each over all widths that follow.
    """
    while True:
        ends = _least_cost(widths, batch_tokens, price)
        sizes = np.diff(ends, prepend=0)
        padded = int((sizes * widths[np.cumsum(sizes) - sizes]).sum())
        if padded - int(widths.sum()) <= MAX_WASTE * padded:
            return ends
        price //= 2


def _least_cost(widths: Int64[np.ndarray, "n"], batch_tokens: int, price: int) -> list[int]:
    """The same at one price, by dynamic programming over ends where a batch is full or the width changes.

    Where none is full, no other ends are cheaper: within a run of equal widths the cost is linear in the place of an end.
    """
    n = len(widths)
    changes = np.append(np.flatnonzero(np.diff(widths)) + 1, n)
    cost = np.full(n + 1, np.inf)
    begins = np.zeros(n + 1, dtype=np.int64)
    cost[0] = 0
    for begin in range(n):
        if cost[begin] == np.inf:  # no batch ends here
            continue
        width = int(widths[begin])
        full = min(n, begin + max(1, batch_tokens // width))
        low, high = np.searchsorted(changes, (begin + 1, full))
        ends = np.append(changes[low:high], full)
        found = cost[begin] + price + (ends - begin) * width
        better = found < cost[ends]
        cost[ends[better]], begins[ends[better]] = found[better], begin
    ends_of_batches = [n]
    while (begin := int(begins[ends_of_batches[-1]])) > 0:
        ends_of_batches.append(begin)
    return ends_of_batches[::-1]


def _runs(lengths: list[int]) -> Iterator[Run]:
    start = 0
    for stop in range(1, len(lengths) + 1):
        if stop == len(lengths) or lengths[stop] != lengths[start]:
            yield Run(start, stop, lengths[start])
            start = stop
