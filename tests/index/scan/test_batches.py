"""Shards and batches are a pure function of lengths and options."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ffmem.index.scan.batches import MAX_WASTE, Shard, plan_batches, plan_shards

lengths_lists = st.lists(st.integers(1, 300), min_size=1, max_size=200)


@given(lengths_lists, st.integers(1, 2000))
def test_shards_cover_every_sentence_once_in_order(lengths: list[int], shard_tokens: int) -> None:
    starts = np.concatenate(([0], np.cumsum(lengths))).astype(np.uint64)
    shards = plan_shards(starts, [len(lengths)], shard_tokens)
    assert [i for shard in shards for i in range(shard.first_sentence, shard.end_sentence)] == list(range(len(lengths)))
    assert [shard.shard_id for shard in shards] == list(range(len(shards)))
    for shard in shards:
        own = lengths[shard.first_sentence : shard.end_sentence]
        assert shard.n_tokens == sum(own)
        assert sum(own[:-1]) < shard_tokens
        assert sum(own) >= shard_tokens or shard is shards[-1]


def test_held_out_sentences_are_in_no_shard() -> None:
    starts = np.array([0, 5, 9, 20, 30], dtype=np.uint64)
    assert plan_shards(starts, [2], 100) == [Shard(0, 0, 2, 9)]


@given(lengths_lists, st.integers(0, 2), st.integers(50, 2000), st.booleans())
def test_batches_hold_each_sentence_once_with_little_padding(
    lengths: list[int], n_special: int, batch_tokens: int, padding_is_cheap: bool
) -> None:
    shard = Shard(0, 10, 10 + len(lengths), sum(lengths))
    least = batch_tokens if padding_is_cheap else 0
    batches = list(plan_batches(shard, np.array(lengths), n_special, batch_tokens, None, least))
    assert sorted(i for batch in batches for i in batch.sentence_ids) == list(range(10, 10 + len(lengths)))
    for batch in batches:
        rows = [run.length for run in batch.runs for _ in range(run.start, run.stop)]
        assert rows == [lengths[i - 10] for i in batch.sentence_ids]
        assert batch.max_length == max(rows) and batch.n_tokens == sum(rows)
        padded = len(rows) * (max(rows) + n_special)
        assert len(rows) == 1 or padded <= batch_tokens
        assert padded - sum(rows) - n_special * len(rows) <= MAX_WASTE * max(padded, least)
    if padding_is_cheap:
        assert len(batches) <= len(list(plan_batches(shard, np.array(lengths), n_special, batch_tokens)))
